"""Backends that never decide: asked after each decision, without a trace in it, and heard of only where they differ."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.authenticator import Decision
from saslauthd_py.authenticator.comparing import BETWEEN_LINES
from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings import AdmissionSettings
from saslauthd_py.identity import Identity
from saslauthd_py.routing import Compared, Next
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from tests.desks import WRONG, Plan, desk, grant, says
from tests.front.fronts import ScriptedBackend

YES = Accepted(Identity("alice", "example.test"))
DOWN = Unavailable("down")

LOGGER = "saslauthd_py.authenticator.comparing"


def plan(compared: Compared, **keys: object) -> Plan:
    keys = {"ttl": {"users": 0.0}, **keys}
    return Plan(compared={"old": compared}, **keys)  # type: ignore[arg-type]  # whatever a test says of the plan


@pytest.mark.parametrize(
    ("decided", "said", "counted", "words"),
    [
        (YES, YES, Compared(alike=1), None),
        (WRONG, WRONG, Compared(alike=1), None),
        (UnknownUser(), WRONG, Compared(alike=1), None),
        (YES, WRONG, Compared(different=1), "decided=accepted backend=users compared=old said=rejected/wrong-secret"),
        (WRONG, YES, Compared(different=1), "decided=rejected/wrong-secret backend=users compared=old said=accepted"),
        (UnknownUser(), YES, Compared(different=1), "decided=rejected/unknown-user backend=users compared=old said=accepted"),
        (YES, DOWN, Compared(unanswered=1), None),
        (WRONG, DOWN, Compared(unanswered=1), None),
        (YES, RuntimeError("a bug"), Compared(), None),
    ],
)
async def test_only_a_yes_against_a_no_is_a_difference(
    decided: Verdict,
    said: Verdict | Exception,
    counted: Compared,
    words: str | None,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    compared = Compared()
    async with desk(plan(compared), users=says(decided), old=says(said)) as it:
        assert (await it.ask(secret=b"pw-of-alice")).verdict == decided
        await wait_all_tasks_blocked()
        assert [attempt.secret.reveal() for attempt in it.backends["old"].asked] == [b"pw-of-alice"]
    assert compared == counted
    lines = [(record.levelno, record.getMessage()) for record in caplog.records if record.name == LOGGER]
    if words is not None:
        head = "backend old differs from what was decided: user=alice@example.test service=smtp listener=/run/0 "
        assert lines == [(logging.WARNING, head + words)]
    elif said is DOWN:
        assert lines == [(logging.WARNING, "backend old cannot be compared with until it answers: down")]
    elif not isinstance(said, Exception):
        assert lines == []
    assert "pw-of-alice" not in caplog.text


async def test_line_cannot_be_forged_by_a_name(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with desk(plan(Compared()), users=says(WRONG), old=says(YES)) as it:
        await it.ask("a said=rejected]@example.test")
        await wait_all_tasks_blocked()
    assert r"user=a\x20said\x3Drejected\x5D@example.test service=smtp" in caplog.text


async def test_decision_waits_for_no_answer_of_it(autojump_clock: MockClock) -> None:
    compared, old = Compared(), ScriptedBackend(gate=trio.Event())
    async with desk(plan(compared, deadline=8.0), users=ScriptedBackend(), old=old) as it:
        began = trio.current_time()
        assert (await it.ask()).verdict == Accepted(Identity("alice", "example.test"))
        assert trio.current_time() == began
        await wait_all_tasks_blocked()
        assert compared == Compared(under_way=1)
        await trio.sleep(8)
        await wait_all_tasks_blocked()
    assert compared == Compared(unanswered=1)


async def test_it_is_asked_when_the_decision_is_made_and_never_for_it(autojump_clock: MockClock) -> None:
    """It stands first in the route, says yes, and would be taken for an outage's replacement: nothing of that counts."""
    users = ScriptedBackend(verdicts=[UnknownUser(), DOWN], gate=trio.Event())
    old = says(YES, YES)
    every = frozenset({Next.UNKNOWN, Next.REJECTED, Next.UNAVAILABLE})
    async with desk(plan(Compared(), next_on=every), old=old, users=users) as it, trio.open_nursery() as nursery:
        decisions: list[Decision] = []

        async def ask() -> None:
            decisions.append(await it.ask())

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert old.asked == []
        assert users.gate is not None
        users.gate.set()
        await wait_all_tasks_blocked()
        assert (decisions[0].verdict, decisions[0].backend, len(old.asked)) == (UnknownUser(), "users", 1)
        assert (await it.ask()).verdict == DOWN
        await wait_all_tasks_blocked()
        assert len(old.asked) == 1, "there is nothing to compare with an outage"
        assert old.pretended == 0


async def test_cached_logins_are_not_asked(autojump_clock: MockClock) -> None:
    compared = Compared()
    async with desk(plan(compared, ttl={"users": 60.0, "old": 0.0}), users=ScriptedBackend(), old=ScriptedBackend()) as it:
        assert [(await it.ask()).cached for _ in range(3)] == [False, True, True]
        await wait_all_tasks_blocked()
        assert len(it.backends["old"].asked) == 1


