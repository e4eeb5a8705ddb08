"""Kerberos as a backend, without a KDC: principals, the table of codes, and threads that are late, counted and never too many."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.backend import Attempt
from saslauthd_py.backends.kerberos import KerberosBackend, _Call, verdicts
from saslauthd_py.backends.kerberos.principals import NoPrincipal, principal
from saslauthd_py.backends.kerberos.proving import NotProved, Step
from saslauthd_py.backends.kerberos.verdicts import Code
from saslauthd_py.config.settings import KerberosSettings
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from tests.interop.waiting import PATIENCE

WRONG = Rejected(Reason.WRONG_SECRET)


def settings(**keys: Any) -> KerberosSettings:
    return KerberosSettings.model_validate({"type": "kerberos", **keys})


@pytest.mark.parametrize(
    ("login", "keys", "service", "expected"),
    [
        (Identity("alice"), {}, "smtp", "alice"),
        (Identity("alice"), {"realm": "EXAMPLE.ORG"}, "smtp", "alice@EXAMPLE.ORG"),
        (Identity("alice", "example.org"), {}, "smtp", "alice@EXAMPLE.ORG"),
        (Identity("alice/admin"), {}, "smtp", "alice/admin"),
        (Identity("alice@other.org"), {"realm": "EXAMPLE.ORG"}, "smtp", r"alice\@other.org@EXAMPLE.ORG"),
        (Identity("a\\b"), {}, "smtp", r"a\\b"),
        (Identity("alice", "a/b\\c"), {}, "smtp", r"alice@A\/B\\C"),
        (Identity("alice"), {"service_instance": {"imap": "mail"}}, "imap", "alice/mail"),
        (Identity("alice"), {"service_instance": {"imap": "mail"}}, "smtp", "alice"),
        (Identity("alice"), {"service_instance": {"pop3": "pop"}, "realm": "X"}, "POP", "alice/pop@X"),
    ],
)
def test_principals(login: Identity, keys: dict[str, Any], service: str, expected: str) -> None:
    assert principal(login, settings(**keys), service) == expected


def test_nobody_chooses_another_instance_than_the_service_s() -> None:
    with pytest.raises(NoPrincipal):
        principal(Identity("alice/admin"), settings(service_instance={"imap": "mail"}), "imap")


def unescaped(text: str, separator: str) -> list[str]:
    """The parts of a principal as krb5_parse_name has them."""
    parts, escaped = [""], False
    for letter in text:
        if escaped or letter not in (separator, "\\"):
            parts[-1] += letter if not escaped or letter in "\\@/" else f"\\{letter}"
            escaped = False
        elif letter == "\\":
            escaped = True
        else:
            parts.append("")
    return parts


@given(st.text(min_size=1, max_size=40), st.sampled_from(["", "EXAMPLE.ORG"]))
def test_no_login_reaches_another_realm(local: str, realm: str) -> None:
    try:
        login = Identity(local)
    except InvalidIdentity:
        return
    keys = {"realm": realm} if realm else {}
    assert unescaped(principal(login, settings(**keys), "smtp"), "@") == [local, *filter(None, [realm])]


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (Code.KDC_ERR_C_PRINCIPAL_UNKNOWN, UnknownUser()),
        (Code.KDC_ERR_PREAUTH_FAILED, WRONG),
        (Code.KRB_AP_ERR_BAD_INTEGRITY, WRONG),
        (Code.KDC_ERR_NULL_KEY, Rejected(Reason.NO_CREDENTIAL)),
        (Code.KDC_ERR_CLIENT_REVOKED, Rejected(Reason.LOCKED)),
        (Code.KDC_ERR_CLIENT_NOTYET, Rejected(Reason.DISABLED)),
        (Code.KDC_ERR_POLICY, Rejected(Reason.DISABLED)),
        (Code.KDC_ERR_NAME_EXP, Rejected(Reason.EXPIRED)),
        (Code.KDC_ERR_KEY_EXPIRED, Rejected(Reason.EXPIRED)),
    ],
)
def test_what_a_kdc_says_of_a_password(code: int, verdict: Verdict) -> None:
    assert verdicts.of(NotProved(Step.PASSWORD, code, "words")) == verdict


@pytest.mark.parametrize("number", [32, 33, 37, 147])
def test_clocks_that_differ_are_named_whichever_of_the_two_is_ahead(number: int) -> None:
    verdict = verdicts.of(NotProved(Step.PROOF, -1765328384 + number, "Ticket not yet valid"))
    assert verdict == Unavailable(
        "proving the KDC by the keytab: Ticket not yet valid; the clocks of KDC and machine differ: set them by NTP", judged=True
    )


@pytest.mark.parametrize(
    ("step", "code", "judged"),
    [
        (Step.PASSWORD, Code.KRB5_KDC_UNREACH, False),
        (Step.PASSWORD, Code.KRB5_REALM_UNKNOWN, False),
        (Step.PASSWORD, Code.KDC_ERR_ETYPE_NOSUPP, False),
        (Step.PASSWORD, Code.KRB_AP_ERR_SKEW, True),
        (Step.PASSWORD, Code.KRB5_KDCREP_SKEW, True),
        (Step.PASSWORD, -12345, True),
        (Step.KEYTAB, Code.KG_KEYTAB_NOMATCH, False),
        (Step.KEYTAB, errno.EACCES, False),
        (Step.TICKET, Code.KDC_ERR_S_PRINCIPAL_UNKNOWN, True),
        (Step.TICKET, Code.KDC_ERR_C_PRINCIPAL_UNKNOWN, True),
        (Step.TICKET, Code.KDC_ERR_PREAUTH_FAILED, True),
        (Step.PROOF, Code.KRB_AP_ERR_BAD_INTEGRITY, True),
        (Step.PROOF, 0, True),
    ],
)
def test_d9_every_other_failure_is_an_outage_and_a_guess_once_the_password_may_count(step: Step, code: int, judged: bool) -> None:
    verdict = verdicts.of(NotProved(step, code, "the library's words"))
    assert isinstance(verdict, Unavailable)
    assert verdict.judged is judged
    assert verdict.cause.startswith(f"{step.value}: the library's words")


@given(st.sampled_from([step for step in Step if step is not Step.PASSWORD]), st.integers())
def test_only_the_kdc_s_answer_to_the_password_is_a_no(step: Step, code: int) -> None:
    assert isinstance(verdicts.of(NotProved(step, code, "")), Unavailable)


class Scripted:
    """Implements `Proving`: a failure, or nothing; each call waits for `gate`."""

    def __init__(self, failure: NotProved | None = None) -> None:
        self.failure = failure
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)
        self.asked: list[tuple[str, bytes]] = []

    def prove(self, principal: str, secret: Secret) -> None:
        self.asked.append((principal, secret.reveal()))
        self.begun.release()
        self.gate.wait()
        if self.failure:
            raise self.failure

    def check_keytab(self) -> None:
        if self.failure:
            raise self.failure

    def check_kdc(self) -> None: ...


@pytest.fixture
def scripted() -> Iterator[Callable[..., tuple[KerberosBackend, Scripted]]]:
    made: list[Scripted] = []

    def make(failure: NotProved | None = None, **keys: Any) -> tuple[KerberosBackend, Scripted]:
        made.append(Scripted(failure))
        return KerberosBackend(settings(**keys), made[-1], "realm"), made[-1]

    yield make
    for one in made:
        one.gate.set()


Make = Callable[..., tuple[KerberosBackend, Scripted]]


def attempt(name: str = "alice", secret: bytes = b"pw1", service: str = "smtp") -> Attempt:
    return Attempt(Identity(name, "example.test"), Secret(secret), service)


async def test_yes_confirms_the_login(scripted: Make) -> None:
    backend, proving = scripted(realm="EXAMPLE.ORG", service_instance={"smtp": "mail"})
    assert await backend.verify_password(attempt()) == Accepted(Identity("alice"))
    assert proving.asked == [("alice/mail@EXAMPLE.ORG", b"pw1")]
    backend, proving = scripted(login="{local}@{realm}")
    assert await backend.verify_password(attempt()) == Accepted(Identity("alice", "example.test"))
    assert proving.asked == [("alice@EXAMPLE.TEST", b"pw1")]


async def test_failure_is_read_off(scripted: Make) -> None:
    backend, _ = scripted(NotProved(Step.PASSWORD, Code.KDC_ERR_CLIENT_REVOKED, "revoked"))
    assert await backend.verify_password(attempt()) == Rejected(Reason.LOCKED)


@pytest.mark.parametrize("secret", [b"", b"\0", b"pw1\0x"])
async def test_d7_secret_that_the_library_would_cut_is_wrong_unseen(scripted: Make, secret: bytes) -> None:
    backend, proving = scripted()
    assert await backend.verify_password(attempt(secret=secret)) == WRONG
    assert proving.asked == []


async def test_secret_that_is_refused_unseen_takes_as_long_as_a_wrong_one(scripted: Make, autojump_clock: trio.testing.MockClock) -> None:
    backend, _ = scripted()
    backend._refusals.note(0.5)
    began = trio.current_time()
    assert await backend.verify_password(attempt(secret=b"")) == WRONG
    assert trio.current_time() - began == 0.5


async def test_login_that_can_be_no_principal_is_nobody_s(scripted: Make) -> None:
    backend, proving = scripted(service_instance={"smtp": "mail"})
    assert await backend.verify_password(attempt("alice/admin")) == UnknownUser()
    backend, proving = scripted(login="{local}{realm}")
    assert await backend.verify_password(Attempt(Identity("a" * 200, "b" * 200), Secret(b"x"), "smtp")) == UnknownUser()
    assert proving.asked == []


async def test_thread_that_is_late_is_left_and_keeps_its_place(scripted: Make, mock_clock: trio.testing.MockClock) -> None:
    backend, proving = scripted(timeout="5s", parallel=2)
    proving.gate.clear()
    found: list[Verdict] = []

    async def ask() -> None:
        found.append(await backend.verify_password(attempt()))

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(ask)
            await trio.to_thread.run_sync(proving.begun.acquire)
        mock_clock.jump(5)
    assert found == [Unavailable("no answer of the KDC within 5 s", judged=True)] * 2
    verdict = await backend.verify_password(attempt())
    assert verdict == Unavailable("the KDC does not answer: each of the 2 places (parallel) has a call that still waits for it")
    assert len(proving.asked) == 2, "no thread more than `parallel`"
    proving.gate.set()
    end = time.monotonic() + PATIENCE
    while await backend.verify_password(attempt()) != Accepted(Identity("alice")):
        assert time.monotonic() < end


async def test_waiting_for_a_place_is_bounded_and_no_guess(scripted: Make, mock_clock: trio.testing.MockClock) -> None:
    backend, proving = scripted(timeout="5s", parallel=1)
    proving.gate.clear()
    found: list[Verdict] = []

    async def ask(secret: bytes) -> None:
        found.append(await backend.verify_password(attempt(secret=secret)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, b"pw1")
        await trio.to_thread.run_sync(proving.begun.acquire)
        nursery.start_soon(ask, b"pw2")
        await trio.testing.wait_all_tasks_blocked()
        assert not await trio.to_thread.run_sync(lambda: proving.begun.acquire(timeout=0.1)), "there is one place"
        mock_clock.jump(5)
    assert sorted(one.judged for one in found if isinstance(one, Unavailable)) == [False, True]
    assert [secret for _, secret in proving.asked] == [b"pw1"]


def test_call_that_was_given_up_before_it_began_asks_nobody(scripted: Make) -> None:
    backend, proving = scripted()
    backend._run(_Call(given_up=True), "alice", Secret(b"pw1"))
    assert proving.asked == []


async def test_cancelled_call_is_counted_too(scripted: Make) -> None:
    backend, proving = scripted(parallel=1)
    proving.gate.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backend.verify_password, attempt())
        await trio.to_thread.run_sync(proving.begun.acquire)
        nursery.cancel_scope.cancel()
    verdict = await backend.verify_password(attempt())
    assert isinstance(verdict, Unavailable)
    assert "each of the 1 places" in verdict.cause


async def test_keytab_that_cannot_be_used_is_told_at_the_start(scripted: Make, caplog: pytest.LogCaptureFixture) -> None:
    backend, _ = scripted(NotProved(Step.KEYTAB, errno.EACCES, "Permission denied"))
    await backend.check()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        "backend realm: /etc/saslauthd-py/krb5.keytab, host: the keytab: Permission denied; chown it to the daemon's user, mode 0400, "
        "or write it one of its own; until that is mended every login is unavailable"
    )
    caplog.clear()
    backend, _ = scripted()
    await backend.check()
    assert caplog.records == []
