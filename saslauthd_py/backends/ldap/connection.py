"""One connection to one server: many requests under way, each answered under its number, and none answered by another's (rule G3)."""

from __future__ import annotations

import logging
from contextlib import suppress

import trio

from saslauthd_py.backends.ldap.link import Link, LinkBroken, Silent
from saslauthd_py.waits import Parked, Waits
from saslauthd_py.wire.ldap import (
    MAX_NUMBER,
    NOTICE_OF_DISCONNECTION,
    AbandonRequest,
    AnonymousBind,
    Answer,
    BindRequest,
    BindResponse,
    CompareRequest,
    CompareResponse,
    ExtendedRequest,
    ExtendedResponse,
    ExternalBind,
    Fault,
    Message,
    Request,
    Result,
    SearchRequest,
    SearchResultDone,
    SearchResultEntry,
    Stream,
    UnbindRequest,
    describe,
    encode,
)

_logger = logging.getLogger(__name__)

MOST_HELD = 4 << 20
"""Bytes of answers to all searches of one connection that are not over."""

MOST_UNASKED = 4 << 20
"""Bytes that nobody waits for, without an answer to anybody between them."""

MOST_ABANDONED = 1024
"""Requests that were given up and may still be answered; beyond that the oldest are taken for over."""

_MOST_TOLD = 200

LAST: dict[type[Request], type[Result]] = {
    BindRequest: BindResponse,
    AnonymousBind: BindResponse,
    ExternalBind: BindResponse,
    SearchRequest: SearchResultDone,
    CompareRequest: CompareResponse,
    ExtendedRequest: ExtendedResponse,
}
"""By request, the answer that is its last; to all but a search the only one."""


class TooMuch(LinkBroken):
    """The answer to this very request is more than one may be, and would be again: a fault of what was asked for, not of the server."""


class Reply:
    """All that came for one request."""

    __slots__ = ("entries", "result")

    def __init__(self, result: Result, entries: tuple[SearchResultEntry, ...] = ()) -> None:
        self.result = result
        self.entries = entries


class _Asked(Parked):
    """A request under way, and the task that is parked until it is answered. `size`: the bytes of the answers that are not the last.

    `too_much`: one of them is over what one may have.
    """

    __slots__ = ("entries", "last", "result", "size", "too_much")

    def __init__(self, last: type[Result], task: trio.lowlevel.Task | None) -> None:
        super().__init__(task)
        self.last = last
        self.entries: list[SearchResultEntry] = []
        self.size = 0
        self.too_much = False
        self.result: Result | None = None


