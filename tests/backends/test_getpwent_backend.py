"""The password database without the shadow file as a backend: what it makes of a worker's answers."""

from __future__ import annotations

import pytest

from saslauthd_py.backend import Attempt
from saslauthd_py.backends.getpwent import GetpwentBackend
from saslauthd_py.config.settings import GetpwentSettings
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire.monitor import Answer, Refusal, Stage, Standing
from saslauthd_py.workers import WorkerFailed
from tests.backends.scripted_workers import Scripted


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(0, Stage.SHADOW, Standing.RIGHT, account=b"alice"), Accepted(Identity("alice"))),
        (Answer(0, Stage.SHADOW, Standing.WRONG), Rejected(Reason.WRONG_SECRET)),
        (Answer(0, Stage.SHADOW, Standing.UNKNOWN), UnknownUser()),
        (Answer(0, Stage.SHADOW, Standing.LOCKED), Rejected(Reason.LOCKED)),
        (Answer(0, Stage.SHADOW, Standing.NO_PASSWORD), Rejected(Reason.NO_CREDENTIAL)),
        (Answer(0, Stage.REFUSED, Refusal.DENIED), UnknownUser()),
        (WorkerFailed("backend nis: the worker of this call is gone"), Unavailable("backend nis: the worker of this call is gone")),
    ],
)
async def test_answers_of_workers(answer: Answer | WorkerFailed, verdict: Verdict) -> None:
    workers = Scripted(answer)
    backend = GetpwentBackend(workers, GetpwentSettings(type="getpwent"))
    assert await backend.verify_password(Attempt(Identity("alice", "example.test"), Secret(b"pw1"), "smtp")) == verdict
    assert [(call.login, call.secret.reveal(), call.service) for call in workers.calls] == [(b"alice", b"pw1", b"smtp")]


async def test_name_that_none_can_be_is_an_outage_that_counts_as_a_guess() -> None:
    backend = GetpwentBackend(Scripted(Answer(0, Stage.SHADOW, Standing.RIGHT, account=b"a\nb")), GetpwentSettings(type="getpwent"))
    verdict = await backend.verify_password(Attempt(Identity("alice"), Secret(b"pw1"), "smtp"))
    assert isinstance(verdict, Unavailable)
    assert verdict.judged


async def test_hash_that_cannot_be_verified_is_an_outage_that_says_where_it_stands() -> None:
    backend = GetpwentBackend(Scripted(Answer(0, Stage.SHADOW, Standing.BROKEN)), GetpwentSettings(type="getpwent"))
    verdict = await backend.verify_password(Attempt(Identity("alice"), Secret(b"pw1"), "smtp"))
    assert isinstance(verdict, Unavailable)
    assert "getent passwd" in verdict.cause
