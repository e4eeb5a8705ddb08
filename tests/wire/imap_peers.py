"""A server of IMAP that reads from a script: each of its lines after what the client has to send first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from saslauthd_py.secret import Secret
from saslauthd_py.wire.imap import Client, Dialogue, ImapFault, Response, Stream

_T = TypeVar("_T")

NAME, SECRET = b"alice@example.org", Secret(b'p w\r\n"\\ \xff{3}')
MESSAGE = b"AGFsaWNlQGV4YW1wbGUub3JnAHAgdw0KIlwg/3szfQ=="
"""Of PLAIN, of these two."""


@dataclass(frozen=True, slots=True)
class Script:
    """`turns`: what the client sends, and what the server says then."""

    turns: tuple[tuple[bytes, bytes], ...]

    @property
    def said(self) -> int:
        """Bytes of all that the server says."""
        return sum(len(said) for _, said in self.turns)


class CutOff(Exception):
    """The server says no more."""


@dataclass(slots=True)
class Talk:
    """A connection to the script, of which the first `whole` bytes come, and `piece` at once."""

    script: Script
    whole: int = 1 << 30
    piece: int = 1 << 30
    client: Client = field(default_factory=Client)
    stream: Stream = field(default_factory=Stream)
    greeted: bool = False

    def run(self, turns: Iterator[tuple[bytes, bytes]], dialogue: Dialogue[_T]) -> _T:
        try:
            data = next(dialogue)
            while True:
                if data or not self.greeted:
                    self._turn(*next(turns), data)
                data = dialogue.send(self._response())
        except StopIteration as over:
            return over.value  # type: ignore[no-any-return]  # a generator's value has no type

    def _turn(self, wanted: bytes, said: bytes, sent: bytes) -> None:
        assert sent == wanted
        self.greeted = True
        said = said[: max(self.whole, 0)]
        self.whole -= len(said)
        for at in range(0, len(said), self.piece):
            self.stream.feed(said[at : at + self.piece])

    def _response(self) -> Response:
        response = self.stream.next_response()
        if response is None:
            raise CutOff
        return response


def login(script: Script, *, whole: int = 1 << 30, piece: int = 1 << 30, name: bytes = NAME, secret: Secret = SECRET) -> Response:
    """From the greeting to the answer. Raises ImapFault, CutOff."""
    talk, turns = Talk(script, whole, piece), iter(script.turns)
    talk.run(turns, talk.client.greeting())
    talk.run(turns, talk.client.capabilities())
    return talk.run(turns, talk.client.login(name, secret))


def fault(script: Script) -> str:
    """Why no login could be made."""
    try:
        said = login(script)
    except ImapFault as error:
        return str(error)
    raise AssertionError(f"answered {said}")


def script(*turns: Sequence[bytes]) -> Script:
    return Script(tuple((sent, said) for sent, said in turns))
