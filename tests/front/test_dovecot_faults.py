"""What one client's bytes, or a bug that they meet, may cost the others on its connection and beside it."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py.front.connections import Connection
from saslauthd_py.front.dovecot import DovecotPort
from saslauthd_py.front.dovecot.session import Session
from saslauthd_py.front.loop import BATCH
from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms.scram.client import Client as Scram
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Unavailable
from tests.front.dovecots import POSTFIX, KeyedBackend, plain, running


@pytest.mark.parametrize(("typed", "shown"), [("@@", b"@"), ("@b@", b"@b"), ("a@@", b"a@"), ("a@b@", b"a@b")])
async def test_e1_name_that_is_hard_to_write_costs_its_own_request(
    typed: str, shown: bytes, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain(typed))
        assert (await client.line()).startswith(b"FAIL\t1\tuser=" + shown + b"\t")
        exchange = Scram(Hash.SHA256, typed, Secret(b"pw1"))
        await client.auth(2, "SCRAM-SHA-256", exchange.first())
        await client.cont(2, exchange.final(await client.challenge(2)).message)
        assert (await client.line()).startswith(b"FAIL\t2\tuser=" + shown + b"\t")
        assert front.counters.faults == 0


async def test_b1_ok_names_the_account_that_was_asked_and_no_other(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend()
    backend.accounts["a@"] = b"pw1"
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect()
        for number in (1, 2, 3):
            await client.auth(number, "PLAIN", plain("a@@"))
            assert await client.line() == b"OK\t%d\tuser=a@" % number


async def test_name_that_cannot_be_folded_wants_to_act_as_nobody_else(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        await client.auth(1, "PLAIN", plain("a@-x.\u00e4"))
        assert (await client.line()).startswith(b"FAIL\t1\t")
    assert "no-route" in front.lines()[0]
    assert "authzid" not in front.lines()[0]


async def test_e1_bug_in_the_loop_ends_its_connection_and_is_counted(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as front:
        client, other = await front.connect(), await front.connect()

        def broken(*_: object) -> int:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(Session, "read", broken)
            await client.auth(1, "PLAIN", plain())
            assert await client.line() == b""
        assert front.counters.faults == 1
        assert [record.exc_info is not None for record in caplog.records if record.levelname == "ERROR"] == [True]
        await other.auth(1, "PLAIN", plain())
        assert (await other.line()).startswith(b"OK\t1\t")


async def test_e1_bug_while_a_client_is_accepted_ends_that_one(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as front:

        def broken(*_: object) -> str:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(DovecotPort, "refusal", broken)
            assert await (await front.dial()).line() == b""
        assert front.counters.faults == 1
        client = await front.connect()
        await client.auth(1, "PLAIN", plain())
        assert (await client.line()).startswith(b"OK\t1\t")


@pytest.mark.parametrize("line", [b"CONT\t1\t\n", b"AUTH\t1\tX\tservice=a\n"])
async def test_e3_one_client_is_read_no_more_than_a_turn_is_worth(
    line: bytes, tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    resume = DovecotPort.resume

    def counted(port: DovecotPort, connection: Connection) -> int:
        read.append(resume(port, connection))
        return read[-1]

    monkeypatch.setattr(DovecotPort, "resume", counted)
    async with running(tmp_path) as front:
        client = await front.connect()
        await client.send(line * 4000)
        for _ in range(4000):
            assert (await client.line()).startswith(b"FAIL\t1\t")
    assert max(read) <= 8 * BATCH


async def test_e4_request_that_comes_while_an_outage_waits_for_its_client_is_answered(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The second is over, but the client has not read what was answered before."""
    backend = KeyedBackend()
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain())
        resp, asked = b64encode(plain()), 1
        session = front.loop.connections.all()[0].dialogue
        assert isinstance(session, Session)
        while session._out.empty:
            await client.send(b"".join(b"AUTH\t%d\tPLAIN\t%b\tresp=%b\n" % (asked + one, POSTFIX, resp) for one in range(1, 21)))
            asked += 20
            await trio.testing.wait_all_tasks_blocked()
        backend.verdicts.append(Unavailable("the disk is gone"))
        await client.auth(asked + 1, "PLAIN", plain("bob@example.test"))
        await trio.sleep(1.5)
        backend.gate = trio.Event()
        backend.accounts["carol@example.test"] = b"pw1"
        await client.auth(asked + 2, "PLAIN", plain("carol@example.test"))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(asked):
            assert (await client.line()).startswith(b"OK\t")
        assert b"code=temp_fail" in await client.line()
        backend.gate.set()
        assert (await client.line()).startswith(b"OK\t%d\t" % (asked + 2))


async def test_d1_cancelled_request_takes_no_place_among_the_held(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client, other = await front.connect(minor=1), await front.connect()
        began = trio.current_time()
        await other.auth(1, "PLAIN", plain(secret="no"))
        await trio.testing.wait_all_tasks_blocked()
        lines = [
            b"AUTH\t%d\tPLAIN\tservice=smtp\trip=192.0.%d.1\tresp=%b\nCANCEL\t%d\n"
            % (number, number, b64encode(plain(f"nobody{number}@example.test")), number)
            for number in range(1, 101)
        ]
        await client.send(b"".join(lines))
        assert (await other.line()).startswith(b"FAIL\t1\t")
        assert trio.current_time() - began >= 1.8
        assert len(front.backend.asked) == 101


async def test_exchange_that_exim_gave_up_is_over_with_an_auth_that_the_cache_answers(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=0)
        await client.auth(1, "PLAIN", plain())
        assert (await client.line()).startswith(b"OK\t1\t")
        await client.auth(2, "LOGIN")
        await client.challenge(2)
        await client.auth(3, "PLAIN", plain())
        assert (await client.line()).startswith(b"OK\t3\t")
        assert not front.port.exchanges


async def test_exchange_that_is_cancelled_while_its_keys_are_sought_costs_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend()
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect(minor=1)
        for number in range(1, 41):
            backend.gate = trio.Event()
            await client.auth(number, "SCRAM-SHA-256", Scram(Hash.SHA256, "alice@example.test", Secret(b"pw1")).first())
            await client.send(b"CANCEL\t%d\n" % number)
            await trio.testing.wait_all_tasks_blocked()
            backend.gate.set()
            await trio.testing.wait_all_tasks_blocked()
        await client.auth(41, "PLAIN", plain(secret="no"))
        assert (await client.line()).startswith(b"FAIL\t41\tuser=alice@example.test\treason=")
        assert front.counters.faults == 0


async def test_e4_outage_of_a_request_that_was_cancelled_ends_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend(verdicts=[Unavailable("the disk is gone")])
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain())
        await trio.sleep(0.5)
        await client.send(b"CANCEL\t1\n")
        await trio.sleep(10)
        await client.auth(2, "PLAIN", plain())
        assert (await client.line()).startswith(b"OK\t2\t")
        assert front.counters.faults == 0


async def test_e8_time_that_the_client_takes_is_not_ours(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        await client.auth(1, "LOGIN", b"alice@example.test")
        await client.challenge(1)
        await trio.sleep(100)
        await client.cont(1, b"pw1")
        assert (await client.line()).startswith(b"OK\t1\t")
        await client.auth(2, "LOGIN", b"alice@example.test")
        await client.challenge(2)
        await trio.sleep(100)
        began = trio.current_time()
        await client.cont(2, b"no")
        assert (await client.line()).startswith(b"FAIL\t2\t")
        assert trio.current_time() - began >= 1.8
