"""LDAP servers that are slow, silent, gone and back again: who is asked, who is told what and when, and what is left behind."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.backends.ldap import pool, standing
from saslauthd_py.backends.ldap.connection import TooMuch
from saslauthd_py.backends.ldap.directory import Answer, DirectoryFailed, LinkLost
from saslauthd_py.backends.ldap.link import LinkBroken, Silent
from saslauthd_py.backends.ldap.opening import Manner
from saslauthd_py.backends.ldap.server import Server, Unreachable
from saslauthd_py.backends.ldap.servers import Servers
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.secret import Secret
from saslauthd_py.wire.ldap import BindRequest, SearchRequest, ber
from tests.backends.ldap_wires import (
    A_BIND,
    A_SEARCH,
    ANONYMOUS,
    BIND,
    DONE,
    WRONG,
    Fake,
    Part,
    Peer,
    asked,
    bind,
    entry,
    result,
    search,
    serving,
    silence,
    until,
)

T = 5.0


async def answers_searches_only(peer: Peer) -> None:
    """The service and searches are answered; binds of users are not."""
    while True:
        number, tag = await peer.request()
        if tag == A_SEARCH:
            await peer.say(entry(number), result(number, DONE))
        elif b"cn=service" in peer.last:
            await peer.say(result(number, BIND))


async def failing(server: Server, request: SearchRequest | BindRequest) -> tuple[type[LinkBroken], str, float]:
    """How and when it fails."""
    began = trio.current_time()
    with pytest.raises(LinkBroken) as failed:
        await (server.bind(request) if isinstance(request, BindRequest) else server.ask(request))
    return failed.type, str(failed.value), trio.current_time() - began


def why(server: Server) -> str:
    """Its cause, which changes behind mypy's back."""
    return server.cause


async def many(server: Server, *requests: SearchRequest | BindRequest) -> list[tuple[type[LinkBroken], str, float]]:
    """All at once."""
    found = []

    async def one(request: SearchRequest | BindRequest) -> None:
        found.append(await failing(server, request))

    async with trio.open_nursery() as nursery:
        for request in requests:
            nursery.start_soon(one, request)
    return found


async def test_searches_share_a_connection_and_binds_have_as_many_as_there_may_be(tmp_path: Path) -> None:
    fake = Fake(tmp_path / "ldapi", serving)
    async with asked(fake, connections=3) as server:
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(server.ask, search(str(number)))
                nursery.start_soon(server.bind, bind(str(number)))
        assert len(fake.peers) == fake.most_open <= 4


async def test_d8_silent_server_fails_each_request_in_time_and_is_down_after_three_accounts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    fake = Fake(tmp_path / "ldapi", answers_searches_only)
    async with asked(fake) as server:
        await server.ask(search())
        failed = await many(server, bind("a"), bind("b"))
        assert {each[1:] for each in failed} == {("no answer within 5 s", T)}
        assert not server.cause
        await server.ask(search())  # it has answered another: those two may be their accounts' own faults
        await many(server, bind("a"), bind("b"))
        assert not server.cause
        await many(server, bind("c"))
        assert why(server) == "no answer within 5 s"
        assert (await failing(server, bind("d")))[::2] == (Unreachable, 0)


