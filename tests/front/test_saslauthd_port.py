"""The saslauthd front over a real socket: verdicts, times, bad input, and that no client is in another's way (rules D1, E1 to E9)."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py.backend import BackendUnreadable
from saslauthd_py.credential import Restrictions
from saslauthd_py.front import saslauthd, sockets
from saslauthd_py.front.connections import AlreadyAnsweredError, Connection, State
from saslauthd_py.front.loop import EXHAUSTED_PAUSE
from saslauthd_py.front.one_request import OneRequestPort
from saslauthd_py.log import escape
from saslauthd_py.log.output import Handler
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire import saslauthd as wire
from tests.front.fronts import Build, Running, ScriptedBackend, read_all, running

REQUEST = wire.encode(wire.Request(b"alice", Secret(b"pw1"), b"smtp", b"example.test"))
COMM = escape.field(Path("/proc/self/comm").read_bytes().rstrip(b"\n")).decode()


@pytest.fixture
def build() -> Build:
    return Build()


@pytest.fixture
async def front(tmp_path: Path, build: Build) -> AsyncIterator[Running]:
    async with running(tmp_path, build) as front:
        yield front


@asynccontextmanager
async def timed(expected: float, within: float = 0.001) -> AsyncIterator[None]:
    began = trio.current_time()
    yield
    assert trio.current_time() - began == pytest.approx(expected, abs=within)


async def test_right_secret_is_ok_and_the_connection_ends(front: Running, autojump_clock: MockClock) -> None:
    async with timed(0):
        assert await front.ask() == wire.OK


async def test_second_login_is_decided_by_the_cache_and_asks_nobody(front: Running, autojump_clock: MockClock) -> None:
    for _ in range(3):
        assert await front.ask() == wire.OK
    assert len(front.backend.asked) == 1
    assert front.counters.inline == 2


async def test_wrong_secret_is_no_at_the_delay_less_a_tenth(front: Running, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    assert await front.ask(secret=b"wrong") == wire.NO
    assert 1.8 <= trio.current_time() - began <= 2.0


@pytest.mark.parametrize("login", [b"alice", b"nobody"])
async def test_d1_failures_of_every_cause_wait_and_success_does_not(front: Running, login: bytes, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    assert await front.ask(login, b"wrong") == wire.NO
    assert 1.8 <= trio.current_time() - began <= 2.0
    async with timed(0):
        assert await front.ask() == wire.OK


@pytest.mark.parametrize("verdict", [Rejected(Reason.WRONG_SECRET, hold=3.0), UnknownUser(hold=3.0)])
async def test_d1_a_backend_may_have_its_no_held_back_longer(
    verdict: Rejected | UnknownUser, front: Running, autojump_clock: MockClock
) -> None:
    front.backend.verdicts = [verdict]
    async with timed(3.0):
        assert await front.ask(secret=b"wrong") == wire.NO
    async with timed(0):
        assert await front.ask() == wire.OK


async def test_d6_unknown_user_costs_the_same_work_as_a_wrong_secret(front: Running, autojump_clock: MockClock) -> None:
    await front.ask(b"nobody")
    assert front.backend.pretended == 1
    await front.ask(secret=b"wrong")
    assert front.backend.pretended == 1, "a wrong secret was compared already"


async def test_d1_over_the_bound_the_oldest_held_reply_goes_out_at_once(tmp_path: Path, build: Build, autojump_clock: MockClock) -> None:
    async with running(tmp_path, replace(build, held=2)) as front:
        took: list[float] = []

        async def wrong(number: int) -> None:
            began = trio.current_time()
            await trio.sleep(number / 100)
            assert await front.ask(secret=b"wrong") == wire.NO
            took.append(trio.current_time() - began)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(wrong, number)
        assert sum(seconds < 0.1 for seconds in took) == 3
        assert sum(seconds > 1.7 for seconds in took) == 2


async def test_d1_a_delay_over_two_seconds_needs_the_client_s_address(tmp_path: Path, build: Build, autojump_clock: MockClock) -> None:
    async with running(tmp_path, replace(build, delay=4.0, dialect=saslauthd.dialect(trusted=True))) as front:
        began = trio.current_time()
        assert await front.ask(secret=b"wrong") == wire.NO
        assert 1.8 <= trio.current_time() - began <= 2.0
        began = trio.current_time()
        with_address = wire.Request(b"alice", Secret(b"wrong"), b"smtp", b"example.test", b"192.0.2.7;4711")
        assert await front.send(wire.encode(with_address)) == wire.NO
        assert 3.6 <= trio.current_time() - began <= 4.0


async def test_e5_outage_closes_without_a_byte_a_second_after_arrival(front: Running, autojump_clock: MockClock) -> None:
    front.backend.verdicts = [Unavailable("the disk is on fire")]
    async with timed(1.0):
        assert await front.ask() == b""
    lines = front.lines()
    assert "ERROR unavailable user=alice@example.test" in lines[-1]
    assert 'cause="the disk is on fire"' in lines[-1]


async def test_exception_in_a_backend_is_an_outage_and_not_a_wrong_password(
    front: Running, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    front.backend.verdicts = [RuntimeError("a bug")]
    assert await front.ask() == b""
    assert await front.ask() == wire.OK
    assert "Traceback" in caplog.text


async def test_hanging_backend_is_given_up_at_the_deadline_and_the_next_login_works(front: Running, autojump_clock: MockClock) -> None:
    front.backend.gate = trio.Event()
    async with timed(8.0):
        assert await front.ask() == b""
    front.backend.gate = None
    assert await front.ask() == wire.OK


async def test_c4_neither_no_nor_outage_is_remembered(front: Running, autojump_clock: MockClock) -> None:
    front.backend.verdicts = [Unavailable("gone")]
    assert await front.ask() == b""
    assert await front.ask(secret=b"wrong") == wire.NO
    front.backend.accounts["alice@example.test"] = b"wrong"
    assert await front.ask(secret=b"wrong") == wire.OK


async def test_c6_store_that_cannot_be_looked_at_is_an_outage_with_a_warm_cache(front: Running, autojump_clock: MockClock) -> None:
    assert await front.ask() == wire.OK
    assert await front.ask() == wire.OK
    front.backend.changed = [BackendUnreadable("gone")] * 3
    front.backend.verdicts = [Unavailable("gone")]
    front.cache.looked_until = 0
    assert await front.ask() == b""
    assert await front.ask() == wire.OK


async def test_c2_proof_made_while_nobody_could_look_is_found_by_its_own_request_alone(
    front: Running, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = next(iter(front.loop._listeners))
    assert isinstance(port, OneRequestPort)
    monkeypatch.setattr(port._inline, "decide", lambda _: (None, b""))
    assert await front.ask() == wire.OK
    assert await front.ask(secret=b"wrong") == wire.NO
    assert await front.ask(b"bob") == wire.NO
    assert await front.ask() == wire.OK
    assert len(front.backend.asked) == 3


async def test_c1_credential_with_rules_is_never_answered_inline_and_is_judged_at_every_hit(
    front: Running, autojump_clock: MockClock
) -> None:
    rules = Restrictions(services=("smtp",), networks=())
    front.backend.accepted = lambda attempt: Accepted(attempt.identity, rules)
    for _ in range(3):
        assert await front.ask() == wire.OK
    assert front.counters.inline == 0
    assert front.counters.cached == 2
    assert len(front.backend.asked) == 1
    assert await front.ask(service=b"imap") == wire.NO


async def test_c1_address_of_a_network_rule_is_judged_at_every_hit(tmp_path: Path, build: Build, autojump_clock: MockClock) -> None:
    from ipaddress import ip_network

    backend = ScriptedBackend(accepted=lambda attempt: Accepted(attempt.identity, Restrictions(networks=(ip_network("192.0.2.0/24"),))))
    async with running(tmp_path, replace(build, dialect=saslauthd.dialect(trusted=True)), backend) as front:
        for client, answer in (
            (b"192.0.2.7;1", wire.OK),
            (b"192.0.2.8;2", wire.OK),
            (b"198.51.100.1;3", wire.NO),
            (b"", wire.NO),
            (b"x;1", wire.NO),
        ):
            assert await front.send(wire.encode(wire.Request(b"alice", Secret(b"pw1"), b"smtp", b"example.test", client))) == answer
        assert len(backend.asked) == 1
        assert backend.pretended == 3, "a refusal at a hit costs what any refusal costs"


async def test_d10_address_from_a_peer_that_is_not_trusted_is_absent(front: Running, autojump_clock: MockClock) -> None:
    await front.send(wire.encode(wire.Request(b"alice", Secret(b"pw1"), b"smtp", b"example.test", b"192.0.2.7;1")))
    assert front.backend.asked[0].address is None


async def test_fifth_field_names_the_client_where_the_peer_is_trusted(tmp_path: Path, build: Build, autojump_clock: MockClock) -> None:
    async with running(tmp_path, replace(build, dialect=saslauthd.dialect(trusted=True))) as front:
        for client in (b"192.0.2.7;1", b"2001:db8::1;2", b"mail.example;3"):
            await front.send(wire.encode(wire.Request(client, Secret(b"x"), b"smtp", b"example.test", client)))
        assert [attempt.address for attempt in front.backend.asked] == [ip_address("192.0.2.7"), ip_address("2001:db8::1"), None]


async def test_fifth_field_is_no_part_of_the_cache_s_key(front: Running, autojump_clock: MockClock) -> None:
    for port in range(3):
        request = wire.Request(b"alice", Secret(b"pw1"), b"smtp", b"example.test", b"192.0.2.7;%d" % port)
        assert await front.send(wire.encode(request)) == wire.OK
    assert (len(front.backend.asked), front.counters.inline) == (1, 2)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (wire.encode(wire.Request(b"", Secret(b"pw"), b"smtp", b"")), "empty login"),
        (wire.encode(wire.Request(b"alice", Secret(b""), b"smtp", b"")), "empty password"),
        (wire.encode(wire.Request(b"alice", Secret(b"pw1\0x"), b"smtp", b"example.test")), "NUL in a field"),
        (b"\xff\xff", "a field over its limit"),
        (b"\0\1a\x3f\xff" + b"x" * 100, "request over its limit"),
        (wire.encode(wire.Request(b"al\xffice", Secret(b"pw"), b"smtp", b"")), "not UTF-8"),
        (wire.encode(wire.Request(b"al\nice", Secret(b"pw"), b"smtp", b"")), "name holds a control or formatting character"),
        (wire.encode(wire.Request(b"@example.test", Secret(b"pw"), b"smtp", b"")), "empty name"),
    ],
)
async def test_bad_request_is_no_at_once_with_one_line(front: Running, data: bytes, cause: str, autojump_clock: MockClock) -> None:
    async with timed(0):
        stream = await front.connect()
        await stream.send_all(data)
        assert await stream.receive_some() == wire.NO
    await stream.aclose()
    assert front.backend.asked == []
    assert await front.ask() == wire.OK
    lines = front.lines()
    assert sum(cause in line for line in lines) == 1
    assert "Traceback" not in "".join(lines)


async def test_half_request_and_silence_are_closed_at_the_deadline_and_hurt_nobody(front: Running, autojump_clock: MockClock) -> None:
    silent, half = await front.connect(), await front.connect()
    await half.send_all(REQUEST[:-1])
    assert await front.ask() == wire.OK
    async with timed(8.0):
        assert await read_all(silent) == b""
        assert await read_all(half) == b""
    await silent.aclose()
    await half.aclose()
    assert front.counters.incomplete == 2
    assert sum("half a request" in line for line in front.lines()) == 1


async def test_request_byte_by_byte_is_a_request(front: Running, autojump_clock: MockClock) -> None:
    for _ in range(2):
        stream = await front.connect()
        for byte in REQUEST:
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.01)
        assert await read_all(stream) == wire.OK
        await stream.aclose()
    assert front.counters.inline == 1


@pytest.mark.parametrize(
    ("verdict", "reply", "delay"), [(Unavailable("no disk"), b"", (1.0, 1.001)), (Rejected(Reason.LOCKED), wire.NO, (1.8, 2.0))]
)
async def test_e5_d1_delay_of_a_slow_client_counts_from_its_last_byte(
    front: Running, verdict: Verdict, reply: bytes, delay: tuple[float, float], autojump_clock: MockClock
) -> None:
    front.backend.verdicts = [verdict]
    stream = await front.connect()
    await stream.send_all(REQUEST[:-1])
    await trio.sleep(5)
    began = trio.current_time()
    await stream.send_all(REQUEST[-1:])
    assert await read_all(stream) == reply
    await stream.aclose()
    assert delay[0] <= trio.current_time() - began <= delay[1]


async def test_request_cut_at_every_point_and_left_is_forgotten(front: Running, autojump_clock: MockClock) -> None:
    for cut in range(len(REQUEST)):
        stream = await front.connect()
        await stream.send_all(REQUEST[:cut])
        await trio.sleep(0.001)
        await stream.aclose()
    await trio.sleep(0.001)
    assert len(front.loop.connections) == 0
    assert front.backend.asked == []


async def test_half_closed_short_request_is_closed_without_a_reply(front: Running, autojump_clock: MockClock) -> None:
    stream = await front.connect()
    await stream.send_all(REQUEST[:-1])
    await stream.send_eof()
    async with timed(0):
        assert await read_all(stream) == b""
    await stream.aclose()


async def test_bytes_after_the_request_are_ignored_and_a_second_request_gets_no_second_reply(
    front: Running, autojump_clock: MockClock
) -> None:
    for _ in range(2):
        assert await front.send(REQUEST + REQUEST) == wire.OK
    assert len(front.backend.asked) == 1


async def test_e6_reply_reaches_a_client_that_is_still_sending(front: Running, autojump_clock: MockClock) -> None:
    stream = await front.connect()
    await stream.send_all(REQUEST + b"x" * 60_000)
    assert await stream.receive_some() == wire.OK
    await stream.send_all(b"still talking")
    assert await stream.receive_some() == b"", "the end, not a reset"
    await stream.aclose()


async def test_e6_client_whose_bytes_are_all_read_is_closed_with_its_reply(front: Running, autojump_clock: MockClock) -> None:
    stream = await front.connect()
    await stream.send_all(REQUEST)
    assert await stream.receive_some() == wire.OK
    assert len(front.loop.connections) == 0
    await stream.aclose()


async def test_e6_client_that_does_not_close_is_closed_a_second_after_its_reply(front: Running, autojump_clock: MockClock) -> None:
    stream = await front.connect()
    await stream.send_all(b"\xff\xff")
    assert await stream.receive_some() == wire.NO
    await trio.sleep(0.9)
    assert len(front.loop.connections) == 1
    await trio.sleep(0.2)
    assert len(front.loop.connections) == 0
    await stream.aclose()


async def test_e7_second_reply_raises(front: Running, autojump_clock: MockClock) -> None:
    stream = await front.connect()
    await trio.sleep(0.001)
    (connection,) = front.loop.connections.all()
    connection.reply(wire.OK)
    with pytest.raises(AlreadyAnsweredError):
        connection.reply(wire.OK)
    front.loop.close(connection)
    assert connection.state is State.CLOSED
    with pytest.raises(AlreadyAnsweredError):
        connection.reply(wire.NO)
    await stream.aclose()


async def test_e1_exception_for_one_client_closes_it_and_touches_no_other(
    front: Running, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = await front.connect()
    await waiting.send_all(REQUEST[:5])
    parse = wire.parse

    def explode(data: bytes, limits: wire.Limits = wire.LIMITS) -> object:
        if b"explode" in data:
            raise RuntimeError("a bug")
        return parse(data, limits)

    monkeypatch.setattr(wire, "parse", explode)
    assert await front.ask(b"explode") == b""
    slow = await front.connect()
    await slow.send_all(b"\0\7explo")
    await trio.sleep(0.001)
    await slow.send_all(b"de")
    assert await read_all(slow) == b""
    await slow.aclose()
    await waiting.send_all(REQUEST[5:])
    assert await read_all(waiting) == wire.OK
    await waiting.aclose()
    assert caplog.text.count("Traceback") == 2


async def test_e1_event_of_a_connection_that_was_closed_in_the_same_turn_does_not_count(front: Running, autojump_clock: MockClock) -> None:
    first, second = front.connect_now(), front.connect_now()
    await trio.sleep(0.001)
    one, other = front.loop.connections.all()
    closed: list[Connection] = []

    def resume(connection: Connection) -> int:
        closed.append(connection)
        front.loop.close(other if connection is one else one)
        front.loop.close(connection)
        return 1

    one.port.resume = other.port.resume = resume  # type: ignore[method-assign]
    first.send(b"x")
    second.send(b"x")
    await trio.sleep(0.001)
    assert len(closed) == 1
    first.close()
    second.close()


async def test_e2_at_max_connections_the_oldest_without_a_whole_request_goes_first(
    tmp_path: Path, build: Build, autojump_clock: MockClock
) -> None:
    async with running(tmp_path, replace(build, most=3)) as front:
        front.backend.gate = trio.Event()
        asking = await front.connect()
        await asking.send_all(REQUEST)
        await trio.sleep(0.001)
        idle = []
        for _ in range(3):
            idle.append(await front.connect())
            await trio.sleep(0.001)
        async with timed(0):
            assert await idle[0].receive_some() == b""
        front.backend.gate.set()
        assert await read_all(asking) == wire.OK
        for stream in (asking, *idle):
            await stream.aclose()


async def test_e2_when_every_connection_has_a_whole_request_the_new_one_is_closed(
    tmp_path: Path, build: Build, autojump_clock: MockClock
) -> None:
    async with running(tmp_path, replace(build, per_peer=2)) as front:
        front.backend.gate = trio.Event()
        asking = [await front.connect() for _ in range(2)]
        for stream in asking:
            await stream.send_all(REQUEST)
        await trio.sleep(0.001)
        late = front.connect_now()
        late.send(REQUEST)
        await trio.sleep(0.001)
        assert late.recv(10) == b""
        late.close()
        front.backend.gate.set()
        for stream in asking:
            assert await read_all(stream) == wire.OK
            await stream.aclose()


async def test_e2_out_of_descriptors_turns_one_client_away_pauses_and_goes_on(
    front: Running, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    port = next(iter(front.loop._listeners))
    accept = port._accept  # type: ignore[attr-defined]
    calls: list[None] = []

    def fail() -> tuple[int, object]:
        calls.append(None)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(port, "_accept", fail)
    first = await front.connect()
    async with timed(0):
        assert await first.receive_some() == b""
    second = await front.connect()
    await second.send_all(REQUEST)
    await trio.sleep(EXHAUSTED_PAUSE / 2)
    assert len(calls) == 1, "nothing spins"
    monkeypatch.setattr(port, "_accept", accept)
    assert await read_all(second) == wire.OK
    await first.aclose()
    await second.aclose()
    assert caplog.text.count("Too many open files") == 1


async def test_e3_flood_of_hits_leaves_the_loop_a_turn_for_others(front: Running, autojump_clock: MockClock) -> None:
    await front.ask()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    clients = [front.connect_now() for _ in range(300)]
    for client in clients:
        client.send(REQUEST)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        while front.counters.inline < 300:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    for client in clients:
        assert client.recv(10) == wire.OK
        client.close()
    assert turns >= 300 // 64 - 1


async def test_e9_pulse_comes_from_the_loop_itself(front: Running, autojump_clock: MockClock) -> None:
    front.loop.beat()
    assert front.pulses == []
    await trio.sleep(0.001)
    assert front.pulses == [None]


async def test_peer_that_may_not_ask_is_closed_and_named(tmp_path: Path, build: Build, autojump_clock: MockClock) -> None:
    async with running(tmp_path, replace(build, port=replace(build.port, allowed=frozenset({os.geteuid() + 1})))) as front:
        with front.connect_now() as client:
            client.send(REQUEST)
            await trio.sleep(0.001)
            assert client.recv(10) == b""
        assert front.backend.asked == []
        assert "is not in allow_users" in front.lines()[-1]


async def test_peer_that_may_ask_is_served_from_the_cache_too(tmp_path: Path, build: Build, autojump_clock: MockClock) -> None:
    async with running(tmp_path, replace(build, port=replace(build.port, allowed=frozenset({os.geteuid()})))) as front:
        for _ in range(3):
            assert await front.ask() == wire.OK
        assert front.counters.inline == 2


async def test_compat_limits_refuse_what_the_original_refuses(tmp_path: Path, build: Build, autojump_clock: MockClock) -> None:
    async with running(tmp_path, replace(build, dialect=saslauthd.dialect(compat_limits=True))) as front:
        front.backend.accounts["alice@example.test"] = b"x" * 256
        assert await front.ask(secret=b"x" * 256) == wire.OK
        assert await front.send(wire.encode(wire.Request(b"alice", Secret(b"x" * 257), b"smtp", b""))) == wire.NO


async def test_long_request_in_several_segments_is_answered(front: Running, autojump_clock: MockClock) -> None:
    front.backend.accounts["alice@example.test"] = b"t" * 16_000
    for _ in range(2):
        assert await front.ask(secret=b"t" * 16_000) == wire.OK
    assert front.counters.inline == 1


async def test_every_decision_is_one_line_that_names_the_asking_process(front: Running, autojump_clock: MockClock) -> None:
    await front.ask()
    await front.ask()
    await front.ask(secret=b"wrong")
    accepted, cached, rejected = front.lines()
    for line in (accepted, cached, rejected):
        assert "user=alice@example.test service=smtp" in line
        assert f" peer={COMM}[{os.getpid()}] id=" in line
        assert "pw1" not in line
    assert " INFO accepted " in accepted
    assert "cached=yes" in cached
    assert "reason=wrong-secret" in rejected
    assert len({line.rpartition(" id=")[2] for line in (accepted, cached, rejected)}) == 3


async def test_whatever_is_logged_while_a_request_is_worked_on_has_its_id(front: Running, autojump_clock: MockClock) -> None:
    logger, handler = logging.getLogger("saslauthd_py"), Handler(front.output)
    logger.addHandler(handler)
    try:
        front.backend.verdicts.append(RuntimeError("a bug"))
        await front.ask(b"first")
        await front.ask(b"second")
    finally:
        logger.removeHandler(handler)
    bug, *_, trace, first, second = front.lines()
    assert "bug in backend users" in bug
    assert trace.endswith(" ERROR   RuntimeError: a bug")
    ids = [line.rpartition(" id=")[2] for line in (bug, first, second)]
    assert ids[0] == ids[1] != ids[2]


async def test_address_is_in_the_line_of_a_login_that_the_cache_decided(tmp_path: Path, build: Build, autojump_clock: MockClock) -> None:
    async with running(tmp_path, replace(build, dialect=saslauthd.dialect(trusted=True))) as front:
        for address in (b"192.0.2.7", b"2001:db8::1", b""):
            client = address and address + b";25"
            assert await front.send(wire.encode(wire.Request(b"alice", Secret(b"pw1"), b"smtp", b"example.test", client))) == wire.OK
        first, second, without = front.lines()
        assert len(front.backend.asked) == 1
    assert " address=192.0.2.7 " in first
    assert " cached=yes address=2001:db8::1 " in second
    assert "cached=yes peer=" in without, "a request of four fields is answered inline"


async def test_client_that_leaves_while_it_waits_leaves_nothing_behind(front: Running, autojump_clock: MockClock) -> None:
    front.backend.gate = trio.Event()
    stream = await front.connect()
    await stream.send_all(REQUEST)
    await trio.sleep(0.01)
    await stream.aclose()
    front.backend.gate.set()
    await trio.sleep(0.01)
    assert len(front.loop.connections) == 0
    assert await front.ask() == wire.OK
    assert len(front.backend.asked) == 1, "the proof went on without its client, and was remembered"


async def test_drain_answers_whole_requests_and_accepts_nobody_new(front: Running, autojump_clock: MockClock) -> None:
    front.backend.gate = trio.Event()
    asking = await front.connect()
    await asking.send_all(REQUEST)
    await trio.sleep(0.01)
    late = await front.connect()
    await late.send_all(REQUEST)
    front.loop.stop_listening()
    front.backend.gate.set()
    await front.loop.drained()
    assert await read_all(asking) == wire.OK
    assert await read_all(late) == wire.OK, "it was in the backlog when the listener was left"
    await asking.aclose()
    await late.aclose()


def test_e10_private_details_of_socket_are_as_expected() -> None:
    import socket

    assert sockets.Stream is socket.SocketType
    assert issubclass(socket.socket, socket.SocketType)
    left, right = socket.socketpair()
    with left, right:
        assert len(left.getsockopt(sockets.SOL_SOCKET, sockets.PEERCRED, sockets.PEERCRED_SIZE)) == sockets.PEERCRED_SIZE
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")
        listener.listen()
        listener.setblocking(False)
        accept = sockets.acceptor(listener)
        with pytest.raises(BlockingIOError):
            accept()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(listener.getsockname())
            descriptor, _ = accept()
            assert not os.get_inheritable(descriptor)
            stream = sockets.Stream(sockets.UNIX, sockets.STREAM, 0, descriptor)
            client.send(b"x")
            assert stream.recv(10, sockets.NOW) == b"x"
            stream.close()
