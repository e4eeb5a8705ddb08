"""A reload, or the end, beside clients of Dovecot's protocol that are in the middle of something."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py.front.dovecot import DovecotPort
from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms.scram.client import Client as Scram
from saslauthd_py.secret import Secret
from tests.front.dovecots import ALL, POSTFIX, Client, KeyedBackend, Running, plain, running


def reloaded(front: Running, *, allowed: frozenset[int] | None = None, offered: tuple[str, ...] = ALL) -> DovecotPort:
    """The next configuration serves the listener; it holds no failure back."""
    front.build = replace(front.build, delay=0.0, allowed=allowed, offered=offered)
    new = front.another()
    front.loop.replace(front.port, new)
    return new


async def scram_begun(client: Client, number: int) -> bytes:
    """The last message of an exchange whose keys have been found."""
    exchange = Scram(Hash.SHA256, "alice@example.test", Secret(b"pw1"))
    await client.auth(number, "SCRAM-SHA-256", exchange.first())
    return exchange.final(await client.challenge(number)).message


async def test_h1_new_request_of_a_busy_client_meets_the_new_configuration(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain(secret="no"))
        await trio.testing.wait_all_tasks_blocked()
        reloaded(front)
        began = trio.current_time()
        await client.auth(2, "PLAIN", plain(secret="never"))
        assert (await client.line()).startswith(b"FAIL\t2\t")
        assert trio.current_time() == began
        assert (await client.line()).startswith(b"FAIL\t1\t")
        assert trio.current_time() - began >= 1.8


async def test_h1_configuration_is_over_when_its_last_request_is_answered(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain(secret="no"))
        await trio.testing.wait_all_tasks_blocked()
        reloaded(front)
        with trio.fail_after(1):
            await front.loop.left([front.port])
        with trio.move_on_after(1):
            await front.port.answered()
            pytest.fail("one is not answered yet")
        with trio.fail_after(1.1):
            await front.port.answered()
        assert (await client.line()).startswith(b"FAIL\t1\t")


async def test_h1_client_that_is_handed_over_late_is_noticed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It has not read its replies when the configuration changes."""
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        asked = await unread(front, client)
        reloaded(front)
        assert front.loop.clients(front.port)
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(front.loop.left, [front.port])
                for _ in range(asked):
                    assert (await client.line()).startswith(b"OK\t")


async def test_h1_exchange_ends_with_the_keys_that_it_began_with(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        final = await scram_begun(client, 1)
        new = reloaded(front)
        assert (len(front.port.exchanges), len(new.exchanges)) == (1, 0)
        await client.cont(1, final)
        await client.challenge(1)
        assert (len(front.port.exchanges), len(new.exchanges)) == (0, 1)
        await client.cont(1, b"")
        assert (await client.line()).startswith(b"OK\t1\t")
        assert not new.exchanges


async def test_h1_login_between_its_messages_goes_on_under_the_new_configuration(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        await client.auth(1, "LOGIN", b"alice@example.test")
        await client.challenge(1)
        reloaded(front)
        with trio.fail_after(0):
            await front.port.answered()
        began = trio.current_time()
        await client.cont(1, b"no")
        assert (await client.line()).startswith(b"FAIL\t1\t")
        assert trio.current_time() == began


async def test_h1_client_that_may_not_ask_any_more_is_closed_when_it_is_answered(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        idle, busy = await front.connect(), await front.connect()
        await busy.auth(1, "PLAIN", plain(secret="no"))
        await trio.testing.wait_all_tasks_blocked()
        reloaded(front, allowed=frozenset({54321}))
        with trio.fail_after(20):
            assert await idle.line() == b""
            assert (await busy.line()).startswith(b"FAIL\t1\t")
            assert await busy.line() == b""
    assert sum("allow_users" in line for line in front.lines()) == 2


async def test_h1_exchange_that_outlives_its_configuration_ends_with_its_connection(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        await scram_begun(client, 1)
        reloaded(front)
        front.port.give_up()
        assert await client.line() == b""


async def test_e4_exchange_that_outlives_its_configuration_ends_no_other_request(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend()
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect(minor=1)
        final = await scram_begun(client, 1)
        backend.gate = trio.Event()
        await client.auth(2, "PLAIN", plain("bob@example.test"))
        await trio.testing.wait_all_tasks_blocked()
        reloaded(front)
        await client.auth(3, "PLAIN", plain())
        await trio.testing.wait_all_tasks_blocked()
        front.port.give_up()
        assert b"FAIL\t2\tcode=temp_fail" in await client.line()
        await client.cont(1, final)
        assert (await client.line()).startswith(b"FAIL\t1\treason=authentication request timed out")
        backend.gate.set()
        assert (await client.line()).startswith(b"OK\t3\t")


async def test_client_that_was_offered_more_is_closed_when_its_last_exchange_ends(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "LOGIN")
        await client.challenge(1)
        front.port.offer(("PLAIN", "LOGIN"))
        await client.send(b"CONT\t1\t***\n")
        assert (await client.line()).startswith(b"FAIL\t1\t")
        with trio.fail_after(1):
            assert await client.line() == b""


async def unread(front: Running, client: Client) -> int:
    """Ask until the client, which does not read, has bytes waiting for it on our side; how many replies they are."""
    await client.auth(1, "PLAIN", plain())
    resp, asked = b64encode(plain()), 1
    while front.loop.connections.all()[0].dialogue._out.empty:  # type: ignore[union-attr]
        lines = [b"AUTH\t%d\tPLAIN\t%b\tresp=%b\n" % (asked + number, POSTFIX, resp) for number in range(1, 21)]
        await client.send(b"".join(lines))
        asked += 20
        await trio.testing.wait_all_tasks_blocked()
    return asked


async def test_stop_waits_for_a_reply_that_its_client_has_not_taken(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        asked = await unread(front, client)
        front.loop.stop_listening()
        with trio.move_on_after(1):
            await front.loop.drained()
            pytest.fail("replies are lost")
        for _ in range(asked):
            assert (await client.line()).startswith(b"OK\t")
        assert await client.line() == b""
        await front.loop.drained()


async def test_scram_over_a_reload_is_checked_by_its_client(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        exchange = Scram(Hash.SHA256, "alice@example.test", Secret(b"pw1"))
        await client.auth(1, "SCRAM-SHA-256")
        assert await client.challenge(1) == b""
        reloaded(front)
        await client.cont(1, exchange.first())
        final = exchange.final(await client.challenge(1))
        await client.cont(1, final.message)
        final.check(b64decode((await client.line()).split(b"\t")[2]))
        await client.cont(1, b"")
        assert (await client.line()).startswith(b"OK\t1\t")
        assert not front.port.exchanges
