"""What one key of an LDAP backend may hold, whatever stands in the others."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Annotated

from pydantic import AfterValidator

from saslauthd_py.config.settings.tokens import GROUP_TOKENS, LOGIN_TOKENS, UnknownToken, split_tokens
from saslauthd_py.config.settings.values import quoted, refused

_MAX_TEMPLATE = 4096
_ATTRIBUTE = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)(?:;[A-Za-z0-9-]+)*")


def _name(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > _MAX_TEMPLATE:
        raise refused(f"must be the name of an entry, such as {quoted('cn=mail,dc=example,dc=org')}, not {quoted(name)}")
    return name


def _attribute(name: str) -> str:
    if not _ATTRIBUTE.fullmatch(name):
        raise refused(f"must be the name of an attribute, such as {quoted('member')}, not {quoted(name)}")
    return name


def _tokens_of(text: str, known: AbstractSet[str]) -> str:
    if len(text) > _MAX_TEMPLATE:
        raise refused(f"must have {_MAX_TEMPLATE} characters at most")
    try:
        split_tokens(text, known)
    except UnknownToken as error:
        raise refused(str(error)) from None
    return text


def _of_login(text: str) -> str:
    return _tokens_of(text, LOGIN_TOKENS)


def _of_group(text: str) -> str:
    return _tokens_of(text, GROUP_TOKENS)


EntryName = Annotated[str, AfterValidator(_name)]
"""A DN, or another name that a server knows an entry by."""

Attribute = Annotated[str, AfterValidator(_attribute)]
"""An attribute description (RFC 4512 section 2.5)."""

LoginTemplate = Annotated[str, AfterValidator(_of_login)]
"""A filter or a DN with the tokens of a login. What else is wrong with it says whoever parses it."""

GroupTemplate = Annotated[str, AfterValidator(_of_group)]
"""The same, where the user's DN is known too."""
