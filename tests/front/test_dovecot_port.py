"""Dovecot's auth protocol, from the socket to the verdict and back."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py.config.settings import Listen
from saslauthd_py.config.settings.proxy_user import ProxyUser
from saslauthd_py.credential import Restrictions
from saslauthd_py.front.connections import State
from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms.scram.client import Client as Scram
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser
from tests.front.dovecots import ALL, PASSWORD, POSTFIX, Build, Client, KeyedBackend, Running, plain, running

NO = b"reason=invalid user name or password"


def listening(**keys: object) -> Build:
    return Build(listen=Listen.model_validate({"protocol": "dovecot", "path": "/run/saslauthd-py/auth", **keys}))


async def scram(client: Client, function: Hash, name: str = "alice@example.test", secret: str = PASSWORD, number: int = 1) -> bytes:
    """A whole exchange, as Postfix carries it; the last line. The server's signature is checked where there is one."""
    exchange = Scram(function, name, Secret(secret.encode()))
    await client.auth(number, function.mechanism, exchange.first())
    final = exchange.final(await client.challenge(number))
    await client.cont(number, final.message)
    line = await client.line()
    if not line.startswith(b"CONT"):
        return line
    final.check(b64decode(line.split(b"\t")[2]))
    await client.cont(number, b"")
    return await client.line()