async def test_d8_one_account_is_never_enough(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with asked(Fake(tmp_path / "ldapi", answers_searches_only)) as server:
        for _ in range(5):
            await many(server, bind("mallory"), bind("mallory"))
        assert not server.cause


async def test_d8_entry_that_is_too_large_is_its_accounts_fault_however_the_name_is_spelled(tmp_path: Path) -> None:
    asked_for = []

    async def part(peer: Peer) -> None:
        while True:
            number, tag = await peer.request()
            if tag == A_SEARCH and b"mallory" in peer.last.lower():
                asked_for.append(number)
                await peer.say(b"\x30\x84\x10\x00\x00\x00", ber.number(ber.INTEGER, number))
            elif tag == A_SEARCH:
                await peer.say(entry(number), result(number, DONE))
            elif tag == A_BIND:
                await peer.say(result(number, BIND))

    async with asked(Fake(tmp_path / "ldapi", part)) as server:
        for spelling in ("mallory", "Mallory", "MALLORY", "mAllory"):
            failed, why, _ = await failing(server, search(spelling))
            assert failed is TooMuch
            assert "over the 1048576 that one may have" in why
        assert not server.cause
        assert len(asked_for) == 4  # it would be as large again
        assert (await server.ask(search())).entries


async def test_frozen_server_holds_nobody_longer_than_its_time_however_many_come(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with asked(Fake(tmp_path / "ldapi", silence)) as server:
        failed = await many(server, *(search(str(number)) for number in range(30)))
        assert max(seconds for _, _, seconds in failed) <= T
        assert server.cause == "no answer within 5 s"


async def test_binds_that_wait_for_a_connection_give_up_in_time(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with asked(Fake(tmp_path / "ldapi", answers_searches_only), connections=2) as server:
        failed = await many(server, *(bind(str(number)) for number in range(20)))
        assert max(seconds for _, _, seconds in failed) <= T
        assert sum(said.startswith("all connections for binds are in use") for _, said, _ in failed) == 18


async def test_login_that_is_cancelled_while_it_opens_does_not_cut_short_the_opening(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def slow(peer: Peer) -> None:
        await trio.sleep(T - 1)
        await peer.serve()

    fake = Fake(tmp_path / "ldapi", slow)
    async with asked(fake) as server:
        with trio.move_on_after(1):
            await server.ask(search())
        assert (await server.ask(search())).result.code == 0
        assert len(fake.peers) == 1


async def test_g3_bind_that_is_cancelled_or_out_of_time_closes_its_connection(tmp_path: Path, autojump_clock: MockClock) -> None:
    ended = []

    async def play(peer: Peer) -> None:
        number, tag = await peer.request()
        assert tag == A_BIND
        with suppress(trio.EndOfChannel):
            while True:
                await peer.request()
        ended.append(trio.current_time())
        with suppress(trio.BrokenResourceError):
            await peer.say(result(number, BIND))  # too late

    fake = Fake(tmp_path / "ldapi", play)
    async with asked(fake) as server:
        began = trio.current_time()
        with trio.move_on_after(1):
            await server.bind(bind())
        await wait_all_tasks_blocked()
        await failing(server, bind())
        await wait_all_tasks_blocked()
        assert [at - began for at in ended[:2]] == [1, 1 + T]


async def test_server_that_is_gone_is_down_at_once_and_back_within_two_seconds(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    fake = Fake(tmp_path / "ldapi", serving)
    async with trio.open_nursery() as nursery:
        await nursery.start(fake.run)
        server = Server(fake.where, ANONYMOUS, (8, T), nursery)
        await server.ask(search())
        await server.bind(bind())
        fake.stop()
        await wait_all_tasks_blocked()
        assert (await failing(server, bind()))[0] is Unreachable
        assert server.cause == "No such file or directory"
        assert (await failing(server, search()))[1:] == ("No such file or directory", 0)
        await trio.sleep(100.3)
        await nursery.start(fake.run)
        assert await until(lambda: not server.cause) < 2
        assert (await server.ask(search())).result.code == (await server.bind(bind())).result.code == 0
        server.close()
        fake.stop()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_tries_that_hang_are_few_and_leave_nothing_behind(tmp_path: Path, autojump_clock: MockClock) -> None:
    fake = Fake(tmp_path / "ldapi", silence)
    async with asked(fake, ANONYMOUS, timeout=60) as server:
        await server.warm()
        assert server.cause
        fake.most_open = 0
        await trio.sleep(600)
        assert 1 < fake.most_open <= 4
        fake.play = serving
        assert await until(lambda: not server.cause) < 2
        await trio.sleep(100)
        assert fake.open == 1


async def test_d8_slow_server_that_is_down_is_given_its_whole_time_to_come_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def slow(peer: Peer) -> None:
        await trio.sleep(T - 1)
        await peer.serve()

    fake = Fake(tmp_path / "ldapi", silence)
    async with asked(fake) as server:
        await server.warm()
        assert server.cause
        fake.play = slow
        await trio.sleep(3 * T)
        assert not server.cause


async def test_service_s_wrong_password_is_tried_ever_more_seldom(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.answer(WRONG)

    fake = Fake(tmp_path / "ldapi", refusing)
    async with asked(fake) as server:
        await server.warm()
        assert server.cause == "refuses the service's own bind: invalidCredentials (49)"
        await trio.sleep(600)
        assert len(fake.peers) < 30
        fake.play = serving
        await trio.sleep(standing.REST_AFTER_REFUSAL + 1)
        assert not server.cause


async def test_failures_from_before_it_was_down_do_not_count_when_it_is_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    fake = Fake(tmp_path / "ldapi", answers_searches_only)
    async with asked(fake) as server, trio.open_nursery() as nursery:
        for uid in "abcd":
            nursery.start_soon(failing, server, bind(uid))
        await trio.sleep(1)
        server._standing.down("for the test")
        await trio.sleep(2)
        assert not server.cause
        await trio.sleep(T)
        assert not server.cause


async def test_links_that_were_dropped_cost_no_login(tmp_path: Path, autojump_clock: MockClock) -> None:
    fake = Fake(tmp_path / "ldapi", serving)
    async with asked(fake) as server:
        for _ in range(3):
            assert (await server.ask(search())).result.code == (await server.bind(bind())).result.code == 0
            for peer in fake.peers:
                await peer.stream.aclose()
        assert not server.cause


async def test_links_that_are_dropped_by_the_very_request_cost_no_login(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def once(peer: Peer) -> None:
        """Answers the service's bind or a user's, and a search, and hangs up at the next request."""
        await peer.answer()
        await peer.answer()
        await peer.request()

    fake = Fake(tmp_path / "ldapi", once)
    async with asked(fake) as server:
        for _ in range(4):
            assert (await server.ask(search())).result.code == 0
            assert (await server.bind(bind())).result.code == 0


async def test_g3_link_on_which_a_server_says_more_than_it_was_asked_is_not_used_again(tmp_path: Path) -> None:
    for more in (result(2, BIND), result(2, BIND)[:5]):
        fake = Fake(tmp_path / "ldapi", _talkative(more))
        async with asked(fake) as server:
            assert (await server.bind(bind())).result.code == 0
            assert (await server.bind(bind())).result.code == 0
            assert len(fake.peers) == 2


def _talkative(more: bytes) -> Part:
    async def talk(peer: Peer) -> None:
        number, _ = await peer.request()
        await peer.say(result(number, BIND), more)
        await silence(peer)

    return talk


async def test_secret_that_the_socket_does_not_take_at_once_is_sent_whole(tmp_path: Path) -> None:
    fake = Fake(tmp_path / "ldapi", serving)
    async with asked(fake) as server:
        for _ in range(2):
            assert (await server.bind(BindRequest(b"uid=alice", Secret(b"x" * 900_000)))).result.code == 0
        assert len(fake.peers) == 1
        assert fake.peers[0].last.endswith(b"x" * 900_000)


async def test_bind_of_a_secret_that_a_server_does_not_read_is_cut_off_in_time(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def deaf(peer: Peer) -> None:
        await trio.sleep(10 * T)

    async with asked(Fake(tmp_path / "ldapi", deaf)) as server:
        failed, said, seconds = await failing(server, BindRequest(b"uid=alice", Secret(b"x" * 900_000)))
        assert (failed, said, seconds) == (Silent, "no answer within 5 s", T)


async def test_link_that_nobody_has_used_for_long_is_not_trusted(tmp_path: Path, autojump_clock: MockClock) -> None:
    fake = Fake(tmp_path / "ldapi", serving)
    async with asked(fake) as server:
        await server.ask(search())
        await server.bind(bind())
        await trio.sleep(pool.LONGEST_REST + 1)
        await server.ask(search())
        await server.bind(bind())
        assert (len(fake.peers), fake.open) == (4, 2)


async def test_search_connection_that_says_nothing_at_all_is_not_used_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def forgotten(peer: Peer) -> None:
        """Answers as many as the service's bind and one search, and is silent for ever."""
        await peer.answer()
        await peer.answer()
        await silence(peer)

    fake = Fake(tmp_path / "ldapi", forgotten)
    async with asked(fake) as server:
        await server.ask(search())
        fake.play = serving
        assert (await failing(server, search()))[1] == "no answer within 5 s"
        assert (await server.ask(search())).result.code == 0


async def test_search_that_is_slow_alone_leaves_the_connection_to_the_others(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def slow_for_one(peer: Peer) -> None:
        await peer.answer()
        await peer.request()
        while True:
            await peer.answer()

    fake = Fake(tmp_path / "ldapi", slow_for_one)
    async with asked(fake) as server, trio.open_nursery() as nursery:
        nursery.start_soon(failing, server, search("slow"))
        await trio.sleep(1)
        for _ in range(20):
            assert (await server.ask(search())).result.code == 0
            await trio.sleep(1)
        connection = server._pool.for_searches()
        assert connection is not None
        assert not connection.lost


async def test_closed_server_keeps_nothing_and_asks_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def slow(peer: Peer) -> None:
        number, _ = await peer.request()
        await trio.sleep(1)
        await peer.say(result(number, BIND))
        await peer.serve()

    codes = []
    fake = Fake(tmp_path / "ldapi", slow)
    async with trio.open_nursery() as watching:
        await watching.start(fake.run)
        async with trio.open_nursery() as nursery:
            server = Server(fake.where, ANONYMOUS, (8, T), nursery)

            async def under_way() -> None:
                codes.append((await server.bind(bind())).result.code)

            nursery.start_soon(under_way)
            nursery.start_soon(server.warm)
            await trio.sleep(0.5)
            server.close()
            server.close()
            assert (await failing(server, search()))[1:] == ("closed", 0)
        assert codes == [0]
        await wait_all_tasks_blocked()
        assert fake.open == 0
        fake.stop()


async def test_closing_ends_the_tries_of_a_server_that_is_down(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        server = Server(Fake(tmp_path / "none", serving).where, ANONYMOUS, (8, T), nursery)
        await server.warm()
        assert server.cause
        await trio.sleep(10)
        server.close()
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks


async def test_e1_fault_of_ours_in_the_background_does_not_end_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(pool, "open_connection", broken)
    async with asked(Fake(tmp_path / "ldapi", serving)) as server:
        await server.warm()
        assert "a bug" in caplog.text


def servers(nursery: trio.Nursery, *fakes: Fake, connections: int = 8) -> Servers:
    uris = [str(fake.where) for fake in fakes]
    settings = LdapSettings.model_validate({"type": "ldap", "servers": uris, "base": "dc=test", "connections": connections})
    return Servers(settings, Manner.of(settings), nursery)


async def both(tmp_path: Path, first: Fake, second: Fake, request: SearchRequest | BindRequest) -> Answer:
    """What two servers say together."""
    found: Answer | DirectoryFailed
    async with trio.open_nursery() as nursery:
        for fake in (first, second):
            await nursery.start(fake.run)
        directory = servers(nursery, first, second)
        try:
            found = await (directory.bind(request) if isinstance(request, BindRequest) else directory.search(request))
        except DirectoryFailed as error:
            found = error
        directory.close()
        for fake in (first, second):
            fake.stop()
    if isinstance(found, DirectoryFailed):
        raise found
    return found


async def hanging_up(peer: Peer) -> None:
    """At the first request of a user."""
    if (await peer.request())[1] == A_BIND:
        return


def saying(code: int) -> object:
    async def play(peer: Peer) -> None:
        while True:
            await peer.answer(code)

    return play


@pytest.mark.parametrize("play", [silence, hanging_up, saying(51), saying(52)])
@pytest.mark.parametrize("request_", [search(), bind()], ids=["search", "bind"])
async def test_second_server_is_asked_where_the_first_does_not_answer(
    tmp_path: Path, play: object, request_: SearchRequest | BindRequest, autojump_clock: MockClock
) -> None:
    first, second = Fake(tmp_path / "first", play), Fake(tmp_path / "second", serving)  # type: ignore[arg-type]  # one of the parts above
    answer = await both(tmp_path, first, second, request_)
    assert (answer.code, answer.server) == (0, str(second.where))


async def test_no_of_the_first_server_is_final(tmp_path: Path) -> None:
    first, second = Fake(tmp_path / "first", saying(WRONG)), Fake(tmp_path / "second", serving)  # type: ignore[arg-type]  # one of the parts above
    assert (await both(tmp_path, first, second, bind())).code == WRONG
    assert not second.peers


@pytest.mark.parametrize("second", [silence, hanging_up, saying(51)])
async def test_d9_secret_that_one_server_may_have_judged_is_told_whatever_the_other_says(
    tmp_path: Path, second: object, autojump_clock: MockClock
) -> None:
    with pytest.raises(LinkLost, match=r"first: no answer within 5 s(; ldapi:.*second: .*)?$"):
        await both(tmp_path, Fake(tmp_path / "first", silence), Fake(tmp_path / "second", second), bind())  # type: ignore[arg-type]  # one of the parts above


async def test_d9_secret_that_went_over_a_link_that_was_lost_counts_where_no_other_can_be_opened(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def play(peer: Peer) -> None:
        await peer.answer()
        await peer.request()
        fake.stop()

    fake = Fake(tmp_path / "ldapi", play)
    async with trio.open_nursery() as nursery:
        await nursery.start(fake.run)
        directory = servers(nursery, fake)
        assert (await directory.bind(bind())).code == 0
        with pytest.raises(LinkLost, match="ended the connection; No such file"):
            await directory.bind(bind())
        assert list(directory.down()) == [str(fake.where)]
        with pytest.raises(DirectoryFailed) as failed:
            await directory.bind(bind())
        assert failed.type is DirectoryFailed
        directory.close()


async def test_nothing_is_left_after_all_that(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def moody(peer: Peer) -> None:
        for number in range(7):
            await peer.answer(51 if number == 5 else 0)
            if number == 3:
                await trio.sleep(0.2)

    before = len(os.listdir("/proc/self/fd"))
    fakes = [Fake(tmp_path / name, moody) for name in ("first", "second")]
    async with trio.open_nursery() as nursery:
        for fake in fakes:
            await nursery.start(fake.run)
        async with trio.open_nursery() as running:
            directory = servers(running, *fakes, connections=3)

            async def client(number: int) -> None:
                for turn in range(10):
                    with trio.move_on_after(0.1 * (number % 4) + 0.05), suppress(DirectoryFailed):
                        await (directory.bind(bind(f"{number}")) if turn % 2 else directory.search(search(f"{number}")))

            async with trio.open_nursery() as clients:
                for number in range(40):
                    clients.start_soon(client, number)
            directory.close()
            assert await until(lambda: not running.child_tasks) <= T
        await trio.sleep(1)  # until they notice
        assert [fake.open for fake in fakes] == [0, 0]
        for fake in fakes:
            fake.stop()
    assert len(os.listdir("/proc/self/fd")) == before
