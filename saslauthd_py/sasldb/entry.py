"""What a Cyrus sasldb2 holds: one record for each property of a user."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

PASSWORD = "userPassword"  # noqa: S105 - the name of a property
"""The property that holds a password, in clear. What else there may be (`cmusaslsecretPLAIN` and the like) is no clear text."""

_SEPARATORS = 2


class SasldbError(Exception):
    """A file that cannot be read as a sasldb2. Its text is one line; `parse` leaves the path to its caller, all else begins with it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One property of a user. `authid` and `realm` are as Cyrus SASL stored them, in no character set; so is `value`, often a password."""

    authid: bytes
    realm: bytes
    property: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Contents:
    """All of a file. `strange` counts the records whose key is not authid, realm and property, each behind the other and a NUL."""

    entries: tuple[Entry, ...]
    strange: int = 0


def contents(records: Iterable[tuple[bytes, bytes]]) -> Contents:
    """The records of any of the formats, key and value."""
    entries = []
    strange = 0
    for key, value in records:
        parts = key.split(b"\0")
        if len(parts) == _SEPARATORS + 1:
            entries.append(Entry(parts[0], parts[1], parts[2].decode(errors="backslashreplace"), value))
        else:
            strange += 1
    return Contents(tuple(entries), strange)