async def test_greeting_comes_at_once_and_whole(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.dial()
        lines = [await client.line() for _ in range(9)]
        assert lines[:5] == [
            b"VERSION\t1\t2",
            b"MECH\tPLAIN\tplaintext",
            b"MECH\tLOGIN\tplaintext",
            b"MECH\tSCRAM-SHA-256\tmutual-auth",
            b"MECH\tSCRAM-SHA-1\tmutual-auth",
        ]
        assert [line.split(b"\t")[0] for line in lines[5:]] == [b"SPID", b"CUID", b"COOKIE", b"DONE"]


async def test_plain_right_wrong_and_unknown(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        await client.auth(1, "PLAIN", plain())
        assert await client.line() == b"OK\t1\tuser=alice@example.test"
        began = trio.current_time()
        await client.auth(2, "plain", plain(secret="no"))
        assert await client.line() == b"FAIL\t2\tuser=alice@example.test\t" + NO
        assert 1.8 <= trio.current_time() - began <= 2.0
        await client.auth(3, "PLAIN", plain("nobody@example.test"))
        assert await client.line() == b"FAIL\t3\tuser=nobody@example.test\t" + NO
    assert [line.split()[2] for line in front.lines()] == ["accepted", "rejected", "rejected"]


async def test_login_with_and_without_the_name_in_its_initial_response(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        await client.auth(1, "LOGIN")
        assert await client.challenge(1) == b"Username:"
        await client.cont(1, b"alice@example.test")
        assert await client.challenge(1) == b"Password:"
        await client.cont(1, b"pw1")
        assert await client.line() == b"OK\t1\tuser=alice@example.test"
        await client.auth(2, "LOGIN", b"alice@example.test")
        assert await client.challenge(2) == b"Password:"
        await client.cont(2, b"pw1")
        assert await client.line() == b"OK\t2\tuser=alice@example.test"
        assert len(front.backend.asked) == 1  # the second was decided by the proof of the first


async def test_empty_resp_of_exim_is_no_initial_response(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=0)
        await client.send(b"AUTH\t1\tLOGIN\tservice=smtp\tsecured\trip=192.0.2.1\tlip=192.0.2.2\tnologin\tresp=\n")
        assert await client.challenge(1) == b"Username:"


@pytest.mark.parametrize("function", list(Hash))
async def test_scram_right_wrong_and_unknown(function: Hash, tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        assert await scram(client, function) == b"OK\t1\tuser=alice@example.test"
        assert await scram(client, function, secret="no", number=2) == b"FAIL\t2\tuser=alice@example.test\t" + NO
        assert await scram(client, function, "nobody@example.test", number=3) == b"FAIL\t3\tuser=nobody@example.test\t" + NO
    assert [line.split()[2] for line in front.lines()] == ["accepted", "rejected", "rejected"]


async def test_scram_answers_with_ok_for_a_client_that_can_take_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        exchange = Scram(Hash.SHA256, "alice@example.test", Secret(b"pw1"))
        await client.auth(1, "SCRAM-SHA-256", exchange.first(), b"service=imap\tfinal-resp-ok")
        final = exchange.final(await client.challenge(1))
        await client.cont(1, final.message)
        word, _, user, resp = (await client.line()).split(b"\t")
        assert (word, user) == (b"OK", b"user=alice@example.test")
        final.check(b64decode(resp.removeprefix(b"resp=")))


async def test_e8_challenge_that_is_not_answered_ends_after_150_seconds(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "LOGIN")
        await client.challenge(1)
        await trio.sleep(100)
        await client.auth(2, "LOGIN")
        await client.challenge(2)
        await trio.sleep(51)
        await client.cont(1, b"alice@example.test")
        assert await client.line() == b"FAIL\t1\treason=authentication request timed out"
        await client.cont(2, b"alice@example.test")
        assert await client.challenge(2) == b"Password:"


async def test_exchange_that_postfix_gave_up_is_over_with_its_next_auth(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=0)
        for number in range(1, 400):
            await client.auth(number, "LOGIN")
            assert await client.challenge(number) == b"Username:"
        await client.auth(400, "PLAIN", plain())
        assert await client.line() == b"OK\t400\tuser=alice@example.test"


async def test_handshake_that_never_ends_is_closed_and_the_log_says_what_is_missing(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.dial()
        for _ in range(9):
            await client.line()
        await client.send(b"VERSION\t1\t1\n")
        began = trio.current_time()
        assert await client.line() == b""
        assert trio.current_time() - began == pytest.approx(60)
    assert "CPID" in front.lines()[0]


async def test_many_in_flight_are_answered_as_they_finish(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain(secret="wrong"))
        await client.auth(2, "PLAIN", plain())
        assert await client.line() == b"OK\t2\tuser=alice@example.test"
        assert (await client.line()).startswith(b"FAIL\t1\t")


async def test_what_the_cache_decides_is_answered_inline_in_one_write(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain())
        await client.line()
        resp = b64encode(plain())
        await client.send(b"".join(b"AUTH\t%d\tPLAIN\t%b\tresp=%b\n" % (number, POSTFIX, resp) for number in range(2, 34)))
        got = await client.stream.receive_some(65536)
        assert got == b"".join(b"OK\t%d\tuser=alice@example.test\n" % number for number in range(2, 34))
        assert len(front.backend.asked) == 1
    lines = front.lines()
    assert len(lines) == 33
    assert all("cached=yes" in line and "address=198.51.100.7" in line and "mechanism=PLAIN" in line for line in lines[1:])


async def test_c2_hit_from_elsewhere_is_logged_with_its_own_address(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        for number, address in enumerate((b"198.51.100.7", b"203.0.113.5", b"bad\x01address"), 1):
            await client.auth(number, "PLAIN", plain(), b"service=smtp\tsecured\trip=" + address)
            assert (await client.line()).startswith(b"OK\t")
        assert len(front.backend.asked) == 1
    lines = front.lines()
    assert "address=203.0.113.5" in lines[1]
    assert "address" not in lines[2]


async def test_c6_changed_account_is_not_answered_by_any_key_of_its_proof(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        for number in (1, 2):
            await client.auth(number, "PLAIN", plain())
            await client.line()
        await trio.sleep(1)
        front.backend.accounts["alice@example.test"] = b"new"
        front.backend.changed.append(["alice@example.test"])
        await client.auth(3, "PLAIN", plain())
        assert (await client.line()).startswith(b"FAIL\t3\t")


async def test_c5_refused_secret_is_answered_inline_no_more(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A backend that says no to a remembered secret, asked by a task, ends the inline answers too."""
    async with running(tmp_path) as front:
        client = await front.connect()
        for number in (1, 2):
            await client.auth(number, "PLAIN", plain())
            assert (await client.line()).startswith(b"OK\t")
        assert len(front.backend.asked) == 1
        for key in tuple(front.cache.proofs):
            front.cache.forget(key)
        await client.auth(3, "PLAIN", plain())
        assert (await client.line()).startswith(b"OK\t")
        assert len(front.backend.asked) == 2


async def test_c1_restricted_credential_is_never_answered_inline(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend(accepted=lambda attempt: Accepted(attempt.identity, Restrictions(networks=(ip_network("198.51.100.0/24"),))))
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect()
        for number in (1, 2):
            await client.auth(number, "PLAIN", plain())
            assert (await client.line()).startswith(b"OK\t")
        await client.auth(3, "PLAIN", plain(), b"service=smtp\tsecured\trip=203.0.113.5")
        assert (await client.line()).startswith(b"FAIL\t3\t")
        assert len(backend.asked) == 1


async def test_e4_outage_closes_the_connection_a_second_later(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend(verdicts=[Unavailable("the disk is gone")])
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect()
        began = trio.current_time()
        await client.auth(1, "PLAIN", plain())
        assert await client.line() == b""
        assert trio.current_time() - began == pytest.approx(1.0)


async def test_e4_outage_is_told_by_fail_where_another_request_waits_for_us(tmp_path: Path, autojump_clock: MockClock) -> None:
    gate = trio.Event()
    backend = KeyedBackend(verdicts=[Unavailable("the disk is gone")])
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain())
        await trio.sleep(0.5)
        backend.gate = gate
        await client.auth(2, "PLAIN", plain())
        assert await client.line() == (
            b"FAIL\t1\tuser=alice@example.test\tcode=temp_fail\treason=temporary authentication failure, try again later"
        )
        gate.set()
        assert await client.line() == b"OK\t2\tuser=alice@example.test"


async def test_e4_answer_that_is_held_back_waits_for_us_too(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend(verdicts=[Rejected(Reason.WRONG_SECRET), Unavailable("the disk is gone")])
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain(secret="no"))
        await trio.sleep(0.1)
        await client.auth(2, "PLAIN", plain())
        assert (await client.line()).startswith(b"FAIL\t2\tuser=alice@example.test\tcode=temp_fail")
        assert (await client.line()).startswith(b"FAIL\t1\tuser=alice@example.test\treason=")


async def test_e4_listener_can_be_told_to_say_fail(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend(verdicts=[Unavailable("the disk is gone")])
    async with running(tmp_path, listening(on_unavailable="fail"), backend) as front:
        client = await front.connect()
        await client.auth(1, "PLAIN", plain())
        assert b"code=temp_fail" in await client.line()
        await client.auth(2, "PLAIN", plain())
        assert await client.line() == b"OK\t2\tuser=alice@example.test"


async def test_e8_request_that_nobody_decides_ends_at_the_deadline(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend(gate=trio.Event())
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect()
        began = trio.current_time()
        await client.auth(1, "PLAIN", plain())
        assert await client.line() == b""
        assert trio.current_time() - began == pytest.approx(9.0)
        other = await front.connect()
        began = trio.current_time()
        await other.auth(1, "SCRAM-SHA-256", Scram(Hash.SHA256, "alice@example.test", Secret(b"pw1")).first())
        assert await other.line() == b""
        assert trio.current_time() - began == pytest.approx(9.0)


async def test_outage_while_keys_are_sought(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend(answers=[Unavailable("the disk is gone")])
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect()
        await client.auth(1, "SCRAM-SHA-256", Scram(Hash.SHA256, "alice@example.test", Secret(b"pw1")).first())
        assert await client.line() == b""


async def test_require_tls_refuses_plaintext_and_lets_scram_through(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, listening(require_tls=True)) as front:
        client = await front.connect()
        for number, mechanism in enumerate(("PLAIN", "LOGIN"), 1):
            await client.auth(number, mechanism, plain(), b"service=smtp")
            assert await client.line() == b"FAIL\t%d\treason=plaintext authentication is not allowed without TLS" % number
        assert await scram(client, Hash.SHA256, number=3) == b"OK\t3\tuser=alice@example.test"
        await client.auth(4, "PLAIN", plain())
        assert (await client.line()).startswith(b"OK\t4\t")
        assert len(front.backend.asked) == 1


async def test_d10_secured_of_a_peer_that_is_not_trusted_counts_for_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    build = Build(
        listen=Listen(protocol="dovecot", path="/run/saslauthd-py/auth", trust="address").model_copy(update={"require_tls": True})
    )
    async with running(tmp_path, build) as front:
        client = await front.connect()
        await client.auth(1, "PLAIN", plain())
        assert b"without TLS" in await client.line()


async def test_d10_address_of_a_peer_that_is_not_trusted_counts_for_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend(accepted=lambda attempt: Accepted(attempt.identity, Restrictions(networks=(ip_network("198.51.100.0/24"),))))
    async with running(tmp_path, listening(trust="none"), backend) as front:
        client = await front.connect()
        await client.auth(1, "PLAIN", plain())
        assert (await client.line()).startswith(b"FAIL\t1\t")


async def test_authzid_needs_a_grant(tmp_path: Path, autojump_clock: MockClock) -> None:
    grant = ProxyUser.model_validate({"authcid": "alice@example.test", "may_act_as": ["bob@example.test"]})
    async with running(tmp_path, replace(Build(), grants=(grant,))) as front:
        client = await front.connect()
        answers = []
        for number, authzid in enumerate(("", "alice@example.test", "bob@example.test", "carol@example.test"), 1):
            await client.auth(number, "PLAIN", plain(authzid=authzid))
            answers.append((await client.line()).split(b"\t")[::2])
        assert answers[:3] == [[b"OK", b"user=alice@example.test"], [b"OK", b"user=alice@example.test"], [b"OK", b"user=bob@example.test"]]
        assert answers[3][0] == b"FAIL"
    assert "bob@example.test" in front.lines()[2]
    assert "reason=authzid" in front.lines()[3]


async def test_authzid_with_a_grant_is_never_answered_inline_for_another(tmp_path: Path, autojump_clock: MockClock) -> None:
    grant = ProxyUser.model_validate({"authcid": "alice@example.test", "may_act_as": ["bob@example.test"]})
    async with running(tmp_path, replace(Build(), grants=(grant,))) as front:
        client = await front.connect()
        for number in (1, 2):
            await client.auth(number, "PLAIN", plain(authzid="bob@example.test"))
            assert await client.line() == b"OK\t%d\tuser=bob@example.test" % number
        await client.auth(3, "PLAIN", plain())
        assert await client.line() == b"OK\t3\tuser=alice@example.test"
        await client.auth(4, "PLAIN", plain(authzid="bob@example.test"))
        assert await client.line() == b"OK\t4\tuser=bob@example.test"


async def test_scram_with_an_authzid(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        exchange = Scram(Hash.SHA256, "alice@example.test", Secret(b"pw1"), "bob@example.test")
        await client.auth(1, "SCRAM-SHA-256", exchange.first())
        await client.cont(1, exchange.final(await client.challenge(1)).message)
        assert (await client.line()).startswith(b"FAIL\t1\t")


async def test_d10_external_needs_a_listener_that_knows_certificates(tmp_path: Path, autojump_clock: MockClock) -> None:
    parameters = b"service=smtp\tsecured\tvalid-client-cert\tcert_username=alice@example.test"
    listen = {"allow_users": ["root"], "mechanisms": ["EXTERNAL", "PLAIN"]}
    unchecked = parameters.replace(b"\tvalid-client-cert", b"")
    for trust, said, answer in (("certificate", parameters, b"OK"), ("tls", parameters, b"FAIL"), ("certificate", unchecked, b"FAIL")):
        known = Listen.model_validate({"protocol": "dovecot", "path": "/run/a", "trust": "certificate", **listen})
        build = Build(listen=known.model_copy(update={"trust": trust}), offered=("EXTERNAL",))
        directory = tmp_path / f"{trust} {answer.decode()}"
        directory.mkdir()
        async with running(directory, build) as front:
            client = await front.connect()
            await client.auth(1, "EXTERNAL", b"", said + b"\tfinal-resp-ok")
            await client.send(b"CONT\t1\t\n" if (line := await client.line()).startswith(b"CONT") else b"")
            assert (line if not line.startswith(b"CONT") else await client.line()).startswith(answer)


async def test_throttled_client_is_not_read_until_it_reads(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain())
        await client.line()
        line = b"PLAIN\t%b\tresp=%b\n" % (POSTFIX, b64encode(plain()))
        asked = 40_000
        got = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, b"".join(b"AUTH\t%d\t%b" % (number, line) for number in range(2, asked + 2)))
            await trio.testing.wait_all_tasks_blocked()
            assert len(front.port.loop.connections.all()) == 1
            while got < asked:
                assert (await client.line()).startswith(b"OK\t")
                got += 1


async def test_client_that_never_reads_is_closed(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain())
        await client.line()
        line = b"PLAIN\t%b\tresp=%b\n" % (POSTFIX, b64encode(plain()))
        with trio.fail_after(40), pytest.raises(trio.BrokenResourceError):
            await client.send(b"".join(b"AUTH\t%d\t%b" % (number, line) for number in range(2, 200_000)))
        assert not front.loop.connections.all()


async def test_cancel_is_silent_and_a_late_verdict_is_thrown_away(tmp_path: Path, autojump_clock: MockClock) -> None:
    gate = trio.Event()
    async with running(tmp_path, backend=KeyedBackend(gate=gate)) as front:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain())
        await client.send(b"CANCEL\t1\n")
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
        await client.auth(1, "PLAIN", plain(secret="no"))
        assert (await client.line()).startswith(b"FAIL\t1\t")


@pytest.mark.parametrize(
    ("bytes_", "why"),
    [
        (b"AUTH\t1\tPLAIN\tresp=AAAA\n", "service="),
        (b"USER\t1\talice\tservice=smtp\n", "userdb"),
        (b"\n", "empty line"),
        (b"AUTH\t0\tPLAIN\tservice=smtp\n", "number"),
    ],
)
async def test_violation_closes_the_connection_and_is_logged(bytes_: bytes, why: str, tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        await client.send(bytes_)
        assert await client.line() == b""
    assert why in front.lines()[0]


async def test_successor_takes_over_idle_clients_and_those_of_the_future(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        waiting = await front.connect()
        exchange = Scram(Hash.SHA256, "alice@example.test", Secret(b"pw1"))
        await waiting.auth(1, "SCRAM-SHA-256", exchange.first())
        first = await waiting.challenge(1)
        new = front.another()
        front.loop.replace(front.port, new)
        assert [len(front.loop.clients(port)) for port in (front.port, new)] == [0, 2]
        await client.auth(1, "PLAIN", plain())
        assert (await client.line()).startswith(b"OK\t1\t")
        final = exchange.final(first)
        await waiting.cont(1, final.message)
        final.check(await waiting.challenge(1))
        await trio.testing.wait_all_tasks_blocked()
        assert len(front.loop.clients(new)) == 2
        await waiting.cont(1, b"")
        assert (await waiting.line()).startswith(b"OK\t1\t")


async def test_port_without_successor_closes_who_is_idle_and_answers_who_is_not(tmp_path: Path, autojump_clock: MockClock) -> None:
    gate = trio.Event()
    async with running(tmp_path, backend=KeyedBackend(gate=gate)) as front:
        idle, busy = await front.connect(), await front.connect()
        await busy.auth(1, "PLAIN", plain())
        await trio.testing.wait_all_tasks_blocked()
        front.loop.remove(front.port)
        front.port.retire(None)
        assert await idle.line() == b""
        gate.set()
        assert (await busy.line()).startswith(b"OK\t1\t")
        assert await busy.line() == b""


async def test_clients_that_were_offered_more_are_closed_when_they_are_idle(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as front:
        client = await front.connect()
        front.port.offer(("PLAIN", "LOGIN"))
        assert await client.line() == b""
        again = await front.dial()
        assert len(await again.begin()) == 7
        front.port.offer(ALL)
        await again.auth(1, "PLAIN", plain())
        assert (await again.line()).startswith(b"OK\t1\t")


async def test_d6_scram_that_is_withheld_lets_in_who_has_keys_and_tells_all_others_to_come_later(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """An smtpd that was told of it before goes on offering it: a right password must never be refused, nor a missing key be told."""
    build = replace(Build(), offered=("PLAIN", "LOGIN"), withheld="backend users: gus has no keys")
    async with running(tmp_path, build) as front:
        client = await front.connect()
        assert await scram(client, Hash.SHA256) == b"OK\t1\tuser=alice@example.test"
        for name, secret in (("alice@example.test", "no"), ("nobody@example.test", "pw1")):
            assert await scram(await front.connect(), Hash.SHA256, name, secret) == b""
        await client.auth(2, "PLAIN", plain(secret="no"))
        assert (await client.line()).startswith(b"FAIL\t2\t")
    lines = front.lines()
    assert all("gus has no keys" in line for line in lines[1:3])


async def test_listener_that_names_its_mechanisms_takes_no_others(tmp_path: Path, autojump_clock: MockClock) -> None:
    build = replace(listening(mechanisms=["PLAIN"]), offered=("PLAIN",))
    async with running(tmp_path, build) as front:
        client = await front.connect()
        await client.auth(1, "SCRAM-SHA-256", Scram(Hash.SHA256, "alice@example.test", Secret(b"pw1")).first())
        assert b"unsupported" in await client.line()


async def test_bug_in_a_task_ends_its_connection_alone(tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as front:
        client, other = await front.connect(), await front.connect()

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(front.front.record, "decision", broken)
            await client.auth(1, "PLAIN", plain())
            assert await client.line() == b""
        assert front.counters.faults == 1
        await other.auth(1, "PLAIN", plain())
        assert (await other.line()).startswith(b"OK\t1\t")


async def test_e2_idle_client_makes_room_and_a_busy_one_does_not(tmp_path: Path, autojump_clock: MockClock) -> None:
    gate = trio.Event()
    async with running(tmp_path, replace(Build(), most=2), KeyedBackend(gate=gate)) as front:
        busy, idle = await front.connect(), await front.connect()
        await busy.auth(1, "PLAIN", plain())
        await trio.testing.wait_all_tasks_blocked()
        third = await front.connect()
        assert await idle.line() == b""
        gate.set()
        assert (await busy.line()).startswith(b"OK\t1\t")
        await third.auth(1, "PLAIN", plain())
        assert (await third.line()).startswith(b"OK\t1\t")


async def test_e2_client_that_was_answered_makes_room_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, replace(Build(), most=1)) as front:
        client = await front.connect()
        await client.auth(1, "PLAIN", plain())
        assert (await client.line()).startswith(b"OK\t1\t")
        await trio.testing.wait_all_tasks_blocked()
        other = await front.connect()
        assert await client.line() == b""
        await other.auth(1, "PLAIN", plain())
        assert (await other.line()).startswith(b"OK\t1\t")


async def test_allow_users(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, replace(Build(), allowed=frozenset({54321}))) as front:
        client = await front.dial()
        assert await client.line() == b""


async def test_e6_half_a_line_stays_until_the_rest_comes(tmp_path: Path, autojump_clock: MockClock) -> None:
    line = b"AUTH\t7\tPLAIN\t" + POSTFIX + b"\tresp=" + b64encode(plain()) + b"\n"
    async with running(tmp_path) as front:
        for cut in range(1, len(line)):
            client = await front.connect()
            await client.send(line[:cut])
            await trio.testing.wait_all_tasks_blocked()
            await client.send(line[cut:])
            assert await client.line() == b"OK\t7\tuser=alice@example.test"
            await client.close()


async def state_of(front: Running) -> list[State]:
    return [connection.state for connection in front.loop.connections.all()]


async def test_closed_client_leaves_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    backend = KeyedBackend(verdicts=[UnknownUser()])
    async with running(tmp_path, backend=backend) as front:
        client = await front.connect()
        await client.auth(1, "PLAIN", plain())
        await client.auth(2, "SCRAM-SHA-256", Scram(Hash.SHA256, "alice@example.test", Secret(b"pw1")).first())
        await client.challenge(2)
        await client.close()
        await trio.sleep(10)
        assert await state_of(front) == []
        assert {task.name.rpartition(".")[0] for task in front.front.nursery.child_tasks} <= {
            "saslauthd_py.front.loop.Loop",
            "saslauthd_py.authenticator.crew.Crew",
        }


async def test_h1_client_of_a_listener_that_takes_fewer_mechanisms_now_is_closed(tmp_path: Path, autojump_clock: MockClock) -> None:
    build = replace(Build(), offered=("PLAIN", "LOGIN"))
    async with running(tmp_path, build) as front:
        client = await front.connect()
        front.build = replace(listening(mechanisms=["PLAIN", "LOGIN"]), offered=("PLAIN", "LOGIN"))
        front.loop.replace(front.port, front.another())
        assert await client.line() == b""
