"""What a login sends (RFC 4511 section 4), as values without a message id: `encode` gives them one. No control is ever sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from saslauthd_py.secret import Secret
from saslauthd_py.wire.ldap import ber
from saslauthd_py.wire.ldap.filters import Fill, Filter, compiled

MAX_NUMBER = 0x7FFFFFFF
"""The highest message id, and the highest limit of a search (maxInt)."""

NO_ATTRIBUTES = (b"1.1",)
"""Asks for entries' names alone (RFC 4511 section 4.5.1.8)."""

_VERSION = ber.number(ber.INTEGER, 3)
_NEVER = ber.number(ber.ENUMERATED, 0)
_BIND, _UNBIND, _SEARCH, _COMPARE, _ABANDON, _EXTENDED = 0x60, 0x42, 0x63, 0x6E, 0x50, 0x77
_SIMPLE, _SASL = 0x80, 0xA3
_EXTENDED_NAME, _EXTENDED_VALUE = 0x80, 0x81


@dataclass(frozen=True, slots=True)
class BindRequest:
    """A simple bind: a name and its password, as the bytes they are.

    ValueError: one of them is empty. A server takes a name without a password, and often also a password without a name, for anonymous
    and says success, which would let in whoever comes (RFC 4513 section 5.1.2, rule G4).
    """

    name: bytes
    secret: Secret

    def __post_init__(self) -> None:
        if not len(self.secret):
            raise ValueError("a simple bind with an empty password proves nothing")
        if not self.name.strip(b" "):
            raise ValueError("a simple bind with an empty name proves nothing")

    def operation(self) -> bytes:
        """The bytes without message id."""
        name, secret = self.name, self.secret.reveal()
        return ber.element(_BIND, _VERSION + ber.element(ber.OCTETS, name) + ber.element(_SIMPLE, secret))


@dataclass(frozen=True, slots=True)
class AnonymousBind:
    """A simple bind as nobody."""

    def operation(self) -> bytes:
        """The bytes without message id."""
        return ber.element(_BIND, _VERSION + ber.element(ber.OCTETS, b"") + ber.element(_SIMPLE, b""))


@dataclass(frozen=True, slots=True)
class ExternalBind:
    """SASL EXTERNAL: as whom the socket or the certificate shows. `authzid`: on behalf of whom, None: the field is left out."""

    authzid: bytes | None = None

    def operation(self) -> bytes:
        """The bytes without message id."""
        credentials = b"" if self.authzid is None else ber.element(ber.OCTETS, self.authzid)
        sasl = ber.element(_SASL, ber.element(ber.OCTETS, b"EXTERNAL") + credentials)
        return ber.element(_BIND, _VERSION + ber.element(ber.OCTETS, b"") + sasl)


@dataclass(frozen=True, slots=True)
class UnbindRequest:
    """The connection ends; it has no answer."""

    def operation(self) -> bytes:
        """The bytes without message id."""
        return ber.element(_UNBIND, b"")


class Scope(IntEnum):
    """How far below its base a search looks."""

    BASE = 0
    ONE = 1
    SUB = 2


@dataclass(frozen=True, slots=True)
class Search:
    """What is the same in all searches of one kind: made once, at load. Aliases are never followed.

    `attributes`: those that are asked for; () asks for all. `size_limit` in entries, `time_limit` in seconds, 0 for none. ValueError: a
    limit out of range, a filter that is nested too deep.
    """

    filter: Filter
    scope: Scope = Scope.SUB
    attributes: tuple[bytes, ...] = NO_ATTRIBUTES
    size_limit: int = 0
    time_limit: int = 0
    types_only: bool = False
    _before: bytes = field(init=False, repr=False, compare=False)
    """What stands between base and filter."""
    _fill: Fill = field(init=False, repr=False, compare=False)
    _after: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        limits = (self.size_limit, self.time_limit)
        if not all(0 <= limit <= MAX_NUMBER for limit in limits):
            raise ValueError("a search's limit is 0 to 2147483647")
        before = ber.number(ber.ENUMERATED, self.scope) + _NEVER + b"".join(ber.number(ber.INTEGER, limit) for limit in limits)
        attributes = b"".join(ber.element(ber.OCTETS, attribute) for attribute in self.attributes)
        object.__setattr__(self, "_fill", compiled(self.filter))
        object.__setattr__(self, "_before", before + ber.boolean(0x01, self.types_only))
        object.__setattr__(self, "_after", ber.element(ber.SEQUENCE, attributes))

    def operation(self, base: bytes, values: Mapping[str, bytes]) -> bytes:
        """The bytes of one such search, without message id. Raises what the filter's `Fill` raises."""
        return ber.element(_SEARCH, ber.element(ber.OCTETS, base) + self._before + self._fill(values) + self._after)


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search of a kind: below this base, with these values in the filter's places."""

    search: Search
    base: bytes
    values: Mapping[str, bytes] = field(default_factory=dict)

    def operation(self) -> bytes:
        """The bytes without message id. Raises what the filter's `Fill` raises."""
        return self.search.operation(self.base, self.values)


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """Whether the entry has this value in the attribute."""

    name: bytes
    attribute: bytes
    value: bytes

    def operation(self) -> bytes:
        """The bytes without message id."""
        assertion = ber.element(ber.OCTETS, self.attribute) + ber.element(ber.OCTETS, self.value)
        return ber.element(_COMPARE, ber.element(ber.OCTETS, self.name) + ber.element(ber.SEQUENCE, assertion))


@dataclass(frozen=True, slots=True)
class AbandonRequest:
    """Nobody waits for the answer to the request with this number any more. It has no answer itself, and may come too late."""

    abandoned: int

    def operation(self) -> bytes:
        """The bytes without message id."""
        return ber.number(_ABANDON, self.abandoned)


@dataclass(frozen=True, slots=True)
class ExtendedRequest:
    """An operation by its object identifier."""

    name: bytes
    value: bytes | None = None

    def operation(self) -> bytes:
        """The bytes without message id."""
        value = b"" if self.value is None else ber.element(_EXTENDED_VALUE, self.value)
        return ber.element(_EXTENDED, ber.element(_EXTENDED_NAME, self.name) + value)


START_TLS = ExtendedRequest(b"1.3.6.1.4.1.1466.20037")
"""TLS begins with the byte after the answer, which must be the last that was received (rule G3, RFC 4511 section 4.14)."""

WHO_AM_I = ExtendedRequest(b"1.3.6.1.4.1.4203.1.11.3")
"""RFC 4532: the answer's value is the authorization identity, `dn:...` or `u:...`, empty for anonymous."""

Request = BindRequest | AnonymousBind | ExternalBind | UnbindRequest | SearchRequest | CompareRequest | AbandonRequest | ExtendedRequest


def encode(number: int, request: Request) -> bytes:
    """The whole message. ValueError: `number` is not 1 to MAX_NUMBER; a search raises what its filter's `Fill` raises."""
    if not 0 < number <= MAX_NUMBER:
        raise ValueError(f"no message id: {number}")
    return ber.element(ber.SEQUENCE, ber.number(ber.INTEGER, number) + request.operation())
