"""Servers that are asked one after the other, and whatever one of them may do: a right answer is found, and an outage is never a no."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio

from saslauthd_py import trace
from saslauthd_py.backends.imap.connection import Manner
from saslauthd_py.backends.imap.servers import Servers
from saslauthd_py.config.settings.host import HostPort
from saslauthd_py.config.settings.imap_server import ImapServer
from saslauthd_py.remote.failing import Failed
from saslauthd_py.secret import Secret
from tests.backends.mail_servers import GREETING, HANG_UP, OK, SILENCE, Conduct, serving, settings, until
from tests.interop.certificates import self_signed, server_side

NAME, SECRET = b"alice", Secret(b"hunter2")
WRONG = b"{tag} NO [AUTHENTICATIONFAILED] wrong\r\n"
LATER = b"{tag} NO [UNAVAILABLE] later\r\n"


def servers(nursery: trio.Nursery, *asked: ImapServer, **more: object) -> Servers:
    chosen = settings(*asked, **more)
    return Servers(chosen, Manner.of(chosen), nursery)


def nobody() -> ImapServer:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return ImapServer("imap", HostPort("127.0.0.1", port))


async def answer(asked: Servers) -> str:
    said = await asked.login(NAME, SECRET)
    return f"{said.response.word} {said.response.code}".strip()


async def failure(asked: Servers) -> Failed:
    with pytest.raises(Failed) as caught:
        await asked.login(NAME, SECRET)
    assert "hunter2" not in str(caught.value)
    return caught.value


async def test_login_is_told_and_the_server_is_left_with_a_good_bye(nursery: trio.Nursery) -> None:
    conduct = Conduct()
    async with serving(conduct) as server:
        asked = servers(nursery, server)
        for _ in range(3):
            assert await answer(asked) == "OK"
        conduct.login = WRONG
        assert await answer(asked) == "NO AUTHENTICATIONFAILED"
        await until(lambda: conduct.goodbyes == 4)
    assert conduct.logins == [("alice", "hunter2")] * 4


async def test_server_that_never_ends_a_connection_holds_none(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saslauthd_py.backends.imap.servers.GOOD_BYE", 0.05)
    conduct = Conduct()
    async with serving(conduct) as server:
        assert await answer(servers(nursery, server)) == "OK"
        await until(lambda: conduct.ended == 1)


@pytest.mark.parametrize(
    ("conduct", "why", "sent"),
    [
        (Conduct(greeting=HANG_UP), "ended the connection", False),
        (Conduct(greeting=b"* BYE go away\r\n"), "ends the connection: BYE go away", False),
        (Conduct(greeting=b"SSH-2.0-OpenSSH_9.2\r\n"), "no IMAP", False),
        (Conduct(greeting=b"* OK [CAPABILITY LOGINDISABLED] hi\r\n"), "LOGINDISABLED", False),
        (Conduct(login=HANG_UP), "ended the connection", True),
        (Conduct(login=b"* BYE hunter2\r\n"), "ends the connection: BYE", True),
        (Conduct(login=b"{tag} NO"), "", True),
        (Conduct(login=b"hunter2\r\n"), "no IMAP", True),
        (Conduct(login=b"* " + b"x" * 20000), "more than 16384 bytes", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_d8_server_that_does_anything_else_is_an_outage(conduct: Conduct, why: str, sent: bool, nursery: trio.Nursery) -> None:
    async with serving(conduct) as server:
        failed = await failure(servers(nursery, server, timeout="20s" if why else "200ms"))
    assert why in str(failed)
    assert str(failed).startswith(f"{server}: ")
    assert failed.sent is sent


@pytest.mark.parametrize(
    ("conduct", "sent"), [(Conduct(greeting=SILENCE), False), (Conduct(login=SILENCE), True)], ids=["greeting", "login"]
)
async def test_d8_silence_is_an_outage_within_the_timeout(conduct: Conduct, sent: bool, nursery: trio.Nursery) -> None:
    async with serving(conduct) as server:
        failed = await failure(servers(nursery, server, timeout="100ms"))
    assert (str(failed), failed.sent) == (f"{server}: no answer within 0.1 s", sent)


async def test_the_next_is_asked_where_one_is_not_there(nursery: trio.Nursery) -> None:
    conduct = Conduct()
    async with serving(conduct) as second:
        asked = servers(nursery, nobody(), second)
        assert [await answer(asked), await answer(asked)] == ["OK", "OK"]


@pytest.mark.parametrize(
    "first",
    [
        Conduct(login=LATER),
        Conduct(login=b"{tag} NO generic failure\r\n"),
        Conduct(login=b"{tag} NO [ALERT] Too many simultaneous connections.\r\n"),
        Conduct(login=b"{tag} BAD [UNAVAILABLE] Service temporarily unavailable\r\n"),
        Conduct(login=HANG_UP),
        Conduct(greeting=HANG_UP),
    ],
    ids=["later", "libsasl", "worded", "bad", "lost", "refused"],
)
async def test_the_next_is_asked_where_one_cannot_tell(first: Conduct, nursery: trio.Nursery) -> None:
    async with serving(first) as one, serving(Conduct(login=WRONG)) as two:
        assert await answer(servers(nursery, one, two)) == "NO AUTHENTICATIONFAILED"


async def test_what_is_offered_to_whoever_is_in_is_no_matter(nursery: trio.Nursery) -> None:
    async with serving(Conduct(login=b"{tag} OK [CAPABILITY IMAP4rev1 LOGINDISABLED] in\r\n")) as server:
        assert await answer(servers(nursery, server)) == "OK CAPABILITY"


async def test_a_no_is_final_whatever_the_next_would_say(nursery: trio.Nursery) -> None:
    second = Conduct()
    async with serving(Conduct(login=WRONG)) as one, serving(second) as two:
        assert await answer(servers(nursery, one, two)) == "NO AUTHENTICATIONFAILED"
    assert second.logins == []


async def test_where_all_are_away_each_is_told(nursery: trio.Nursery) -> None:
    first, second = nobody(), nobody()
    failed = await failure(servers(nursery, first, second))
    assert str(failed) == f"{first}: Connection refused; {second}: Connection refused"
    assert not failed.sent


async def test_d9_secret_that_one_may_have_judged_is_told_whatever_the_other_says(nursery: trio.Nursery) -> None:
    async with serving(Conduct(login=HANG_UP)) as one, serving(Conduct(login=LATER)) as two:
        assert (await failure(servers(nursery, one, two))).sent
    async with serving(Conduct(login=LATER)) as two:
        assert await answer(servers(nursery, nobody(), two)) == "NO UNAVAILABLE"
    for first, second in ((LATER, b"{tag} BAD what?\r\n"), (b"{tag} BAD what?\r\n", LATER)):
        async with serving(Conduct(login=first)) as one, serving(Conduct(login=second)) as two:
            assert await answer(servers(nursery, one, two)) == "BAD"


async def test_d8_server_that_is_down_is_passed_over_and_found_back(nursery: trio.Nursery) -> None:
    conduct = Conduct(greeting=HANG_UP)
    async with serving(conduct) as server:
        asked = servers(nursery, server)
        await failure(asked)
        before = conduct.connections
        assert "ended the connection" in str(await failure(asked))
        assert conduct.connections == before
        conduct.greeting = GREETING
        await until(lambda: conduct.goodbyes > 0)
        assert await answer(asked) == "OK"


async def test_long_secrets_that_a_server_does_not_read_take_it_from_nobody(nursery: trio.Nursery) -> None:
    conduct = Conduct(login=lambda _, secret: HANG_UP if len(secret) > 1000 else OK)
    async with serving(conduct) as server:
        asked = servers(nursery, server)
        for number in range(5):
            with pytest.raises(Failed):
                await asked.login(b"guess%d" % number, Secret(b"x" * 2000))
        assert await answer(asked) == "OK"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "mail.pem")


@pytest.mark.peer("openssl")
async def test_start_tls_begins_anew(certificate: Path, nursery: trio.Nursery) -> None:
    """What it offered in clear, a way without a password, counts no more."""
    offers = b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\r\n"
    conduct = Conduct(offers, b"{tag} OK begin\r\n", context=server_side(certificate))
    async with serving(conduct) as server:
        assert await answer(servers(nursery, server, start_tls=True, ca_file=str(certificate))) == "OK"
        assert await answer(servers(nursery, server, start_tls=True, verify=False)) == "OK"


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("behind", [b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n", b"s2 OK in\r\n", b"x"])
async def test_what_stands_behind_the_answer_to_start_tls_ends_it(certificate: Path, nursery: trio.Nursery, behind: bytes) -> None:
    conduct = Conduct(start_tls=b"{tag} OK begin\r\n" + behind, context=server_side(certificate))
    async with serving(conduct) as server:
        failed = await failure(servers(nursery, server, start_tls=True, ca_file=str(certificate)))
    assert "somebody may stand between" in str(failed)
    assert conduct.logins == []


async def test_start_tls_that_is_refused_sends_nothing_in_clear(nursery: trio.Nursery) -> None:
    conduct = Conduct()
    async with serving(conduct) as server:
        failed = await failure(servers(nursery, server, start_tls=True, verify=False))
    assert "refuses STARTTLS: BAD what?" in str(failed)
    assert conduct.logins == []


async def test_each_server_that_was_asked_is_a_step_of_the_trace(nursery: trio.Nursery) -> None:
    steps: list[trace.Step] = []
    gone = nobody()
    async with serving(Conduct(login=LATER)) as one:
        with trace.recording(steps.append):
            await servers(nursery, gone, one).login(NAME, SECRET)
    first, second = (dict(step.facts) for step in steps)
    assert first.pop("ms")
    assert second.pop("ms")
    assert first == {"server": str(gone), "failed": "Connection refused"}
    assert second == {"server": str(one), "method": "AUTHENTICATE PLAIN", "result": "NO", "code": "UNAVAILABLE", "words": "later"}