async def test_what_is_refused_before_anybody_is_asked_goes_to_nobody(autojump_clock: MockClock) -> None:
    compared, old = Compared(), ScriptedBackend()
    limits = AdmissionSettings.model_validate({"per_account": "1/10m"})
    async with desk(plan(compared, admission=limits, realms=frozenset({"example.test"})), users=ScriptedBackend(), old=old) as it:
        assert (await it.ask("alice@elsewhere.test")).verdict == Rejected(Reason.NO_ROUTE)
        assert (await it.ask(authzid=Identity("bob", "example.test"))).verdict == Rejected(Reason.AUTHZID)
        limited = (await it.ask(secret=b"wrong")).verdict
        assert isinstance(limited, Unavailable)
        assert limited.limited
        await wait_all_tasks_blocked()
        assert old.asked == []


async def test_proxy_user_s_secret_is_what_is_compared(autojump_clock: MockClock) -> None:
    compared = Compared()
    may = grant("alice@example.test", "bob@example.test")
    async with desk(plan(compared, grants=(may,)), users=ScriptedBackend(), old=ScriptedBackend()) as it:
        assert (await it.ask(authzid=Identity("bob", "example.test"))).user == "bob@example.test"
        await wait_all_tasks_blocked()
    assert compared == Compared(alike=1)


async def test_service_that_it_does_not_serve_is_not_compared(autojump_clock: MockClock) -> None:
    old = ScriptedBackend()
    async with desk(plan(Compared(), services={"old": frozenset({"imap"})}), users=ScriptedBackend(), old=old) as it:
        await it.ask(service="smtp")
        await it.ask(service="imap")
        await wait_all_tasks_blocked()
    assert [attempt.service for attempt in old.asked] == ["imap"]


async def test_daemon_that_is_too_slow_is_asked_no_more_than_it_may_be(autojump_clock: MockClock) -> None:
    compared, old = Compared(), ScriptedBackend(gate=trio.Event())
    async with desk(plan(compared, places=3), users=ScriptedBackend(), old=old) as it:
        for number in range(5):
            await it.ask(f"user{number}@example.test")
        await wait_all_tasks_blocked()
        assert (compared.under_way, compared.left_out, len(old.asked)) == (3, 2, 3)
        assert old.gate is not None
        old.gate.set()
        await wait_all_tasks_blocked()
        await it.ask("user9@example.test")
        await wait_all_tasks_blocked()
    assert (compared.under_way, compared.left_out, compared.alike) == (0, 2, 4)


async def test_lines_come_one_a_second_and_the_rest_is_counted(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    compared = Compared()
    async with desk(plan(compared), users=ScriptedBackend(), old=says(*[YES] * 6)) as it:
        for number in range(5):
            await it.ask(f"user{number}@example.test")
            await wait_all_tasks_blocked()
        await trio.sleep(BETWEEN_LINES)
        await it.ask("user5@example.test")
        await wait_all_tasks_blocked()
    lines = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert ["user0@" in lines[0], "user5@" in lines[1], len(lines)] == [True, True, 2]
    assert lines[1].endswith(" (4 more since the last such line)")
    assert compared.different == 6


async def test_outage_of_it_is_told_once_until_it_answers(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A log without a difference means nothing where nothing was compared."""
    async with desk(plan(Compared()), users=ScriptedBackend(), old=says(DOWN, DOWN, DOWN, YES, DOWN)) as it:
        for _ in range(5):
            await it.ask()
            await wait_all_tasks_blocked()
    lines = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert lines == ["backend old cannot be compared with until it answers: down"] * 2


async def test_daemon_that_is_asked_by_a_detour_about_its_own_question_ends_it(autojump_clock: MockClock) -> None:
    compared = Compared()

    class Detour(ScriptedBackend):
        async def verify_password(self, attempt: Attempt) -> Verdict:
            self.asked.append(attempt)
            return (await it.ask(secret=attempt.secret.reveal())).verdict

    async with desk(plan(compared), users=ScriptedBackend(), old=Detour()) as it:
        for secret in (b"pw1", b"wrong"):
            await it.ask(secret=secret)
            await wait_all_tasks_blocked()
        assert [len(backend.asked) for backend in it.backends.values()] == [4, 2]
    assert compared == Compared(alike=2, left_out=2)


async def test_each_secret_of_a_name_is_compared_while_another_one_is(autojump_clock: MockClock) -> None:
    compared, old = Compared(), ScriptedBackend(gate=trio.Event())
    async with desk(plan(compared), users=ScriptedBackend(), old=old) as it:
        for secret in (b"pw1", b"wrong", b"pw1"):
            await it.ask(secret=secret)
            await wait_all_tasks_blocked()
        assert (compared.under_way, compared.left_out) == (2, 1), "the same one again adds nothing"
        assert old.gate is not None
        old.gate.set()
        await wait_all_tasks_blocked()
    assert (compared.under_way, compared.alike, compared.left_out) == (0, 2, 1)


async def test_same_login_in_flight_is_compared_once(autojump_clock: MockClock) -> None:
    users, old = ScriptedBackend(gate=trio.Event()), ScriptedBackend()
    async with desk(plan(Compared()), users=users, old=old) as it:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(it.ask)
            await wait_all_tasks_blocked()
            assert users.gate is not None
            users.gate.set()
        await wait_all_tasks_blocked()
    assert len(old.asked) == 1
