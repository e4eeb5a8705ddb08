"""The shadow database as a backend: every standing's verdict, who was confirmed, and until when. Workers that answer as they are told."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from saslauthd_py.backend import Attempt
from saslauthd_py.backends.shadow import ShadowBackend
from saslauthd_py.config.settings import ShadowSettings
from saslauthd_py.identity import Identity
from saslauthd_py.monitor.accounts import is_login
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire.monitor import Answer, Call, Refusal, Stage, Standing, decode, encode
from saslauthd_py.workers import WorkerFailed
from tests.backends.scripted_workers import Scripted

ALICE = Attempt(Identity("alice"), Secret(b"pw1"), "smtp")
RIGHT = Answer(0, Stage.SHADOW, Standing.RIGHT, account=b"alice")
DAY = 86400


async def judged(answer: Answer | WorkerFailed, attempt: Attempt = ALICE, **settings: Any) -> tuple[Verdict, list[Call]]:
    workers = Scripted(answer)
    return await ShadowBackend(workers, ShadowSettings(type="shadow", **settings)).verify_password(attempt), workers.calls


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (Standing.WRONG, Rejected(Reason.WRONG_SECRET)),
        (Standing.UNKNOWN, UnknownUser()),
        (Standing.LOCKED, Rejected(Reason.LOCKED)),
        (Standing.NO_PASSWORD, Rejected(Reason.NO_CREDENTIAL)),
        (Standing.ACCOUNT_EXPIRED, Rejected(Reason.EXPIRED)),
        (Standing.PASSWORD_EXPIRED, Rejected(Reason.EXPIRED)),
        (Standing.CHANGE_FORCED, Rejected(Reason.EXPIRED)),
        (Standing.BROKEN, None),
        (Standing.UNREADABLE, None),
    ],
)
async def test_every_standing_has_its_verdict(standing: Standing, expected: Verdict | None) -> None:
    verdict, _ = await judged(Answer(0, Stage.SHADOW, standing, account=b"alice"))
    assert verdict == expected or (expected is None and isinstance(verdict, Unavailable))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(0, Stage.REFUSED, Refusal.SERVICE), Rejected(Reason.SERVICE)),
        (Answer(0, Stage.REFUSED, Refusal.DENIED), UnknownUser()),
        (Answer(0, Stage.REFUSED, Refusal.NAME), UnknownUser()),
        (Answer(0, Stage.REFUSED, 0), None),
        (Answer(0, Stage.SHADOW, 99), None),
        (Answer(0, Stage.ACCOUNT, 0, account=b"alice"), None),
        (WorkerFailed("backend system: the worker of this call is gone"), Unavailable("backend system: the worker of this call is gone")),
    ],
)
async def test_other_answers(answer: Answer | WorkerFailed, expected: Verdict | None) -> None:
    verdict, _ = await judged(answer)
    assert verdict == expected or (expected is None and isinstance(verdict, Unavailable))


@pytest.mark.parametrize(
    ("login", "asked", "account", "confirmed"),
    [
        ("{local}", Identity("alice"), b"alice", Identity("alice")),
        ("{local}", Identity("alice", "example.test"), b"alice", Identity("alice")),
        ("{local}", Identity("ALICE"), b"alice", Identity("alice")),
        ("{local}@{realm}", Identity("alice", "a.test"), b"alice@a.test", Identity("alice", "a.test")),
    ],
)
async def test_b1_identity_is_the_name_that_the_system_has(login: str, asked: Identity, account: bytes, confirmed: Identity) -> None:
    verdict, _ = await judged(replace(RIGHT, account=account), ALICE._replace(identity=asked), login=login)
    assert isinstance(verdict, Accepted)
    assert verdict.identity == confirmed


@pytest.mark.parametrize("account", [b"", b"\xff"])
async def test_b1_account_that_none_can_be_is_nobody(account: bytes) -> None:
    verdict, _ = await judged(replace(RIGHT, account=account))
    assert isinstance(verdict, Unavailable)


async def test_c3_proof_ends_with_the_account() -> None:
    tomorrow = int(time.time()) + DAY
    for expires, told in ((tomorrow, float(tomorrow)), (1, 1.0), (0, None), (int(time.time()) + 400 * DAY, None)):
        verdict, _ = await judged(replace(RIGHT, expires=expires))
        assert isinstance(verdict, Accepted)
        assert verdict.restrictions.expires == told
        assert verdict.restrictions.none == (told is None)


async def test_call_is_what_was_attempted() -> None:
    _, calls = await judged(RIGHT, ALICE._replace(identity=Identity("Jürgen", "a.test"), secret=Secret(b"\xff"), urgent=True))
    assert calls == [Call(0, b"smtp", "Jürgen".encode(), Secret(b"\xff"), urgent=True)]


async def test_d6_login_that_gets_too_long_costs_the_same_work() -> None:
    verdict, calls = await judged(
        Answer(0, Stage.REFUSED, Refusal.NAME), ALICE._replace(identity=Identity("a" * 200)), login="{local}{local}"
    )
    assert verdict == UnknownUser()
    assert len(calls) == 1
    assert not is_login(calls[0].login)
    verdict, _ = await judged(RIGHT, ALICE._replace(identity=Identity("a" * 200)), login="{local}{local}")
    assert isinstance(verdict, Unavailable)


async def test_d7_secret_as_long_as_a_request_fits_in_a_frame_and_stays_too_long() -> None:
    for size in (512, 4096, 4097, 16384):
        secret = Secret(b"x" * size)
        _, calls = await judged(RIGHT, ALICE._replace(identity=Identity("a" * 255), secret=secret))
        call = decode(encode(calls[0]))
        assert isinstance(call, Call)
        assert (call.secret == secret) == (size <= 4096)
        assert len(call.secret) >= min(size, 4096)


async def test_pretending_takes_no_worker() -> None:
    workers = Scripted(RIGHT)
    await ShadowBackend(workers, ShadowSettings(type="shadow")).pretend(Secret(b"pw1"))
    assert workers.calls == []
