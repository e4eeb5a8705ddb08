"""One response of a server: a line, taken apart as far as a login looks at it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

UNTAGGED, CONTINUATION = b"*", b"+"

_CODE = re.compile(rb"\[([!-\\^-~]+)(?: ([^\]]*))?\] ?(.*)", re.DOTALL)
_MOST_SHOWN = 200


class ImapFault(Exception):
    """The server does not speak IMAP, or ends it, or cannot take a login. Its text is one line, without the server's name."""


class Status(StrEnum):
    """What a server says came of something (RFC 3501 section 7.1)."""

    OK = "OK"
    NO = "NO"
    BAD = "BAD"
    BYE = "BYE"
    PREAUTH = "PREAUTH"


_COMPLETIONS = frozenset({Status.OK, Status.NO, Status.BAD})


@dataclass(frozen=True, slots=True)
class Response:
    """`tag`: UNTAGGED, CONTINUATION, or the command's own. `word`: a Status, or what kind of data it is, in upper case.

    `code` is the response code, in upper case, with its `argument`; empty: there is none. `text` is all that follows.
    """

    tag: bytes
    word: str
    text: bytes = b""
    code: str = ""
    argument: bytes = b""


def parse(line: bytes) -> Response:
    """A response without its line end. Raises ImapFault."""
    tag, _, rest = line.partition(b" ")
    if tag == CONTINUATION:
        return Response(CONTINUATION, "", rest)
    word, _, text = rest.partition(b" ")
    name = word.upper().decode("ascii", "replace")
    if not tag or not name:
        raise ImapFault("no IMAP: a response begins with a tag and a word")
    known = Status(name) if name in Status.__members__ else None
    if known is None or (tag != UNTAGGED and known not in _COMPLETIONS):
        if tag != UNTAGGED:
            raise ImapFault("no IMAP: a command is answered with neither OK nor NO nor BAD")
        return Response(UNTAGGED, name, text)
    coded = _CODE.fullmatch(text)
    if coded is None:
        return Response(tag, known, text)
    return Response(tag, known, coded[3], coded[1].upper().decode(), coded[2] or b"")


def holds_data(line: bytes) -> bool:
    """Whether a line is of untagged data, in which alone a literal may stand: a text may end in `{5}` and mean it."""
    tag, _, rest = line.partition(b" ")
    return tag == UNTAGGED and rest.partition(b" ")[0].upper().decode("ascii", "replace") not in Status.__members__


def shown(text: bytes) -> str:
    """A server's own words for a log: of one line, and cut."""
    words = text.strip()[:_MOST_SHOWN].decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in words)
