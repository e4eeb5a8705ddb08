"""Lines that the loop answers without reading them: when it may, for how many, and what is left of them."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py.backend import BackendBusy
from saslauthd_py.cache import Cache, Proof
from saslauthd_py.front.dovecot.known import Known, KnownLines
from saslauthd_py.front.dovecot.session import Session
from saslauthd_py.verdict import Unavailable
from tests.front.dovecots import POSTFIX, KeyedBackend, plain, running


def known(until: float = 60.0) -> Known:
    return Known(Proof(until, until, ("alice@",), b"", "alice", ("users",)), b"alice", b"")


def test_c3_lines_are_bounded_and_the_oldest_goes_first() -> None:
    lines = KnownLines(Cache(2, lambda: 0.0), 0)
    for span in (b"\ta", b"\tb", b"\ta", b"\tc"):
        lines.remember(span, known())
    assert [lines.find(span, 0.0) is not None for span in (b"\ta", b"\tb", b"\tc")] == [True, False, True]


def test_line_that_is_known_anew_takes_nobody_s_place() -> None:
    lines = KnownLines(Cache(2, lambda: 0.0), 0)
    for span in (b"\ta", b"\tb", b"\tb"):
        lines.remember(span, known())
    assert lines.find(b"\ta", 0.0) is not None


def test_c2_line_of_one_listener_is_nothing_on_another() -> None:
    cache = Cache(2, lambda: 0.0)
    first, second = KnownLines(cache, 0), KnownLines(cache, 1)
    first.remember(b"\ta", known())
    second._lines.update(first._lines)
    assert first.find(b"\ta", 0.0) is not None
    assert second.find(b"\ta", 0.0) is None


def test_c3_line_is_as_old_as_its_proof() -> None:
    lines = KnownLines(Cache(2, lambda: 0.0), 0)
    lines.remember(b"\ta", known(until=5.0))
    assert lines.find(b"\ta", 4.9) is not None
    assert lines.find(b"\ta", 5.0) is None


async def test_c6_line_is_not_answered_while_nobody_can_look_for_changes(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = KeyedBackend()
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect()
        for number in (1, 2):
            await client.auth(number, "PLAIN", plain())
            assert (await client.line()).startswith(b"OK\t")
        assert len(backend.asked) == 1
        await trio.sleep(1)

        def busy() -> None:
            raise BackendBusy("locked")

        monkeypatch.setattr(backend, "changes", busy)
        backend.verdicts.append(Unavailable("locked"))
        await client.auth(3, "PLAIN", plain())
        assert await client.line() == b""
        assert len(backend.asked) == 2


async def test_hit_on_a_listener_that_is_over_is_written_down_too(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend()
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain())
        await client.line()
        backend.gate = trio.Event()
        await client.auth(2, "PLAIN", plain("bob@example.test"))
        await trio.testing.wait_all_tasks_blocked()
        front.loop.stop_listening()
        await client.auth(3, "PLAIN", plain())
        assert (await client.line()).startswith(b"OK\t3\t")
    assert sum("cached=yes" in line for line in front.lines()) == 1


async def test_closed_connection_leaves_no_task_that_waits_for_its_client(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain())
        resp, asked = b64encode(plain()), 1
        connection = front.loop.connections.all()[0]
        session = connection.dialogue
        assert isinstance(session, Session)
        await trio.testing.wait_all_tasks_blocked()
        tasks = len(front.front.nursery.child_tasks)
        while session._out.empty:
            await client.send(b"".join(b"AUTH\t%d\tPLAIN\t%b\tresp=%b\n" % (asked + one, POSTFIX, resp) for one in range(1, 21)))
            asked += 20
            await trio.testing.wait_all_tasks_blocked()
        assert len(front.front.nursery.child_tasks) == tasks + 1
        front.loop.close(connection)
        await trio.testing.wait_all_tasks_blocked()
        assert len(front.front.nursery.child_tasks) == tasks


@pytest.mark.parametrize(
    ("mechanism", "initial", "messages"),
    [("PLAIN", None, [plain()]), ("LOGIN", None, [b"alice@example.test", b"pw1"]), ("LOGIN", b"alice@example.test", [b"pw1"])],
)
async def test_c1_line_that_does_not_hold_the_secret_is_never_known(
    mechanism: str, initial: bytes | None, messages: list[bytes], tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The proof is remembered, but what follows the line is what it rests on."""
    async with running(tmp_path) as front:
        client, stranger = await front.connect(minor=1), await front.connect(minor=1)
        for number in (1, 2, 3):
            await client.auth(number, mechanism, initial)
            for message in messages:
                await client.challenge(number)
                await client.cont(number, message)
            assert (await client.line()).startswith(b"OK\t%d\t" % number)
            await stranger.auth(number, mechanism, initial)
            assert (await stranger.line()).startswith(b"CONT\t%d\t" % number)


async def test_c1_line_that_acts_as_somebody_else_is_never_known(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        for number in (1, 2):
            await client.auth(number, "PLAIN", plain())
            assert (await client.line()).startswith(b"OK\t")
        for number in (3, 4):
            await client.auth(number, "PLAIN", plain(authzid="bob@example.test"))
            assert (await client.line()).startswith(b"FAIL\t%d\t" % number)


async def test_c2_proof_made_while_nobody_could_look_is_found_by_its_own_question_alone(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as front:
        monkeypatch.setattr(front.port.inline, "decide", lambda _: (None, b""))
        client = await front.connect()
        for number, secret, reply in ((1, "pw1", b"OK"), (2, "wrong", b"FAIL")):
            await client.auth(number, "PLAIN", plain(secret=secret))
            assert (await client.line()).startswith(b"%b\t%d" % (reply, number))