class Connection:
    """An open connection, introduced by the request with this `number`, 0 for none. Many may `ask` at once, where the caller runs `serve`;
    without that, one after the other may `ask_alone`.

    `lost`: why it is over, one line; empty: it is not. `heard`: when something last came, by trio's clock.
    """

    def __init__(self, link: Link, stream: Stream, number: int) -> None:
        self.lost = ""
        self.heard = trio.current_time()
        self._link = link
        self._stream = stream
        self._number = number
        self._asked: dict[int, _Asked] = {}
        self._abandoned: dict[int, None] = {}
        self._held = 0
        self._unasked = 0
        self._too_slow = False

    @property
    def idle(self) -> bool:
        """Nobody waits for an answer."""
        return not self._asked

    def quiet(self) -> bool:
        """Where nobody asks, and nobody runs `serve`: it is not over, and the server has said nothing."""
        return not self.lost and not self._stream.pending and self._link.quiet()

    async def serve(self) -> None:
        """Until it is lost or closed. Never raises, but for cancellation, whatever the server does."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_sending)
                await self._receive()
                nursery.cancel_scope.cancel()
        except Exception:
            _logger.exception("a connection to an LDAP server is given up for a fault of this program")
        finally:
            self._end("the daemon is stopping")

    async def ask(self, request: Request, waits: Waits | None = None) -> Reply:
        """Send it, and wait for its answer, as one of `waits`. Cancelled, it is abandoned.

        Raises LinkBroken: no answer will come; TooMuch; Silent: none has come in time. A bind that was cancelled or too slow is not over
        for the server: the caller closes the connection (rule G3).
        """
        number, asked = self._send(request, trio.lowlevel.current_task())
        waits = Waits() if waits is None else waits
        waits.begin(asked, trio.current_time())
        try:
            await trio.lowlevel.wait_task_rescheduled(asked.give_up)
        except trio.Cancelled:
            self._abandon(number)
            raise
        finally:
            waits.over(asked)
        if not asked.in_time:
            self._abandon(number)
            raise Silent(f"no answer within {waits.seconds:g} s")
        return self._reply(asked)

    async def ask_alone(self, request: Request, waits: Waits, now: float) -> Reply:
        """As `ask`, but who asks reads the answer too, which spares the turn of a reader's task. `now`: trio's clock.

        Cancelled or too slow, it is closed: an answer that comes late meets nobody (rule G3).
        """
        _, asked = self._send(request, None)
        waits.begin(self, now)
        try:
            await self._receive(asked)
        except BaseException:
            self.close()
            raise
        finally:
            waits.over(self)
        return self._reply(asked)

    def late(self, seconds: float, /) -> None:
        """As `Wait.late`, of the request that is asked alone, or of a rest between two."""
        self._too_slow = True
        self.close(f"no answer within {seconds:g} s")

    def close(self, why: str = "closed") -> None:
        """Say good-bye and end it. Any number of times; whoever waits gets LinkBroken with `why`."""
        if not self.lost:
            with suppress(LinkBroken):
                self._link.send(encode(self._next_number(), UnbindRequest()))
            self._end(why)

    def _send(self, request: Request, task: trio.lowlevel.Task | None) -> tuple[int, _Asked]:
        if self.lost:
            raise LinkBroken(self.lost)
        number = self._next_number()
        message = encode(number, request)
        asked = _Asked(LAST[type(request)], task)
        try:
            self._link.send(message)
        except LinkBroken as error:
            self._end(str(error))
            raise
        self._asked[number] = asked
        return number, asked

    def _reply(self, asked: _Asked) -> Reply:
        if asked.result is not None:
            return Reply(asked.result, tuple(asked.entries))
        if self._too_slow:
            raise Silent(self.lost)
        raise (TooMuch if asked.too_much else LinkBroken)(self.lost)

    async def _receive(self, until: _Asked | None = None) -> None:
        """All that comes, or as long as that one has no answer."""
        try:
            self._take_all()
            if until is not None and not self._link.all_sent:
                await self._link.flush()
            while not (self.lost or (until is not None and until.result is not None)):
                data = await self._link.receive()
                if not data:
                    raise LinkBroken("ended the connection")
                self.heard = trio.current_time()
                self._stream.feed(data)
                self._take_all()
        except LinkBroken as error:
            self._end(str(error))

    async def _keep_sending(self) -> None:
        try:
            await self._link.keep_sending()
        except LinkBroken as error:
            self._end(str(error))

    def _take_all(self) -> None:
        """Raises LinkBroken for what is no answer to what was asked."""
        while message := self._stream.next_message():
            if isinstance(message, Fault):
                if message.number in self._asked:
                    self._asked[message.number].too_much = True
                raise LinkBroken(message.text)
            self._take(message)

    def _take(self, message: Message) -> None:
        number, answer, size = message
        asked = self._asked.get(number)
        if asked is None:
            self._take_unasked(number, answer, size)
        elif isinstance(answer, asked.last):
            del self._asked[number]  # whatever else comes under this number meets nobody
            self._held -= asked.size
            self._unasked = 0
            asked.result = answer
            asked.wake()
        elif asked.last is not SearchResultDone or isinstance(answer, Result):
            raise LinkBroken("answers with another operation than it was asked for")
        else:
            asked.size += size
            self._held += size
            if self._held > MOST_HELD:
                raise LinkBroken(f"answers searches with more than {MOST_HELD >> 20} MiB")
            if isinstance(answer, SearchResultEntry):
                asked.entries.append(answer)

    def _take_unasked(self, number: int, answer: Answer, size: int) -> None:
        if not number:
            if isinstance(answer, ExtendedResponse) and answer.name == NOTICE_OF_DISCONNECTION:
                raise LinkBroken(f"ended the connection: {told(answer)}")
        elif number not in self._abandoned:
            raise LinkBroken("answers what it was not asked")
        elif isinstance(answer, Result):
            del self._abandoned[number]
        self._unasked += size
        if self._unasked > MOST_UNASKED:
            raise LinkBroken(f"sends more than {MOST_UNASKED >> 20} MiB that nobody waits for")

    def _abandon(self, number: int) -> None:
        asked = self._asked.pop(number, None)
        if asked is None:
            return
        self._held -= asked.size
        if len(self._abandoned) >= MOST_ABANDONED:
            del self._abandoned[next(iter(self._abandoned))]
        self._abandoned[number] = None
        try:
            self._link.send(encode(self._next_number(), AbandonRequest(number)))
        except LinkBroken as error:
            self._end(str(error))

    def _next_number(self) -> int:
        """One that nobody has now: a busy connection comes to the last one within days, and begins anew."""
        while True:
            self._number = self._number % MAX_NUMBER + 1
            if self._number not in self._asked and self._number not in self._abandoned:
                return self._number

    def _end(self, why: str) -> None:
        if self.lost:
            return
        self.lost = why
        self._link.close()
        asked, self._asked = self._asked, {}
        for each in asked.values():
            each.wake()


def told(result: Result) -> str:
    """What a server says came of a request, for a log: the code, and the server's own words, of which none can end the line."""
    words = result.diagnostic.strip(b"\0 \r\n")[:_MOST_TOLD].decode("utf-8", "backslashreplace")
    shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in words)
    return f"{describe(result.code)}{': ' if shown else ''}{shown}"
