"""What a server says (RFC 4511 section 4), as values. Controls are passed over, whatever their criticality, as section 4.1.11 has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from saslauthd_py.wire.ldap import ber
from saslauthd_py.wire.ldap.ber import Malformed

NOTICE_OF_DISCONNECTION = b"1.3.6.1.4.1.1466.20036"

_REFERRAL, _SASL, _NAME, _VALUE = 0xA3, 0x87, 0x8A, 0x8B
_INTERMEDIATE_NAME, _INTERMEDIATE_VALUE = 0x80, 0x81


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a request. `code` is one of ResultCode, or any other number; texts are as the server sent them.

    `referral`: URIs of servers that may know more, with REFERRAL; they are never followed.
    """

    code: int
    matched_dn: bytes = b""
    diagnostic: bytes = b""
    referral: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class BindResponse(Result):
    """`sasl`: the mechanism's message; EXTERNAL has none."""

    sasl: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SearchResultDone(Result):
    """The last answer to a search."""


@dataclass(frozen=True, slots=True)
class CompareResponse(Result):
    """COMPARE_TRUE or COMPARE_FALSE are the answers; SUCCESS is none."""


@dataclass(frozen=True, slots=True)
class ExtendedResponse(Result):
    """The answer to an ExtendedRequest; with message id 0 an unsolicited notification, `name` says which."""

    name: bytes = b""
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class SearchResultEntry:
    """An entry that was found, with its attributes in the server's order and spelling. Values may be stored passwords."""

    name: bytes
    attributes: tuple[tuple[bytes, tuple[bytes, ...]], ...] = field(default=(), repr=False)

    def values(self, attribute: bytes) -> tuple[bytes, ...]:
        """The values of the attribute with this description, upper or lower case; () where the entry does not show it."""
        wanted = attribute.lower()
        return tuple(value for description, values in self.attributes if description.lower() == wanted for value in values)


@dataclass(frozen=True, slots=True)
class SearchResultReference:
    """The search goes on elsewhere: never followed."""

    uris: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class IntermediateResponse:
    """Not the last answer to its request."""

    name: bytes = b""
    value: bytes | None = None


Answer = (
    BindResponse | SearchResultEntry | SearchResultReference | SearchResultDone | CompareResponse | ExtendedResponse | IntermediateResponse
)


class Message(NamedTuple):
    """An answer with the number of its request; 0: it answers none. `size`: the bytes of the whole message."""

    number: int
    answer: Answer
    size: int


def decode(data: bytes, at: int, end: int) -> tuple[int, Answer]:
    """The number and the answer of the message whose contents are `data[at:end]`. Raises Malformed."""
    number, at = ber.read_number(ber.INTEGER, data, at, end)
    answer = _FREQUENT.get(data[at:end]) or _bare_entry(data, at, end) or _operation(data, at, end)
    if not number and not isinstance(answer, ExtendedResponse):
        raise Malformed("an answer with message id 0, which only a notification has")
    return number, answer


def _bare_entry(data: bytes, at: int, end: int) -> SearchResultEntry | None:
    """The entry that `data[at:end]` is, where it has a name and no attributes, as a login asks for it; None: it is something else."""
    size = end - at - 6  # four octets stand before the name, and two behind it
    if 0 <= size < len(_BARE) and data[at : at + 4] == _BARE[size] and data[end - 2 : end] == b"\x30\x00":
        return SearchResultEntry(data[at + 4 : end - 2])
    return None


def _operation(data: bytes, at: int, end: int) -> Answer:
    tag, at, stop = ber.read(data, at, end)
    answered = _ANSWERS.get(tag)
    if answered is None:
        raise Malformed(f"an operation with tag 0x{tag:02x}, which is no answer to a login's requests")
    answer = answered(data, at, stop)
    return _beside(answer, _optional(data, stop, end)) if stop < end else answer


def _beside(answer: Answer, found: dict[int, bytes]) -> Answer:
    """The answer with what belongs to it and stands behind it. Active Directory puts the name of its notice of disconnection there."""
    if isinstance(answer, ExtendedResponse) and not answer.name and _NAME in found:
        return ExtendedResponse(answer.code, answer.matched_dn, answer.diagnostic, answer.referral, found[_NAME], answer.value)
    return answer


