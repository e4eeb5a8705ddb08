"""How a system is found to be down, and found back (rule D8)."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py.remote.failing import Failed
from saslauthd_py.remote.standing import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, Standing

REFUSED = Failed("connection refused")
SILENT = Failed("no answer within 5 s", silent=True)
LOST = Failed("ended the connection", sent=True)


class System:
    """What is asked; `fails` is what comes of it."""

    def __init__(self) -> None:
        self.fails: Failed | None = None
        self.probe_fails: Exception | None = None
        self.asked = 0
        self.probed: list[float] = []

    async def ask(self) -> str:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        if self.fails:
            raise self.fails
        return "answer"

    async def probe(self) -> None:
        await trio.lowlevel.checkpoint()
        self.probed.append(trio.current_time())
        if self.probe_fails:
            raise self.probe_fails


@pytest.fixture
def system() -> System:
    return System()


@pytest.fixture
def standing(system: System, nursery: trio.Nursery) -> Standing:
    return Standing("imap://a", system.probe, nursery)


async def failed(standing: Standing, system: System, account: str, *, telling: bool = True) -> str:
    with pytest.raises(Failed) as caught:
        await standing.ask(account, system.ask, telling=telling)
    return str(caught.value)


async def test_d8_what_fails_before_a_secret_was_sent_is_down_at_once(
    standing: Standing, system: System, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    system.fails = system.probe_fails = REFUSED
    assert await failed(standing, system, "alice") == "connection refused"
    assert standing.cause == "connection refused"
    assert await failed(standing, system, "bob") == "connection refused"
    assert system.asked == 1
    system.fails = system.probe_fails = None
    await trio.sleep(FIRST_PAUSE + 0.1)
    assert await standing.ask("bob", system.ask) == "answer"
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "imap://a is down: connection refused; it is tried in the background"),
        (logging.WARNING, "imap://a is back"),
    ]


async def test_pauses_between_tries_grow(standing: Standing, system: System, autojump_clock: MockClock) -> None:
    system.fails = system.probe_fails = REFUSED
    await failed(standing, system, "alice")
    began = trio.current_time()
    await trio.sleep(10)
    assert [round(at - began, 1) for at in system.probed] == [0.5, 1.5, 3.5, 5.5, 7.5, 9.5]
    assert LONGEST_PAUSE == 2


@pytest.mark.parametrize("failure", [LOST, SILENT], ids=["lost", "silent"])
async def test_d8_one_account_is_never_enough(standing: Standing, system: System, autojump_clock: MockClock, failure: Failed) -> None:
    system.fails = failure
    for _ in range(FAILURES + 1):
        await failed(standing, system, "alice")
        await trio.testing.wait_all_tasks_blocked()
    assert not standing.cause
    assert system.probed


async def test_d8_three_accounts_in_a_row_are(standing: Standing, system: System, autojump_clock: MockClock) -> None:
    system.fails = LOST
    for account in ("alice", "bob"):
        await failed(standing, system, account)
    system.fails = None
    await standing.ask("alice", system.ask)
    system.fails = LOST
    for account in ("carol", "dave"):
        await failed(standing, system, account)
    before = standing.cause
    await failed(standing, system, "erin")
    assert (before, standing.cause) == ("", "ended the connection")


async def test_d8_probe_that_fails_tells_for_all(standing: Standing, system: System, autojump_clock: MockClock) -> None:
    system.fails, system.probe_fails = SILENT, REFUSED
    await failed(standing, system, "alice")
    await trio.testing.wait_all_tasks_blocked()
    assert standing.cause == "connection refused"


async def test_one_probe_at_a_time_looks_into_it(system: System, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    probes = 0

    async def probe() -> None:
        nonlocal probes
        probes += 1
        await trio.sleep_forever()

    standing = Standing("imap://a", probe, nursery)
    system.fails = SILENT
    for _ in range(3):
        await failed(standing, system, "alice")
        await trio.testing.wait_all_tasks_blocked()
    assert probes == 1


async def test_d8_silence_that_nobody_waits_out_is_looked_into(standing: Standing, system: System, autojump_clock: MockClock) -> None:
    system.probe_fails = SILENT
    for telling in (False, True):
        assert not standing.cause
        with trio.move_on_after(1):
            await standing.ask("alice", trio.sleep_forever, telling=telling)
        await trio.testing.wait_all_tasks_blocked()
    assert standing.cause == "no answer within 5 s"


async def test_question_that_a_sound_system_may_refuse_tells_nothing(standing: Standing, system: System, autojump_clock: MockClock) -> None:
    system.fails, system.probe_fails = LOST, REFUSED
    for account in ("alice", "bob", "carol"):
        await failed(standing, system, account, telling=False)
    await trio.testing.wait_all_tasks_blocked()
    assert not standing.cause
    assert not system.probed


async def test_failure_of_before_it_was_back_counts_no_more(
    standing: Standing, system: System, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    ask_late, told = trio.Event(), trio.Event()

    async def late() -> None:
        async def question() -> str:
            await ask_late.wait()
            raise REFUSED

        with pytest.raises(Failed):
            await standing.ask("late", question)
        told.set()

    nursery.start_soon(late)
    await trio.testing.wait_all_tasks_blocked()
    system.fails = REFUSED
    await failed(standing, system, "alice")
    await trio.sleep(FIRST_PAUSE + 0.1)
    assert not standing.cause
    ask_late.set()
    await told.wait()
    assert not standing.cause


async def test_it_is_probed_before_anybody_asks(standing: Standing, system: System, autojump_clock: MockClock) -> None:
    system.probe_fails = REFUSED
    await standing.warm()
    await trio.testing.wait_all_tasks_blocked()
    assert await failed(standing, system, "alice") == "connection refused"
    assert system.asked == 0


async def test_e1_fault_of_ours_in_the_background_is_told_and_ends_nothing(
    standing: Standing, system: System, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    system.fails, system.probe_fails = REFUSED, ValueError("a bug")
    await failed(standing, system, "alice")
    await trio.sleep(FIRST_PAUSE + 0.1)
    assert "a fault of this program" in caplog.text
    system.fails = None
    assert await standing.ask("alice", system.ask) == "answer"
