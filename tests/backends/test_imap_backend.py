"""What a mail server's answer to a login means: each response code, each outage, and what is never sent."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py.backend import Attempt
from saslauthd_py.backends.imap import MAX_SECRET, ImapBackend, verdicts
from saslauthd_py.backends.imap.servers import Said
from saslauthd_py.config.settings.imap import ImapSettings
from saslauthd_py.identity import Identity
from saslauthd_py.remote.failing import Failed
from saslauthd_py.remote.refusals import LONGEST
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire.imap import Stream

SERVER = "imaps://imap.example.org"
ALICE, SECRET = Identity("alice", "example.org"), Secret(b"hunter2")


class Servers:
    """They say the one thing, after so many seconds."""

    def __init__(self, answer: bytes | Failed, seconds: float = 0.0) -> None:
        self.asked: list[bytes] = []
        self.answer = answer
        self._seconds = seconds

    async def login(self, name: bytes, secret: Secret) -> Said:
        self.asked.append(name)
        await trio.sleep(self._seconds)
        if isinstance(self.answer, Failed):
            raise self.answer
        stream = Stream()
        stream.feed(self.answer + b"\r\n")
        response = stream.next_response()
        assert response is not None
        return Said(response, SERVER, "LOGIN", verdicts.words(response, name, secret))


def backend(servers: Servers, **more: object) -> ImapBackend:
    return ImapBackend(ImapSettings.model_validate({"type": "imap", "servers": [SERVER], **more}), servers)


async def verdict(answer: bytes | Failed, **more: object) -> Verdict:
    return await backend(Servers(answer), **more).verify_password(Attempt(ALICE, SECRET, "smtp"))


async def test_yes_confirms_the_name_that_was_asked() -> None:
    assert await verdict(b"a OK [CAPABILITY IMAP4rev1] Logged in") == Accepted(ALICE, replayable=False)
    assert await verdict(b"a OK", login="{local}") == Accepted(Identity("alice"), replayable=False)
    assert await verdict(b"a OK", cache="10s") == Accepted(ALICE)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"NO", Reason.WRONG_SECRET),
        (b"NO LOGIN failed.", Reason.WRONG_SECRET),
        (b"NO [AUTHENTICATIONFAILED] Authentication failed.", Reason.WRONG_SECRET),
        (b"no [authenticationfailed] x", Reason.WRONG_SECRET),
        (b"NO [ALERT] Invalid credentials (Failure)", Reason.WRONG_SECRET),
        (b"NO [AUTHORIZATIONFAILED] no", Reason.DISABLED),
        (b"NO [CONTACTADMIN] no", Reason.DISABLED),
        (b"NO [NOPERM] no", Reason.DISABLED),
        (b"NO [EXPIRED] Password expired", Reason.EXPIRED),
        (b"NO Login failed: authentication failure", Reason.WRONG_SECRET),
        (b"NO Login failed: account disabled", Reason.DISABLED),
        (b"NO passphrase expired, has to be reset", Reason.EXPIRED),
    ],
)
async def test_no_that_speaks_of_the_account(said: bytes, reason: Reason) -> None:
    assert await verdict(b"a " + said) == Rejected(reason)


@pytest.mark.parametrize(
    ("said", "judged", "told"),
    [
        (b"NO [UNAVAILABLE] Temporary authentication failure.", False, "NO [UNAVAILABLE]; Temporary authentication failure."),
        (b"NO [PRIVACYREQUIRED] no", False, "it wants TLS: use imaps://"),
        (b"NO [REFERRAL imap://b/] no", False, "name that one in servers"),
        (b"NO [SERVERBUG] oops", True, "NO [SERVERBUG]; oops"),
        (b"NO [INUSE] busy", True, "NO [INUSE]"),
        (b"NO [LIMIT] Maximum number of connections", True, "raise its limit"),
        (b"NO [CORRUPTION] x", True, "NO [CORRUPTION]"),
        (b"NO [X-NEW-CODE] x", True, "NO [X-NEW-CODE]"),
        (b"NO Login failed: generic failure", False, "login: NO; generic failure"),
        (b"NO no mechanism available", False, "login: NO; no mechanism available"),
        (b"NO Server Unavailable. 15", True, "login: NO; Server Unavailable. 15"),
        (b"NO Temporary authentication failure.", True, "login: NO; Temporary authentication failure."),
        (b"NO Internal server error", True, "login: NO; Internal server error"),
        (b"NO [ALERT] Too many simultaneous connections. (Failure)", True, "NO [ALERT]; Too many simultaneous connections. (Failure)"),
        (b"NO [ALERT] Account exceeded command or bandwidth limits. (Failure)", True, "NO [ALERT]; Account exceeded"),
        (b"NO [X_TEMPFAIL] x", True, "NO [X_TEMPFAIL]"),
        (b"NO [4.7.0] x", True, "NO [4.7.0]"),
        (b"NO Temporary failure: LOGIN alice hunter2", True, "login: NO"),
        (b"NO [CLIENTBUG] AUTHENTICATE PLAIN AGFsaWNlQGV4YW1wbGUub3JnAGh1bnRlcjI=", True, "NO [CLIENTBUG]"),
        (b"NO [CLIENTBUG] AUTHENTICATE PLAIN AGFsaWNlQGV4YW1wbGUub3JnAGh1bnR", True, "NO [CLIENTBUG]"),
        (b"BAD Error in IMAP command: LOGIN alice hunter2", True, "login: BAD"),
        (b"NO [CLIENTBUG] you sent hunter2", True, "NO [CLIENTBUG]"),
        (b"BAD [AUTHENTICATIONFAILED] x", True, "BAD [AUTHENTICATIONFAILED]"),
    ],
)
async def test_d8_everything_else_is_an_outage_and_tells_no_secret(said: bytes, judged: bool, told: str) -> None:
    outage = await verdict(b"a " + said)
    assert isinstance(outage, Unavailable)
    assert outage.judged is judged
    assert outage.cause.startswith(f"{SERVER}: login: ")
    assert told in outage.cause
    assert "hunter2" not in outage.cause
    assert "AGFsaWNl" not in outage.cause


async def test_d9_servers_that_fail_are_an_outage_and_judged_once_a_secret_was_sent() -> None:
    assert await verdict(Failed("a: refused")) == Unavailable("a: refused")
    assert await verdict(Failed("a: ended the connection", sent=True)) == Unavailable("a: ended the connection", judged=True)


@pytest.mark.parametrize("secret", [b"", b"hunter2\0", b"x" * (MAX_SECRET + 1)], ids=["empty", "NUL", "long"])
async def test_d7_secret_that_no_server_takes_whole_is_wrong_and_never_sent(secret: bytes, autojump_clock: MockClock) -> None:
    servers = Servers(b"a NO", seconds=0.3)
    asked = backend(servers)
    await asked.verify_password(Attempt(ALICE, SECRET, "smtp"))
    began = trio.current_time()
    assert await asked.verify_password(Attempt(ALICE, Secret(secret), "smtp")) == Rejected(Reason.WRONG_SECRET)
    assert trio.current_time() - began == pytest.approx(0.3)
    assert servers.asked == [b"alice@example.org"]


async def test_name_that_is_too_long_for_the_login_is_nobody_s() -> None:
    servers = Servers(b"a OK")
    long = Attempt(Identity("a" * 200, "b" * 200), SECRET, "smtp")
    assert await backend(servers, login="{local}.{realm}").verify_password(long) == UnknownUser()
    assert servers.asked == []


async def test_d6_login_that_is_only_pretended_lasts_as_long_as_refused_ones(autojump_clock: MockClock) -> None:
    asked = backend(Servers(b"a NO", seconds=0.4))
    for _ in range(3):
        await asked.verify_password(Attempt(ALICE, SECRET, "smtp"))
    began = trio.current_time()
    await asked.pretend(Secret(b"another"))
    assert trio.current_time() - began == pytest.approx(0.4)


async def test_d6_login_that_the_server_has_judged_owes_no_more(autojump_clock: MockClock) -> None:
    servers = Servers(b"a NO", seconds=0.4)
    asked = backend(servers)
    await asked.verify_password(Attempt(ALICE, Secret(b"wrong"), "smtp"))
    servers.answer = b"a NO [EXPIRED]"
    await asked.verify_password(Attempt(ALICE, SECRET, "smtp"))
    began = trio.current_time()
    await asked.pretend(SECRET)
    assert trio.current_time() == began


async def test_pretended_work_is_bounded(autojump_clock: MockClock) -> None:
    asked = backend(Servers(b"a NO", seconds=10))
    await asked.verify_password(Attempt(ALICE, SECRET, "smtp"))
    began = trio.current_time()
    await asked.pretend(Secret(b"another"))
    assert trio.current_time() - began == pytest.approx(LONGEST)