def _result(data: bytes, at: int, end: int) -> tuple[int, bytes, bytes, int]:
    """Code, matched DN and diagnostic message of the LDAPResult at `at`, and where they end."""
    code, at = ber.read_number(ber.ENUMERATED, data, at, end)
    begin, at = ber.expect(ber.OCTETS, data, at, end)
    matched_dn = data[begin:at]
    begin, at = ber.expect(ber.OCTETS, data, at, end)
    return code, matched_dn, data[begin:at], at


def _optional(data: bytes, at: int, end: int) -> dict[int, bytes]:
    """The contents of the elements that end a sequence, by tag. Those with a tag that nobody asks for are ignored (section 4)."""
    found: dict[int, bytes] = {}
    while at < end:
        tag, begin, at = ber.read(data, at, end)
        found.setdefault(tag, data[begin:at])
    return found


def _referral(found: dict[int, bytes]) -> tuple[bytes, ...]:
    uris = found.get(_REFERRAL, b"")
    return ber.read_all(ber.OCTETS, uris, 0, len(uris))


def _bind(data: bytes, at: int, end: int) -> BindResponse:
    code, matched_dn, diagnostic, at = _result(data, at, end)
    found = _optional(data, at, end)
    return BindResponse(code, matched_dn, diagnostic, _referral(found), found.get(_SASL))


def _done(data: bytes, at: int, end: int) -> SearchResultDone:
    code, matched_dn, diagnostic, at = _result(data, at, end)
    return SearchResultDone(code, matched_dn, diagnostic, _referral(_optional(data, at, end)))


def _compare(data: bytes, at: int, end: int) -> CompareResponse:
    code, matched_dn, diagnostic, at = _result(data, at, end)
    return CompareResponse(code, matched_dn, diagnostic, _referral(_optional(data, at, end)))


def _extended(data: bytes, at: int, end: int) -> ExtendedResponse:
    code, matched_dn, diagnostic, at = _result(data, at, end)
    found = _optional(data, at, end)
    return ExtendedResponse(code, matched_dn, diagnostic, _referral(found), found.get(_NAME, b""), found.get(_VALUE))


def _entry(data: bytes, at: int, end: int) -> SearchResultEntry:
    begin, at = ber.expect(ber.OCTETS, data, at, end)
    name = data[begin:at]
    at, stop = ber.expect(ber.SEQUENCE, data, at, end)
    _optional(data, stop, end)
    attributes = []
    while at < stop:
        at, next_at = ber.expect(ber.SEQUENCE, data, at, stop)
        attributes.append(_attribute(data, at, next_at))
        at = next_at
    return SearchResultEntry(name, tuple(attributes))


def _attribute(data: bytes, at: int, end: int) -> tuple[bytes, tuple[bytes, ...]]:
    begin, at = ber.expect(ber.OCTETS, data, at, end)
    description = data[begin:at]
    at, stop = ber.expect(ber.SET, data, at, end)
    _optional(data, stop, end)
    return description, ber.read_all(ber.OCTETS, data, at, stop)


def _reference(data: bytes, at: int, end: int) -> SearchResultReference:
    return SearchResultReference(ber.read_all(ber.OCTETS, data, at, end))


def _intermediate(data: bytes, at: int, end: int) -> IntermediateResponse:
    found = _optional(data, at, end)
    return IntermediateResponse(found.get(_INTERMEDIATE_NAME, b""), found.get(_INTERMEDIATE_VALUE))


_ANSWERS: dict[int, Callable[[bytes, int, int], Answer]] = {
    0x61: _bind,
    0x64: _entry,
    0x73: _reference,
    0x65: _done,
    0x6F: _compare,
    0x78: _extended,
    0x79: _intermediate,
}
"""By the operation's tag."""

_FREQUENT: dict[bytes, Answer] = {
    bytes([tag, *length]) + said: _operation(bytes([tag, *length]) + said, 0, 1 + len(length) + len(said))
    for tag in (0x61, 0x65, 0x6F)
    for said in (b"\x0a\x01%c\x04\x00\x04\x00" % code for code in (0, 5, 6, 49))
    for length in (b"\x07", b"\x84\x00\x00\x00\x07")
}
"""Results without a word, as OpenLDAP and Active Directory write them, read once: nearly all that a login hears."""

_BARE = tuple(bytes([0x64, size + 4, ber.OCTETS, size]) for size in range(0x80 - 4))
"""How an entry begins that has nothing but a name of so many octets, and all lengths in one."""
