"""Every template of an LDAP backend, parsed: what is wrong with one is known when the configuration is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from saslauthd_py.backends.ldap.dn_templates import DnTemplate, NameTemplate, parse_bind_name, parse_dn
from saslauthd_py.backends.ldap.filter_templates import parse_filter
from saslauthd_py.backends.ldap.pieces import TemplateError
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.config.settings.tokens import GROUP_TOKENS
from saslauthd_py.wire.ldap import Filter, places

__all__ = ["DnTemplate", "NameTemplate", "TemplateError", "TemplateErrors", "Templates", "parse_bind_name", "parse_dn", "parse_filter"]

_Parsed = TypeVar("_Parsed")


class TemplateErrors(Exception):
    """Templates that cannot be used. `complaints`: the key of each, and a line that follows it; the text has a line for each."""

    def __init__(self, complaints: tuple[tuple[str, str], ...]) -> None:
        super().__init__("\n".join(f"{key}: {text}" for key, text in complaints))
        self.complaints = complaints


@dataclass(frozen=True, slots=True)
class Templates:
    """What `LdapSettings` says of searches, binds and groups. Either `base` and `filter` are there, or `bind`.

    `group_dn`, or `group_base` and `group_filter`, are there where a user must be in a group.
    """

    base: DnTemplate | None = None
    filter: Filter | None = None
    bind: DnTemplate | NameTemplate | None = None
    group_dn: DnTemplate | None = None
    group_base: DnTemplate | None = None
    group_filter: Filter | None = None

    @classmethod
    def of(cls, settings: LdapSettings) -> Templates:
        """All of them. Raises TemplateErrors, which has every fault."""
        faults: list[tuple[str, str]] = []

        def parsed(key: str, parse: Callable[[str], _Parsed]) -> _Parsed | None:
            text = getattr(settings, key)
            try:
                return None if text is None else parse(text)
            except TemplateError as error:
                faults.append((key, str(error)))
                return None

        base = parsed("base", parse_dn)
        group_base = parsed("group_base", lambda text: parse_dn(text, GROUP_TOKENS))
        templates = cls(
            base,
            parsed("filter", parse_filter) if settings.dn_template is None else None,
            parsed("dn_template", parse_bind_name),
            parsed("group_dn", parse_dn),
            base if group_base is None and settings.group_filter is not None else group_base,
            parsed("group_filter", lambda text: parse_filter(text, GROUP_TOKENS)),
        )
        if isinstance(templates.bind, NameTemplate) and templates.needs_dn:
            faults.append(
                ("dn_template", 'is no DN, and the group check needs the user\'s: search for the entry (method = "bind"), or use a DN')
            )
        if faults:
            raise TemplateErrors(tuple(faults))
        return templates

    @property
    def letters(self) -> frozenset[str]:
        """The tokens that finding the user needs."""
        wanted = {letter for dn in (self.base, self.bind) if dn is not None for letter in dn.places}
        return frozenset(wanted | places(self.filter) if self.filter is not None else wanted)

    @property
    def group_letters(self) -> frozenset[str]:
        """The tokens that looking at the group needs."""
        wanted = {letter for dn in (self.group_dn, self.group_base) if dn is not None for letter in dn.places}
        return frozenset(wanted | places(self.group_filter) if self.group_filter is not None else wanted)

    @property
    def needs_dn(self) -> bool:
        """Does the group check speak of the user's DN?"""
        return self.group_dn is not None or "D" in self.group_letters
