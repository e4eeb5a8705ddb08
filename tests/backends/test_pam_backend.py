"""PAM as a backend: what every code means, whom a yes is for, and how long a no is held back. Workers that answer as they are told."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from saslauthd_py.backend import Attempt
from saslauthd_py.backends.pam import PamBackend
from saslauthd_py.backends.pam.codes import Code, meaning
from saslauthd_py.backends.pam.peak import Peak
from saslauthd_py.config.settings import PamSettings
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import FINAL_REASONS, Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire.monitor import Answer, Call, Refusal, Stage, decode, encode
from saslauthd_py.workers import WorkerFailed
from tests.backends.scripted_workers import Scripted

HEADER = Path("/usr/include/security/_pam_types.h")
ALICE = Attempt(Identity("alice"), Secret(b"pw1"), "smtp")
RIGHT = Answer(0, Stage.ACCOUNT, 0, took=30_000, account=b"alice")
WRONG = Answer(0, Stage.AUTHENTICATE, 7, took=30_000)
UNKNOWN = Answer(0, Stage.AUTHENTICATE, 10, took=1_000)

WRONG_SECRET = Rejected(Reason.WRONG_SECRET)
LOCKED = Rejected(Reason.LOCKED)
DISABLED = Rejected(Reason.DISABLED)
EXPIRED = Rejected(Reason.EXPIRED)
OUTAGE = None


def backend(*answers: Answer | WorkerFailed, **settings: Any) -> tuple[PamBackend, Scripted]:
    workers = Scripted(*answers)
    return PamBackend(workers, PamSettings(type="pam", **settings)), workers


async def judged(answer: Answer | WorkerFailed, attempt: Attempt = ALICE, **settings: Any) -> Verdict:
    it, _ = backend(answer, **settings)
    return await it.verify_password(attempt)


def hold(verdict: Verdict) -> float:
    assert isinstance(verdict, Rejected | UnknownUser)
    return verdict.hold


CODES: dict[Code, tuple[Verdict | None, Verdict | None]] = {
    Code.PAM_SUCCESS: (OUTAGE, OUTAGE),
    Code.PAM_OPEN_ERR: (OUTAGE, OUTAGE),
    Code.PAM_SYMBOL_ERR: (OUTAGE, OUTAGE),
    Code.PAM_SERVICE_ERR: (OUTAGE, OUTAGE),
    Code.PAM_SYSTEM_ERR: (OUTAGE, OUTAGE),
    Code.PAM_BUF_ERR: (OUTAGE, OUTAGE),
    Code.PAM_PERM_DENIED: (WRONG_SECRET, DISABLED),
    Code.PAM_AUTH_ERR: (WRONG_SECRET, DISABLED),
    Code.PAM_CRED_INSUFFICIENT: (OUTAGE, OUTAGE),
    Code.PAM_AUTHINFO_UNAVAIL: (OUTAGE, OUTAGE),
    Code.PAM_USER_UNKNOWN: (UnknownUser(), DISABLED),
    Code.PAM_MAXTRIES: (LOCKED, LOCKED),
    Code.PAM_NEW_AUTHTOK_REQD: (EXPIRED, EXPIRED),
    Code.PAM_ACCT_EXPIRED: (EXPIRED, EXPIRED),
    Code.PAM_SESSION_ERR: (OUTAGE, OUTAGE),
    Code.PAM_CRED_UNAVAIL: (OUTAGE, OUTAGE),
    Code.PAM_CRED_EXPIRED: (EXPIRED, EXPIRED),
    Code.PAM_CRED_ERR: (OUTAGE, OUTAGE),
    Code.PAM_NO_MODULE_DATA: (OUTAGE, OUTAGE),
    Code.PAM_CONV_ERR: (OUTAGE, OUTAGE),
    Code.PAM_AUTHTOK_ERR: (OUTAGE, OUTAGE),
    Code.PAM_AUTHTOK_RECOVERY_ERR: (OUTAGE, OUTAGE),
    Code.PAM_AUTHTOK_LOCK_BUSY: (OUTAGE, OUTAGE),
    Code.PAM_AUTHTOK_DISABLE_AGING: (OUTAGE, OUTAGE),
    Code.PAM_TRY_AGAIN: (OUTAGE, OUTAGE),
    Code.PAM_IGNORE: (OUTAGE, OUTAGE),
    Code.PAM_ABORT: (OUTAGE, OUTAGE),
    Code.PAM_AUTHTOK_EXPIRED: (EXPIRED, EXPIRED),
    Code.PAM_MODULE_UNKNOWN: (OUTAGE, OUTAGE),
    Code.PAM_BAD_ITEM: (OUTAGE, OUTAGE),
    Code.PAM_CONV_AGAIN: (OUTAGE, OUTAGE),
    Code.PAM_INCOMPLETE: (OUTAGE, OUTAGE),
}


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("stage", [Stage.AUTHENTICATE, Stage.ACCOUNT])
def test_every_code_has_its_meaning(code: Code, stage: Stage) -> None:
    expected = CODES[code][stage is Stage.ACCOUNT]
    said = meaning(stage, code)
    if expected is None:
        assert isinstance(said, Unavailable)
        function = "pam_acct_mgmt" if stage is Stage.ACCOUNT else "pam_authenticate"
        assert said.cause.startswith(f"{function}: {code.name}: ")
    else:
        assert said == expected


@pytest.mark.parametrize("code", [32, 255])
@pytest.mark.parametrize("stage", [Stage.AUTHENTICATE, Stage.ACCOUNT])
def test_a_number_that_is_no_code_is_an_outage(code: int, stage: Stage) -> None:
    said = meaning(stage, code)
    assert isinstance(said, Unavailable)
    assert str(code) in said.cause


@pytest.mark.peer("libpam")
def test_codes_are_those_of_the_system() -> None:
    defined = dict(re.findall(r"^#define (PAM_[A-Z_]+)\s+(\d+)\b", HEADER.read_text().partition("_PAM_RETURN_VALUES")[0], re.MULTILINE))
    assert {name: int(number) for name, number in defined.items()} == {code.name: code.value for code in Code}


@pytest.mark.parametrize("code", Code)
def test_b4_no_of_the_account_part_ends_the_chain(code: Code) -> None:
    said = meaning(Stage.ACCOUNT, code)
    assert isinstance(said, Unavailable) or (isinstance(said, Rejected) and said.reason in FINAL_REASONS)


async def test_right_wrong_and_unknown() -> None:
    accepted = await judged(RIGHT)
    assert isinstance(accepted, Accepted)
    assert accepted.identity == ALICE.identity
    assert await judged(WRONG) == WRONG_SECRET
    assert await judged(UNKNOWN) == UnknownUser()


async def test_success_of_the_first_part_alone_is_none() -> None:
    assert isinstance(await judged(replace(RIGHT, stage=Stage.AUTHENTICATE)), Unavailable)


async def test_call_is_what_was_attempted() -> None:
    it, workers = backend(RIGHT)
    await it.verify_password(Attempt(Identity("Jürgen", "example.test"), Secret(b"\xff"), "pop", ip_address("2001:db8::7"), urgent=True))
    await it.verify_password(ALICE)
    first, second = workers.calls
    assert first == Call(0, b"pop", "Jürgen".encode(), Secret(b"\xff"), b"2001:db8::7", urgent=True)
    assert second == Call(0, b"smtp", b"alice", Secret(b"pw1"))


async def test_d7_secret_as_long_as_a_request_fits_in_a_frame_and_stays_too_long() -> None:
    it, workers = backend(WRONG)
    for size in (512, 513, 4096, 4097, 16384):
        await it.verify_password(ALICE._replace(identity=Identity("a" * 255), secret=Secret(b"x" * size)))
        call = decode(encode(workers.calls[-1]))
        assert isinstance(call, Call)
        assert (call.secret == Secret(b"x" * size)) == (size <= 4096)
        assert len(call.secret) >= min(size, 4096)


@pytest.mark.parametrize(
    ("login", "asked", "sent", "confirmed"),
    [
        ("{local}", Identity("alice", "example.test"), b"alice", Identity("alice")),
        ("{local}@{realm}", Identity("alice", "example.test"), b"alice@example.test", Identity("alice", "example.test")),
        ("{local}@{realm}", Identity("alice"), b"alice", Identity("alice")),
        ("{local}@ad.example", Identity("alice", "example.test"), b"alice@ad.example", Identity("alice", "ad.example")),
        ("{realm}+{local}", Identity("a@b", "c.test"), b"c.test+a@b", Identity("c.test+a@b")),
    ],
)
async def test_b1_identity_is_the_login_that_was_confirmed(login: str, asked: Identity, sent: bytes, confirmed: Identity) -> None:
    it, workers = backend(replace(RIGHT, account=sent), login=login)
    verdict = await it.verify_password(ALICE._replace(identity=asked))
    assert workers.calls[0].login == sent
    assert isinstance(verdict, Accepted)
    assert verdict.identity == confirmed


@pytest.mark.parametrize(("account", "confirmed"), [(b"bob", Identity("bob")), (b"bob@ad.example", Identity("bob", "ad.example"))])
async def test_b1_identity_is_the_one_that_a_module_changed_to(account: bytes, confirmed: Identity) -> None:
    verdict = await judged(replace(RIGHT, account=account))
    assert isinstance(verdict, Accepted)
    assert verdict.identity == confirmed


@pytest.mark.parametrize("account", [b"", b"\xff", b"a\nb", b"@"])
async def test_b1_account_that_none_can_be_is_nobody(account: bytes) -> None:
    assert isinstance(await judged(replace(RIGHT, account=account)), Unavailable)


async def test_login_that_gets_too_long_is_unknown_and_nobody_is_asked() -> None:
    it, workers = backend(RIGHT, login="{local}{local}")
    assert await it.verify_password(ALICE._replace(identity=Identity("a" * 200))) == UnknownUser()
    assert workers.calls == []


async def test_c4_proof_counts_once_unless_the_admin_has_it_remembered() -> None:
    once = await judged(RIGHT)
    remembered = await judged(RIGHT, cache="60s")
    assert isinstance(once, Accepted)
    assert isinstance(remembered, Accepted)
    assert not once.replayable
    assert remembered.replayable


@pytest.mark.parametrize(
    ("refusal", "verdict"),
    [
        (Refusal.SERVICE, Rejected(Reason.SERVICE)),
        (Refusal.DENIED, UnknownUser()),
        (Refusal.NAME, UnknownUser()),
        (Refusal.SECRET, WRONG_SECRET),
    ],
)
async def test_refusals_of_the_worker(refusal: Refusal, verdict: Verdict) -> None:
    assert await judged(Answer(0, Stage.REFUSED, refusal)) == verdict


async def test_missing_file_is_an_outage_that_names_the_file() -> None:
    refused = Answer(0, Stage.REFUSED, Refusal.NO_SERVICE_FILE)
    for attempt, settings, file in (
        (ALICE, {}, "/etc/pam.d/smtp,"),
        (ALICE._replace(service="pop"), {}, "/etc/pam.d/pop,"),
        (ALICE, {"pam_service": "mail"}, "/etc/pam.d/mail,"),
        (ALICE._replace(service="../x"), {}, "/etc/pam.d/../x,"),
    ):
        verdict = await judged(refused, attempt, **settings)
        assert isinstance(verdict, Unavailable)
        assert file in verdict.cause


@pytest.mark.parametrize("answer", [Answer(0, Stage.REFUSED, 99), Answer(0, Stage.SHADOW, 0, account=b"alice")])
async def test_answer_that_makes_no_sense_is_an_outage(answer: Answer) -> None:
    assert isinstance(await judged(answer), Unavailable)


async def test_worker_that_fails_is_an_outage_in_its_words() -> None:
    assert await judged(WorkerFailed("backend system: the worker of this call ended in it")) == Unavailable(
        "backend system: the worker of this call ended in it"
    )


async def test_d6_every_no_is_held_until_the_longest_would_have_come(autojump_clock: trio.testing.MockClock) -> None:
    it, _ = backend(WRONG, UNKNOWN, Answer(0, Stage.REFUSED, Refusal.DENIED, took=100), replace(RIGHT, code=13, took=20_000), WRONG)
    assert hold(await it.verify_password(ALICE)) == 0.0
    assert hold(await it.verify_password(ALICE)) == pytest.approx(0.029)
    assert hold(await it.verify_password(ALICE)) == pytest.approx(0.0299)
    assert hold(await it.verify_password(ALICE)) == pytest.approx(0.010)
    assert hold(await it.verify_password(ALICE)) == 0.0
    assert hold(await it.verify_password(ALICE._replace(identity=Identity("a" * 255)))) == 0.0
    it._settings = PamSettings(type="pam", login="{local}{local}")
    assert hold(await it.verify_password(ALICE._replace(identity=Identity("a" * 255)))) == pytest.approx(0.030)
    assert trio.current_time() == pytest.approx(0, abs=1)  # nothing of it is slept here


async def test_d6_flood_of_unknown_names_does_not_shorten_a_no(autojump_clock: trio.testing.MockClock) -> None:
    it, _ = backend(WRONG, UNKNOWN)
    await it.verify_password(ALICE)
    for _ in range(1000):
        assert hold(await it.verify_password(ALICE)) == pytest.approx(0.029)
    await trio.sleep(3600)
    assert hold(await it.verify_password(ALICE)) == pytest.approx(0.029)
    await trio.sleep(2 * 3600)
    await it.verify_password(ALICE)
    assert hold(await it.verify_password(ALICE)) == 0.0


async def test_d6_success_tells_how_long_a_no_takes(autojump_clock: trio.testing.MockClock) -> None:
    it, _ = backend(RIGHT, UNKNOWN)
    await it.verify_password(ALICE)
    assert hold(await it.verify_password(ALICE)) == pytest.approx(0.029)


async def test_d1_delay_of_a_module_is_that_of_every_no(autojump_clock: trio.testing.MockClock) -> None:
    it, _ = backend(replace(WRONG, delay=1_500_000), UNKNOWN, RIGHT, WRONG)
    assert hold(await it.verify_password(ALICE)) == pytest.approx(1.5)
    assert hold(await it.verify_password(ALICE)) == pytest.approx(1.529)
    assert isinstance(await it.verify_password(ALICE), Accepted)
    assert hold(await it.verify_password(ALICE)) == pytest.approx(1.5)


async def test_d1_delay_is_bounded_and_more_so_without_an_address(autojump_clock: trio.testing.MockClock) -> None:
    it, _ = backend(replace(WRONG, delay=4_000_000_000, took=30_000_000), WRONG)
    known = ALICE._replace(address=ip_address("192.0.2.7"))
    assert hold(await it.verify_password(ALICE)) == 0.0  # it has taken 30 s already
    assert hold(await it.verify_password(ALICE)) == pytest.approx(1.0 + 2.0 - 0.03)
    assert hold(await it.verify_password(known)) == pytest.approx(1.0 + 4.0 - 0.03)


async def test_outage_teaches_nothing_of_time(autojump_clock: trio.testing.MockClock) -> None:
    it, _ = backend(Answer(0, Stage.AUTHENTICATE, 9, took=900_000, delay=2_000_000), UNKNOWN)
    assert isinstance(await it.verify_password(ALICE), Unavailable)
    assert hold(await it.verify_password(ALICE)) == 0.0


async def test_refusal_of_the_worker_teaches_nothing_of_time(autojump_clock: trio.testing.MockClock) -> None:
    it, _ = backend(Answer(0, Stage.REFUSED, Refusal.DENIED, took=900_000), UNKNOWN)
    assert await it.verify_password(ALICE) == UnknownUser()
    assert hold(await it.verify_password(ALICE)) == 0.0


async def test_pretending_takes_no_worker() -> None:
    it, workers = backend(RIGHT)
    await it.pretend(Secret(b"pw1"))
    assert workers.calls == []


def test_peak_forgets_after_its_memory_and_not_before() -> None:
    now = 0.0
    peak = Peak(10.0, lambda: now)
    assert peak.highest() == 0.0
    peak.note(3.0)
    peak.note(1.0)
    now = 9.0
    assert peak.highest() == 3.0
    now = 11.0
    peak.note(2.0)
    assert peak.highest() == 3.0
    now = 21.5
    assert peak.highest() == 2.0
    now = 31.0
    peak.note(5.0)
    now = 100.0
    assert peak.highest() == 0.0
