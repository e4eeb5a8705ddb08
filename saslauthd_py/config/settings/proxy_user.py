"""`[[proxy_user]]`: who may log in as somebody else (RFC 4422: an authzid that is not the authcid)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from saslauthd_py import identity
from saslauthd_py.config.settings.values import ANY, SECTION, OneOrMore, quoted, refused
from saslauthd_py.identity import Identity, InvalidIdentity

ANYBODY = f"{ANY}@"
"""What a realm stands behind, all of whose names are meant."""


def named(name: str, default_realm: str = "") -> Identity:
    """The identity that a name in these tables means, as if a client had sent it. Raises InvalidIdentity."""
    meant = identity.split(name, default_realm=default_realm)
    identity.key(meant)
    return meant


def _name(name: str) -> str:
    if ANY in name:
        raise refused(f"must be one name, such as {quoted('proxy@example.org')}, not {quoted(name)}")
    return _checked(name, name)


def _target(name: str) -> str:
    realm = name.removeprefix(ANYBODY)
    if ANY in realm or not realm:
        example = quoted(f"{ANYBODY}example.org")
        raise refused(f"must be a name, or {example} for everybody of a realm, not {quoted(name)}")
    return _checked(name, f"x@{realm}" if realm != name else name)


def _checked(name: str, meant: str) -> str:
    try:
        named(meant)
    except InvalidIdentity as error:
        raise refused(f"{quoted(name)}: {error}") from None
    return name


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise refused(f"names {quoted(name)} twice")
    return names


class ProxyUser(BaseModel):
    """A right to act as others. The names are as clients send them: `[identity] default_realm` is added where they have no realm."""

    model_config = SECTION

    authcid: Annotated[str, AfterValidator(_name)] = Field(description="Who may log in as others, by its own password.")
    may_act_as: Annotated[tuple[Annotated[str, AfterValidator(_target)], ...], OneOrMore(), AfterValidator(_each_once)] = Field(
        description='As whom, one or a list: names, or "*@example.org" for everybody of a realm. Nobody looks whether these exist.'
    )
