"""LDAP's other sides: the conversations that OpenLDAP had, ldap3's encoder, and a server that writes every length in four octets."""

from __future__ import annotations

import functools
import re
import warnings
from pathlib import Path
from typing import Any

from saslauthd_py.wire.ldap import And, Compare, Comparison, Extensible, Fault, Filter, Message, Not, Or, Place, Present, Stream, Substrings
from saslauthd_py.wire.ldap.filters import Value

with warnings.catch_warnings():  # ldap3 2.9.1 imports names that pyasn1 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from ldap3.operation.search import compile_filter, parse_filter
    from ldap3.protocol import rfc4511 as rfc4511
    from ldap3.utils.asn1 import encode as ldap3_encode  # type: ignore[attr-defined]  # its stubs leave it out

VECTORS = Path(__file__).parent.parent / "vectors" / "openldap-ldap.txt"


@functools.cache
def recorded() -> dict[str, tuple[list[bytes], list[bytes]]]:
    """What client and server said, by the conversation's name."""
    said: dict[str, tuple[list[bytes], list[bytes]]] = {}
    for line in VECTORS.read_text().splitlines():
        if begin := re.match(r"# ([a-z-]+):", line):
            client, server = said.setdefault(begin[1], ([], []))
        elif line and not line.startswith("#"):
            (client if line.startswith("C") else server).append(bytes.fromhex(line[3:]))
    return said


def answers() -> list[bytes]:
    """Everything that slapd said, one message each."""
    return [message for _, server in recorded().values() for message in server]


def taken(stream: Stream) -> list[Message | Fault]:
    """What the stream has."""
    found = []
    while (message := stream.next_message()) is not None:
        found.append(message)
    return found


def read(data: bytes) -> list[Message | Fault]:
    """What a stream makes of `data` in one piece."""
    stream = Stream()
    stream.feed(data)
    return taken(stream)


def one(data: bytes) -> Message:
    """The one message that `data` is."""
    (message,) = read(data)
    assert isinstance(message, Message), message
    return message


def by_ldap3(number: int, operation: str, value: Any, controls: Any = None) -> bytes:
    """The message as ldap3 writes it; `operation`: the name of the choice in RFC 4511."""
    message = rfc4511.LDAPMessage()
    message["messageID"] = rfc4511.MessageID(number)
    message["protocolOp"] = rfc4511.ProtocolOp().setComponentByName(operation, value)
    if controls is not None:
        message["controls"] = controls
    return bytes(ldap3_encode(message))


def parsed(text: str) -> Any:
    """ldap3's node for the text of a filter."""
    return parse_filter(text, None, False, False, None, False).elements[0]  # type: ignore[no-untyped-call]


def filter_by_ldap3(text: str) -> bytes:
    """The bytes of the filter that ldap3 makes of its text."""
    return bytes(ldap3_encode(compile_filter(parsed(text))))  # type: ignore[no-untyped-call]


def as_filter(node: Any) -> Filter:
    """Our filter from ldap3's node; `%x` in a value is the place `x`."""
    if node.tag in (1, 2):
        return (And if node.tag == 1 else Or)(tuple(as_filter(element) for element in node.elements))
    if node.tag == 3:
        return Not(as_filter(node.elements[0]))
    found = node.assertion
    attribute = (found["attr"] or "").encode()
    if node.tag == 8:
        return Present(attribute)
    if node.tag == 9:
        middle = tuple(as_value(part) for part in found.get("any", ()))
        return Substrings(attribute, as_value(found.get("initial", b"")), middle, as_value(found.get("final", b"")))
    value = as_value(found["value"])
    if node.tag == 7:
        return Extensible(value, attribute, (found["matchingRule"] or "").encode(), found["dnAttributes"])
    return Compare(attribute, value, _COMPARISONS[node.tag])


_COMPARISONS = {4: Comparison.APPROX, 5: Comparison.GREATER_OR_EQUAL, 6: Comparison.LESS_OR_EQUAL, 10: Comparison.EQUAL}


def as_value(text: bytes) -> Value:
    """An assertion value from its text with escapes and places."""
    parts = re.split(rb"(%[A-Za-z])", text)
    return tuple(Place(part[1:].decode()) if part.startswith(b"%") else _unescaped(part) for part in parts if part)


def _unescaped(text: bytes) -> bytes:
    return re.sub(rb"\\([0-9a-f]{2})", lambda escape: bytes.fromhex(escape[1].decode()), text)


def padded(tag: int, *contents: bytes) -> bytes:
    """An element as Active Directory writes it: where it holds others, its length always has four octets."""
    body = b"".join(contents)
    return bytes((tag, 0x84)) + len(body).to_bytes(4, "big") + body


def plain(tag: int, body: bytes) -> bytes:
    """An element of less than 128 octets."""
    return bytes((tag, len(body))) + body
