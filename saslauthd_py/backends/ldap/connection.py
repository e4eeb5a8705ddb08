"""One connection to one server: many requests under way, each answered under its number, and none answered by another's (rule G3)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import trio

from saslauthd_py.backends.ldap.link import Link, LinkBroken
from saslauthd_py.wire.ldap import (
    NOTICE_OF_DISCONNECTION,
    AbandonRequest,
    BindRequest,
    BindResponse,
    CompareRequest,
    CompareResponse,
    ExtendedRequest,
    ExtendedResponse,
    Fault,
    Message,
    Request,
    Result,
    SearchRequest,
    SearchResultDone,
    SearchResultEntry,
    Stream,
    UnbindRequest,
    encode,
)

MOST_OF_A_SEARCH = 16 << 20
"""Bytes of all answers to one search together."""

_MOST_ABANDONED = 1024
_LAST: dict[type[Request], type[Result]] = {
    BindRequest: BindResponse,
    SearchRequest: SearchResultDone,
    CompareRequest: CompareResponse,
    ExtendedRequest: ExtendedResponse,
}
"""By request, the answer that is its last."""


@dataclass(frozen=True, slots=True)
class Reply:
    """All that came for one request."""

    result: Result
    entries: tuple[SearchResultEntry, ...] = ()


@dataclass(slots=True)
class _Asked:
    request: Request
    entries: list[SearchResultEntry] = field(default_factory=list)
    size: int = 0
    result: Result | None = None
    answered: trio.Event = field(default_factory=trio.Event)


class Connection:
    """An open connection, of which `stream` has taken every byte that came. `serve` must run while it is used.

    `lost`: why it is over, one line; empty: it is not.
    """

    def __init__(self, link: Link, stream: Stream, number: int) -> None:
        self.lost = ""
        self._link = link
        self._stream = stream
        self._number = number
        self._asked: dict[int, _Asked] = {}
        self._abandoned: dict[int, None] = {}

    async def serve(self) -> None:
        """Until it is lost or closed. Never raises for what the server does."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_sending)
                await self._receive()
                nursery.cancel_scope.cancel()
        finally:
            self._end("the daemon is stopping")

    async def ask(self, request: Request) -> Reply:
        """Send it, and wait for its answer. Raises LinkBroken: no answer will come. Cancelled, it is abandoned.

        A bind that was cancelled is not over for the server: the caller closes the connection (rule G3).
        """
        if self.lost:
            raise LinkBroken(self.lost)
        self._number += 1
        number, asked = self._number, _Asked(request)
        self._asked[number] = asked
        try:
            self._link.send(encode(number, request))
            await asked.answered.wait()
        except LinkBroken as error:
            self._end(str(error))
            raise
        except trio.Cancelled:
            self._abandon(number)
            raise
        finally:
            self._asked.pop(number, None)
        if asked.result is None:
            raise LinkBroken(self.lost)
        return Reply(asked.result, tuple(asked.entries))

    def close(self) -> None:
        """Say good-bye and end it. Any number of times; whoever waits gets LinkBroken."""
        if not self.lost:
            self._number += 1
            with suppress(LinkBroken):
                self._link.send(encode(self._number, UnbindRequest()))
            self._end("closed")

    async def _receive(self) -> None:
        try:
            while data := await self._link.receive():
                self._stream.feed(data)
                while message := self._stream.next_message():
                    if why := message.text if isinstance(message, Fault) else self._take(message):
                        self._end(why)
                        return
            self._end("ended the connection")
        except LinkBroken as error:
            self._end(str(error))
        except trio.ClosedResourceError:
            return

    async def _keep_sending(self) -> None:
        try:
            await self._link.keep_sending()
        except LinkBroken as error:
            self._end(str(error))
        except trio.ClosedResourceError:
            return

    def _take(self, message: Message) -> str:
        """Hand an answer to who asked; what is wrong with it, empty: nothing."""
        number, answer, size = message
        if not number:
            notice = isinstance(answer, ExtendedResponse) and answer.name == NOTICE_OF_DISCONNECTION
            return f"ended the connection: {answer.diagnostic.decode(errors='replace')}" if notice and isinstance(answer, Result) else ""
        asked = self._asked.get(number)
        if asked is None:
            return "" if number in self._abandoned else "answers what it was not asked"
        asked.size += size
        if asked.size > MOST_OF_A_SEARCH:
            return f"answers one search with more than {MOST_OF_A_SEARCH >> 20} MiB"
        if isinstance(answer, SearchResultEntry):
            asked.entries.append(answer)
        elif isinstance(answer, Result):
            if not isinstance(answer, _LAST.get(type(asked.request), BindResponse)):
                return "answers with another operation than it was asked for"
            asked.result = answer
            asked.answered.set()
        return ""

    def _abandon(self, number: int) -> None:
        asked = self._asked.get(number)
        if asked is None or self.lost or not isinstance(asked.request, SearchRequest | CompareRequest):
            return
        if len(self._abandoned) >= _MOST_ABANDONED:
            del self._abandoned[next(iter(self._abandoned))]
        self._abandoned[number] = None
        self._number += 1
        try:
            self._link.send(encode(self._number, AbandonRequest(number)))
        except LinkBroken as error:
            self._end(str(error))

    def _end(self, why: str) -> None:
        if self.lost:
            return
        self.lost = why
        self._link.close()
        for asked in self._asked.values():
            asked.answered.set()
