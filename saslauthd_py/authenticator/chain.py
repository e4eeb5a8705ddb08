"""Asking a route's backends in order: in whose name, which answer ends the chain, and which of them speaks for it (rule B4)."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar, assert_never

import trio

from saslauthd_py import steps, trace
from saslauthd_py.admission import Admission, Entry
from saslauthd_py.authenticator.question import Sought
from saslauthd_py.backend import Attempt, Keyed, KeysFound
from saslauthd_py.identity import Identity
from saslauthd_py.queue import CALLER, Caller
from saslauthd_py.routing import Member, Next, Route
from saslauthd_py.verdict import FINAL_REASONS, Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

_logger = logging.getLogger(__name__)

KeysAnswer = KeysFound | Rejected | UnknownUser | Unavailable
"""What a backend says that was asked for keys: they are its yes."""

_CUT_OFF = Unavailable("no answer in time")

_Answer = TypeVar("_Answer", Verdict, KeysAnswer)


class Heard(NamedTuple, Generic[_Answer]):
    """What the backends of a chain said, in their order, and the answer that speaks for all, with its backend; None: nobody was asked."""

    answer: _Answer
    member: Member | None = None
    said: tuple[tuple[Member, _Answer], ...] = ()

    @property
    def confirmed(self) -> Identity | None:
        """Whose secret, or keys, a backend has found, whatever rules have made of its answer: that ends a chain."""
        last = self.said[-1][1] if self.said else None
        return last.identity if isinstance(last, Accepted | KeysFound) else None

    @property
    def outage(self) -> Unavailable | None:
        """The first outage on the way: after it only a yes may still come out (rule B4)."""
        return next((answer for _, answer in self.said if isinstance(answer, Unavailable)), None)


async def prove(route: Route, attempt: Attempt, entry: Entry, admission: Admission) -> Heard[Verdict]:
    """Whether the secret is right. `entry` learns when somebody may have judged it."""
    said: list[tuple[Member, Verdict]] = []
    settled = False
    for member in route.members:
        await member.queue.enter(call(member, attempt, admission, urgent=attempt.urgent))
        try:
            try:
                refused = _unserved(member, attempt.service) if member.services else None
                verdict = refused or await _put(member, member.backend.verify_password(attempt))
            except trio.Cancelled:
                entry.judged |= member.slow_to_refuse
                raise
            judged = _judged(verdict)
            entry.judged |= judged
            settled |= judged or isinstance(verdict, Unavailable)
            said.append((member, verdict))
            last = len(said) == len(route.members) or not _goes_on(verdict, route)
            if last and not settled:
                await member.backend.pretend(attempt.secret)  # rule D6: once, at the end of the chain
        finally:
            member.queue.leave()
        if last:
            break
    return _heard(said)


async def pretend(member: Member, attempt: Attempt, admission: Admission) -> None:
    """Do the work of a wrong secret."""
    async with member.queue.turn(call(member, attempt, admission, urgent=attempt.urgent)):
        await member.backend.pretend(attempt.secret)


@dataclass(frozen=True, slots=True)
class Lookup(Generic[_Answer]):
    """What is asked of backends where no secret was sent, and what stands for the answer of one that cannot say (`Member.keyed`)."""

    ask: Callable[[Keyed], Awaitable[_Answer]]
    unable: _Answer


async def look_up(route: Route, sought: Sought, lookup: Lookup[_Answer], admission: Admission) -> Heard[_Answer]:
    """Ask a route's backends in order, one after the other, as `prove` does."""
    said: list[tuple[Member, _Answer]] = []
    for member in route.members:
        said.append((member, await look_up_in(member, sought, lookup, admission)))
        if not _goes_on(said[-1][1], route):
            break
    return _heard(said)


async def look_up_in(
    member: Member, sought: Sought, lookup: Lookup[_Answer], admission: Admission, *, urgent: bool = False, anyway: bool = False
) -> _Answer:
    """Ask this one backend, in its turn; `anyway`: for a service too that it does not serve."""
    if not anyway and (refused := _unserved(member, sought.service)):
        return refused
    keyed = member.keyed
    if keyed is None:
        trace.note("unable", name=member.name)
        return lookup.unable
    async with member.queue.turn(call(member, sought, admission, urgent=urgent)):
        return await _put(member, lookup.ask(keyed))


def call(member: Member, login: Attempt | Sought, admission: Admission, *, urgent: bool = False) -> Caller:
    """In whose name this task now works, and waits for its turns."""
    caller = Caller(member.account(login.identity), admission.network(login.address), urgent)
    CALLER.set(caller)
    return caller


def _unserved(member: Member, service: str) -> Rejected | None:
    """Judged without the secret, so the backend never sees it (rule D9)."""
    if not member.services or service in member.services:
        return None
    trace.note("not-asked", name=member.name, services=sorted(member.services), service=service)
    return Rejected(Reason.SERVICE)


async def _put(member: Member, question: Awaitable[_Answer]) -> _Answer:
    if trace.recordings:
        trace.note("asking", name=member.name)
    began = time.monotonic()
    answer: _Answer = _CUT_OFF  # what is noted when this is cancelled
    try:
        answer = await question
    except Exception:
        _logger.exception("bug in backend %s; the login is answered as unavailable", member.name)
        answer = Unavailable("bug, see the traceback", judged=True)  # it may have been: nobody can tell
    finally:
        seconds = time.monotonic() - began
        member.health.note(Accepted(answer.identity) if isinstance(answer, KeysFound) else answer, seconds)
        if trace.recordings:
            steps.asked(member, answer, seconds)
    return answer


def _judged(verdict: Verdict) -> bool:
    """Whether a backend has compared the secret with anything."""
    match verdict:
        case Accepted() | Rejected(reason=Reason.WRONG_SECRET):
            return True
        case Unavailable(judged=judged):
            return judged
        case _:
            return False


def _heard(said: list[tuple[Member, _Answer]]) -> Heard[_Answer]:
    member, answer = said[0] if len(said) == 1 else min(said, key=lambda one: _weight(one[1]))
    return Heard(_held(answer, said), member, tuple(said))


def _held(answer: _Answer, said: list[tuple[Member, _Answer]]) -> _Answer:
    """A no of a chain is held back once, for the longest time that one of its backends wants."""
    if len(said) == 1 or not isinstance(answer, Rejected | UnknownUser):
        return answer
    return replace(answer, hold=max(one.hold for _, one in said if isinstance(one, Rejected | UnknownUser)))


def _goes_on(answer: Verdict | KeysFound, route: Route) -> bool:
    match answer:
        case UnknownUser():
            return Next.UNKNOWN in route.next_on
        case Unavailable():
            return Next.UNAVAILABLE in route.next_on
        case Rejected(reason):
            return reason not in FINAL_REASONS and Next.REJECTED in route.next_on
        case Accepted() | KeysFound():
            return False
    assert_never(answer)


def _weight(answer: Verdict | KeysFound) -> int:
    """Which of a chain's answers speaks for it: a yes, an outage, then a lock or expiry, then any no, then the unknown user."""
    match answer:
        case Accepted() | KeysFound():
            return 0
        case Unavailable():
            return 1
        case Rejected(reason):
            return 2 if reason in FINAL_REASONS else 3
        case UnknownUser():
            return 4
    assert_never(answer)
