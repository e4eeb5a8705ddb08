"""`[[route]]`: which backends are asked for which names."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StrictBool

from saslauthd_py.config.settings.address import tcp_address
from saslauthd_py.config.settings.values import ANY, SECTION, OneOrMore, WantedRealm, WantedService, quoted, refused


def _listener(name: str) -> str:
    """As `Listen.name` has it."""
    if name == ANY or name.startswith("/"):
        return name
    address = tcp_address(name)
    if address is None:
        raise refused(f'must be the path or the address of a listener, or "*", not {quoted(name)}')
    return str(address)


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise refused("must not be empty: a route asks one backend at least")
    for name in names:
        if names.count(name) > 1:
            raise refused(f"names {quoted(name)} twice")
    return names


class Route(BaseModel):
    """Requests of these realms, services and listeners go to these backends, in this order. The first route that matches is taken.

    Realms are as `identity.fold_realm` makes them, services as `credential.service_word` does.
    """

    model_config = SECTION

    realm: Annotated[tuple[WantedRealm, ...], OneOrMore()] = Field(
        description='The realms, one or a list; "" is a name without realm, "*" any or none.'
    )
    service: Annotated[tuple[WantedService, ...], OneOrMore()] = Field(
        (ANY,), description='The services, one or a list, such as "smtp", "imap", "pop" (the same as "pop3"), "sieve".'
    )
    listener: Annotated[tuple[Annotated[str, AfterValidator(_listener)], ...], OneOrMore()] = Field(
        (ANY,), description="The listeners, one or a list, by their paths or addresses."
    )
    backends: Annotated[tuple[str, ...], AfterValidator(_each_once)] = Field(description="The backends that are asked, in this order.")
    next_on: tuple[Literal["unknown", "rejected", "unavailable"], ...] = Field(
        ("unknown",), description='The verdicts after which the next backend is asked: "unknown", "rejected", "unavailable".'
    )
    ignore_realm: StrictBool = Field(
        False, description='Allow a backend without {realm} in its login under "*": then alice@any.example is the local alice.'
    )
