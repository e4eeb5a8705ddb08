"""Backends that never decide: each is asked after a decision whether it would have decided the same, and only the log hears of it.

Nobody waits for it, and nothing of it comes back. What the cache answered is not asked again, nor is a login without a secret (SCRAM),
one over a limit, or one that nobody here could judge.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import trio

from saslauthd_py import steps
from saslauthd_py.authenticator.chain import Heard
from saslauthd_py.authenticator.question import Question
from saslauthd_py.identity import Identity
from saslauthd_py.log import escape
from saslauthd_py.queue import Caller
from saslauthd_py.routing import Compared, Member, Route
from saslauthd_py.verdict import Accepted, Unavailable, Verdict

_logger = logging.getLogger(__name__)

BETWEEN_LINES = 1.0
"""Seconds from one line about a backend to the next: those between are counted, in the next line and in the metrics."""


_Login = tuple[str, Identity, bytes]
"""Backend, name, and the MAC of the secret."""


@dataclass(slots=True)
class _Pace:
    next: float = 0.0
    unsaid: int = 0


class Comparing:
    """`nursery` runs the questions, each for `deadline` seconds at most. `mac` tells two secrets apart without keeping either."""

    def __init__(self, nursery: trio.Nursery, deadline: float, mac: Callable[[bytes], bytes]) -> None:
        self._nursery = nursery
        self._deadline = deadline
        self._paces: dict[str, _Pace] = {}
        self._mac = mac
        self._logins: set[_Login] = set()

    def begin(self, question: Question, route: Route, heard: Heard[Verdict]) -> None:
        """Ask the route's others what they say of a login that was decided. Never waits.

        So many at once as the backend may be asked, and each name with each secret once: over that the login is left out and counted.
        Another daemon may be slower than this one; and one that, by a detour, is this one would be asked its own question for ever.
        """
        if isinstance(heard.answer, Unavailable):
            return
        for member, compared in route.beside:
            if member.services and question.attempt.service not in member.services:
                continue
            login = member.name, question.attempt.identity, self._mac(question.attempt.secret.reveal())
            if compared.under_way >= member.queue.places or login in self._logins:
                compared.left_out += 1
            else:
                compared.under_way += 1
                self._logins.add(login)
                self._nursery.start_soon(self._compare, question, (member, compared), heard, login)

    async def _compare(self, question: Question, asked: tuple[Member, Compared], heard: Heard[Verdict], login: _Login) -> None:
        member, compared = asked
        try:
            said = await self._asked(question, member)
            if isinstance(said, Unavailable):
                compared.unanswered += 1
                if member.health.failing == 1:
                    _logger.warning("backend %s cannot be compared with until it answers: %s", member.name, said.cause)
            elif isinstance(said, Accepted) is isinstance(heard.answer, Accepted):
                compared.alike += 1
            else:
                compared.different += 1
                self._tell(question, member.name, heard, said)
        except Exception:
            _logger.exception("bug while a decision was compared with backend %s; it stands", member.name)
        finally:
            compared.under_way -= 1
            self._logins.discard(login)

    async def _asked(self, question: Question, member: Member) -> Verdict:
        began = trio.current_time()
        said: Verdict = Unavailable(f"no answer within {self._deadline:g} s")
        with trio.move_on_after(self._deadline):
            async with member.queue.turn(Caller(urgent=True)):
                said = await member.backend.verify_password(question.attempt)
        member.health.note(said, trio.current_time() - began)
        return said

    def _tell(self, question: Question, name: str, heard: Heard[Verdict], said: Verdict) -> None:
        pace, now = self._paces.setdefault(name, _Pace()), trio.current_time()
        if now < pace.next:
            pace.unsaid += 1
            return
        more = f" ({pace.unsaid} more since the last such line)" if pace.unsaid else ""
        pace.next, pace.unsaid = now + BETWEEN_LINES, 0
        fields = {
            "user": str(question.attempt.identity),
            "service": question.attempt.service,
            "listener": question.listener,
            "decided": _word(heard.answer),
            "backend": heard.member.name if heard.member else "",
            "compared": name,
            "said": _word(said),
        }
        text = " ".join(f"{key}={escape.text(value).decode()}" for key, value in fields.items())
        _logger.warning("backend %s differs from what was decided: %s%s", name, text, more)


def _word(verdict: Verdict) -> str:
    """As the log has it: `accepted`, or `rejected` with its reason behind a slash."""
    facts = steps.said(verdict)
    return "/".join(str(facts[key]) for key in ("verdict", "reason") if key in facts)
