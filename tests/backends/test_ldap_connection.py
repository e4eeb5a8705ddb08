"""One LDAP connection and a server that does what none should: no answer meets who did not ask, and nothing gets out of hand."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.backends.ldap import connection as connection_module
from saslauthd_py.backends.ldap import link as link_module
from saslauthd_py.backends.ldap.connection import Connection, Reply
from saslauthd_py.backends.ldap.link import Link, LinkBroken
from saslauthd_py.wire.ldap import MAX_NUMBER, Request, SearchRequest, Stream
from tests.backends.ldap_wires import (
    A_BIND,
    A_SEARCH,
    ABANDON,
    BIND,
    COMPARED,
    DONE,
    EXTENDED,
    INTERMEDIATE,
    REFERENCE,
    UNBIND,
    WRONG,
    Peer,
    bind,
    compare,
    connected,
    entry,
    message,
    notice,
    result,
    search,
)


async def lost(connection: Connection, request: Request) -> str:
    """Why it got no answer."""
    with pytest.raises(LinkBroken) as failed:
        await connection.ask(request)
    return str(failed.value)


async def test_answers_come_in_any_order_and_each_meets_who_asked() -> None:
    replies: dict[str, Reply] = {}

    async def ask(uid: str) -> None:
        replies[uid] = await connection.ask(search(uid))

    async with connected() as (connection, peer), trio.open_nursery() as nursery:
        numbers = {}
        for uid in ("alice", "bob", "carol"):
            nursery.start_soon(ask, uid)
            await wait_all_tasks_blocked()
            numbers[uid] = (await peer.request())[0]
        for uid in ("carol", "alice", "bob"):
            await peer.say(entry(numbers[uid], uid.encode()))
        for uid in ("bob", "carol", "alice"):
            await peer.say(result(numbers[uid], DONE))
    assert {uid: [found.name for found in reply.entries] for uid, reply in replies.items()} == {uid: [uid.encode()] for uid in numbers}


@pytest.mark.parametrize("piece", [1, 7])
async def test_answers_may_come_in_any_pieces(piece: int) -> None:
    async with connected() as (connection, peer), trio.open_nursery() as nursery:

        async def answer() -> None:
            number, _ = await peer.request()
            said = entry(number) + message(number, b"\x73\x00") + result(number, DONE)
            for at in range(0, len(said), piece):
                await peer.say(said[at : at + piece])
                await wait_all_tasks_blocked()

        nursery.start_soon(answer)
        reply = await connection.ask(search())
    assert [found.name for found in reply.entries] == [b"uid=alice"]


@pytest.mark.parametrize("request_", [search(), compare(), bind()], ids=lambda request: type(request).__name__)
async def test_g3_server_that_closes_at_any_byte_of_its_answer_has_not_answered(request_: Request) -> None:
    tag = {A_SEARCH: DONE, A_BIND: BIND}
    for length in range(len(result(1, DONE))):
        async with connected() as (connection, peer), trio.open_nursery() as nursery:

            async def cut(peer: Peer = peer, length: int = length) -> None:
                number, asked = await peer.request()
                await peer.say(result(number, tag.get(asked, COMPARED))[:length])
                await peer.stream.aclose()

            nursery.start_soon(cut)
            assert await lost(connection, request_) == "ended the connection"
            assert await lost(connection, request_) == "ended the connection"


STRANGE = {
    "a number that nobody has": lambda number: result(number + 1, BIND),
    "another operation": lambda number: result(number, DONE),
    "an extended answer": lambda number: result(number, EXTENDED),
    "an entry": lambda number: entry(number) + result(number, BIND),
    "a reference": lambda number: message(number, bytes((REFERENCE, 0))) + result(number, BIND),
    "an intermediate answer": lambda number: message(number, bytes((INTERMEDIATE, 0))) + result(number, BIND),
    "number 0": lambda _: result(0, BIND),
    "no LDAP": lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "an indefinite length": lambda number: b"\x30\x80" + result(number, BIND),
    "a length of gigabytes": lambda _: b"\x30\x84\x7f\xff\xff\xff",
    "TLS": lambda _: b"\x16\x03\x01\x02\x00",
    "a request": lambda number: message(number, bind().operation()),
    "garbage within": lambda number: message(number, b"\x61\x03\x0a\x01\x00"),
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
async def test_g3_what_is_no_answer_to_the_bind_ends_the_connection_and_is_none(strange: object) -> None:
    assert callable(strange)
    async with connected() as (connection, peer), trio.open_nursery() as nursery:

        async def answer() -> None:
            number, _ = await peer.request()
            await peer.say(strange(number))

        nursery.start_soon(answer)
        why = await lost(connection, bind())
        assert why
        assert "\n" not in why
        assert connection.lost == why


async def test_g3_second_answer_to_one_request_changes_nothing_and_ends_the_connection() -> None:
    async with connected() as (connection, peer), trio.open_nursery() as nursery:

        async def answer() -> None:
            number, _ = await peer.request()
            await peer.say(result(number, BIND, WRONG), result(number, BIND))

        nursery.start_soon(answer)
        assert (await connection.ask(bind())).result.code == WRONG
        assert connection.lost == "answers what it was not asked"


async def test_g3_late_answer_to_a_cancelled_search_meets_nobody_and_costs_nobody_the_connection() -> None:
    async with connected() as (connection, peer), trio.open_nursery() as nursery:

        async def given_up(scope: trio.CancelScope) -> None:
            with scope:
                await connection.ask(search("mallory"))

        scope = trio.CancelScope()
        nursery.start_soon(given_up, scope)
        number, _ = await peer.request()
        await peer.say(entry(number, b"uid=mallory"))
        await wait_all_tasks_blocked()
        scope.cancel()
        assert await peer.request() == (number + 1, ABANDON)

        async def answer() -> None:
            asked, _ = await peer.request()
            await peer.say(entry(number, b"uid=mallory"), result(number, DONE), entry(asked), result(asked, DONE))

        nursery.start_soon(answer)
        assert [found.name for found in (await connection.ask(search())).entries] == [b"uid=alice"]
        assert not connection.lost
        assert connection.idle


async def test_g3_second_last_answer_to_a_cancelled_search_ends_the_connection() -> None:
    async with connected() as (connection, peer):
        with trio.move_on_after(0):
            await connection.ask(search())
        number, _ = await peer.request()
        await peer.say(result(number, DONE), result(number, DONE))
        await wait_all_tasks_blocked()
        assert connection.lost == "answers what it was not asked"


async def test_oldest_of_many_abandoned_requests_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MOST_ABANDONED", 3)
    async with connected() as (connection, peer):
        numbers = []
        for _ in range(4):
            with trio.move_on_after(0):
                await connection.ask(search())
            numbers.append((await peer.request())[0])
            await peer.request()
        await peer.say(*(result(number, DONE) for number in numbers[1:]))
        await wait_all_tasks_blocked()
        assert not connection.lost
        await peer.say(result(numbers[0], DONE))
        await wait_all_tasks_blocked()
        assert connection.lost


async def test_numbers_begin_anew_and_pass_over_those_that_are_in_use() -> None:
    async with connected() as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(connection.ask, search("first"))
        first, _ = await peer.request()
        connection._number = MAX_NUMBER - 1
        for expected in (MAX_NUMBER, first + 1):
            nursery.start_soon(connection.ask, search())
            number, _ = await peer.request()
            assert number == expected
            await peer.say(result(number, DONE))
        await peer.say(result(first, DONE))


async def test_notice_of_disconnection_ends_it_with_the_server_s_words_in_one_line() -> None:
    async with connected() as (connection, peer), trio.open_nursery() as nursery:

        async def part() -> None:
            await peer.request()
            await peer.say(notice(diagnostic=b"going\ndown \x1b[31m\xff" + b"x" * 9999))

        nursery.start_soon(part)
        why = await lost(connection, search())
    assert why.startswith("ended the connection: unavailable (52): going\\ndown \\x1b[31m\\xff")
    assert len(why) < 300
    assert why.isprintable()


async def test_notice_that_nobody_knows_is_passed_over() -> None:
    async with connected() as (connection, peer), trio.open_nursery() as nursery:
        await peer.say(notice(name=b"1.2.3"))
        nursery.start_soon(peer.answer)
        assert (await connection.ask(bind())).result.code == 0


async def test_messages_that_came_with_the_introduction_are_taken() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    stream = Stream()
    stream.feed(notice())
    with theirs:
        connection = Connection(Link(ours), stream, 1)
        await connection.serve()
    assert connection.lost == "ended the connection: unavailable (52)"


async def endless(peer: Peer, what: str) -> None:
    number, _ = await peer.request()
    piece = {
        "entries": entry(number) * 500,
        "large entries": entry(number, padding=500_000),
        "references": message(number, bytes((REFERENCE, 0))) * 500,
        "intermediate answers": message(number, bytes((INTERMEDIATE, 0))) * 500,
        "notices": notice(name=b"1.2.3") * 500,
    }[what]
    with suppress(trio.BrokenResourceError):
        while True:
            await peer.say(piece)


@pytest.mark.parametrize("what", ["entries", "large entries", "references", "intermediate answers", "notices"])
async def test_g3_endless_answers_end_the_connection_while_all_others_have_their_turn(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MOST_HELD", 1 << 20)
    monkeypatch.setattr(connection_module, "MOST_UNASKED", 1 << 20)
    turns = 0
    async with connected() as (connection, peer), trio.open_nursery() as nursery:

        async def other() -> None:
            nonlocal turns
            while not connection.lost:
                turns += 1
                await trio.lowlevel.checkpoint()

        nursery.start_soon(endless, peer, what)
        nursery.start_soon(other)
        assert "more than 1 MiB" in await lost(connection, search())
    assert turns >= (1 << 20) // link_module.MOST_RECEIVED


async def test_g3_endless_answers_to_a_search_that_was_given_up_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MOST_UNASKED", 1 << 20)
    async with connected() as (connection, peer):
        with trio.move_on_after(0):
            await connection.ask(search())
        await endless(peer, "entries")
        assert "nobody waits for" in connection.lost


async def test_what_searches_hold_is_given_back_when_they_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MOST_HELD", 1000)
    async with connected() as (connection, peer), trio.open_nursery() as nursery:

        async def part() -> None:
            for _ in range(20):
                number, _ = await peer.request()
                await peer.say(entry(number, padding=300), entry(number, padding=300), result(number, DONE))
            number, _ = await peer.request()
            await peer.say(entry(number, padding=600))
            await peer.request()
            await peer.answer()

        nursery.start_soon(part)
        for _ in range(20):
            assert len((await connection.ask(search())).entries) == 2
        with trio.move_on_after(0.01):
            await connection.ask(search())
        assert len((await connection.ask(search())).entries) == 1


async def test_g3_one_huge_message_is_refused_by_its_first_bytes() -> None:
    async with connected() as (connection, peer), trio.open_nursery() as nursery:

        async def part() -> None:
            await peer.request()
            await peer.say(b"\x30\x84\x00\x20\x00\x00")

        nursery.start_soon(part)
        assert "over the 1048576 that one may have" in await lost(connection, search())


async def test_server_that_does_not_read_costs_its_connection_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MOST_UNSENT", 10_000)
    said = []
    async with connected() as (connection, _):

        async def ask() -> None:
            said.append(await lost(connection, search("x" * 5000)))

        async with trio.open_nursery() as nursery:
            while not connection.lost:
                nursery.start_soon(ask)
                await trio.lowlevel.checkpoint()
        assert set(said) == {"does not read what it is sent"}
        await wait_all_tasks_blocked()  # and who was to send the rest has ended without a word


async def test_what_the_socket_does_not_take_at_once_is_sent_whole_and_in_order() -> None:
    names = [f"{number:02}" * 8000 for number in range(40)]
    async with connected() as (connection, peer), trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(connection.ask, search(name))
            await wait_all_tasks_blocked()
        for name in names:
            await peer.answer()
            assert name.encode() in peer.last


async def test_what_is_sent_while_other_bytes_wait_goes_behind_them() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    link = Link(ours)
    async with trio.open_nursery() as nursery, trio.SocketStream(trio.socket.from_stdlib_socket(theirs)) as peer:
        sent = b""
        while link.all_sent:
            link.send(b"0" * 1000)
            sent += b"0" * 1000
        received = bytes(await peer.receive_some(1 << 20))  # there is room again, and the rest of what came before has it
        for letter in (b"1", b"2", b"3"):
            link.send(letter * 1000)
            sent += letter * 1000
        nursery.start_soon(link.flush)
        while len(received) < len(sent):
            received += await peer.receive_some(1 << 20)
        assert received == sent
        link.close()


async def test_request_that_is_cancelled_while_it_waits_to_be_sent_is_sent_whole() -> None:
    async with connected() as (connection, peer):
        for _ in range(40):
            with trio.move_on_after(0):
                await connection.ask(search("x" * 16000))
        tags = [(await peer.request())[1] for _ in range(80)]
        assert tags == [A_SEARCH, ABANDON] * 40


async def test_closing_says_good_bye_and_all_who_wait_are_told() -> None:
    async with connected() as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(lost, connection, search())
        await peer.request()
        connection.close()
        connection.close()
        assert (await peer.request())[1] == UNBIND
        with pytest.raises(trio.EndOfChannel):
            await peer.request()
        assert await lost(connection, search()) == "closed"


async def test_closing_with_bytes_that_were_never_sent_harms_nobody() -> None:
    async with connected() as (connection, _), trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(lost, connection, search("x" * 16000))
        await wait_all_tasks_blocked()
        connection.close()
        await wait_all_tasks_blocked()


async def test_connection_whose_task_is_cancelled_ends_for_all_who_wait() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connection = Connection(Link(ours), Stream(), 0)
    with theirs:
        async with trio.open_nursery() as nursery, trio.open_nursery() as running:
            running.start_soon(connection.serve)
            nursery.start_soon(lost, connection, bind())
            await wait_all_tasks_blocked()
            running.cancel_scope.cancel()
    assert connection.lost == "the daemon is stopping"
    assert ours.fileno() == -1


async def test_e1_fault_of_ours_ends_that_connection_alone_with_a_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Stream) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Stream, "next_message", broken)
    async with connected() as (connection, _):
        assert await lost(connection, search())
    assert "a bug" in caplog.text


async def test_search_whose_filter_cannot_be_filled_sends_nothing_and_leaves_nothing() -> None:
    async with connected() as (connection, peer), trio.open_nursery() as nursery:
        with pytest.raises(KeyError):
            await connection.ask(SearchRequest(search().search, b"dc=test", {}))
        assert connection.idle
        nursery.start_soon(peer.answer)
        assert (await connection.ask(bind())).result.code == 0


async def test_heard_is_when_something_last_came(autojump_clock: MockClock) -> None:
    async with connected() as (connection, peer):
        begun = connection.heard
        await trio.sleep(100)
        assert connection.heard == begun
        await peer.say(notice(name=b"1.2.3"))
        await trio.sleep(1)
        assert connection.heard == begun + 100
