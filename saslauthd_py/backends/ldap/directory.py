"""What the decisions ask of a directory, and what it says: the one seam between them and the wires."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from saslauthd_py.wire.ldap import BindRequest, CompareRequest, SearchRequest, SearchResultEntry


class Answer(NamedTuple):
    """What one server said. `code` is one of `wire.ldap.ResultCode` or any other number, `diagnostic` the server's own text.

    `server` is its URI. `entries` are those that a search found there; references to other servers are left out, and never followed.
    """

    code: int
    diagnostic: str
    server: str
    entries: tuple[SearchResultEntry, ...] = ()


class DirectoryFailed(Exception):
    """No server has answered, and no secret was sent. Its text is one line: which servers, and what was wrong with each."""


class LinkLost(DirectoryFailed):
    """A secret was sent, and no answer came in time, or ever: it may have been judged (rule D9)."""


class Directory(Protocol):
    """The servers of a backend, taken for one. Each question is answered, or raises, within a time of its own, and may be cancelled."""

    async def search(self, request: SearchRequest) -> Answer:
        """As the service's identity, on a connection that others use meanwhile. Raises DirectoryFailed.

        What it found comes whole: `entries` never lack one that the server has sent, whatever `code` says.
        """

    async def compare(self, request: CompareRequest) -> Answer:
        """As `search`."""

    async def bind(self, request: BindRequest) -> Answer:
        """A fresh bind, on a connection that nobody else uses before it is answered. Raises DirectoryFailed, LinkLost.

        Cancelled or out of time, it closes that connection: no later login gets its answer (rule G3).
        """
