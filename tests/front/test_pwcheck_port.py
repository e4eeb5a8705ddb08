"""The pwcheck protocol on a port over a real socket: verdicts, times, cuts, and that nothing half or more than a request is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py.backend import BackendUnreadable
from saslauthd_py.credential import Restrictions
from saslauthd_py.front import pwcheck
from saslauthd_py.front.one_request import READ
from saslauthd_py.identity import Identity
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire import pwcheck as wire
from tests.front.fronts import Build, Running, read_all, running

RIGHT = b"alice@example.test\0pw1\0"
WRONG = b"alice@example.test\0wrong\0"
PWCHECK = Build(dialect=pwcheck.dialect())


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PWCHECK) as front:
        yield front


async def test_right_secret_is_a_bare_ok_at_once_and_the_connection_ends(front: Running, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    assert await front.send(RIGHT) == b"OK"
    assert trio.current_time() == pytest.approx(began, abs=0.001)


async def test_name_is_split_once_at_its_last_at(front: Running, autojump_clock: MockClock) -> None:
    for userid in (b"alice@example.test", b"a@b@example.test", b"alice"):
        await front.send(userid + b"\0pw1\0")
    assert [attempt.identity for attempt in front.backend.asked] == [
        Identity("alice", "example.test"),
        Identity("a@b", "example.test"),
        Identity("alice"),
    ]


async def test_default_realm_is_that_of_a_name_without_one(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, replace(PWCHECK, dialect=pwcheck.dialect("example.test"))) as front:
        assert await front.send(b"alice\0pw1\0") == wire.OK


async def test_service_is_pwcheck_for_backends_credentials_and_the_log(front: Running, autojump_clock: MockClock) -> None:
    front.backend.accepted = lambda attempt: Accepted(attempt.identity, Restrictions(services=("smtp",)))
    assert await front.send(RIGHT) == wire.NO
    front.backend.accepted = lambda attempt: Accepted(attempt.identity, Restrictions(services=("pwcheck",)))
    front.cache.forget_account("alice@example.test")
    assert await front.send(RIGHT) == wire.OK
    assert {(attempt.service, attempt.address) for attempt in front.backend.asked} == {("pwcheck", None)}
    assert all("user=alice@example.test service=pwcheck" in line for line in front.lines())


async def test_c6_second_login_is_decided_by_the_cache_after_a_look(front: Running, autojump_clock: MockClock) -> None:
    for _ in range(3):
        assert await front.send(RIGHT) == wire.OK
    assert (len(front.backend.asked), front.counters.inline) == (1, 2)
    front.backend.changed = [BackendUnreadable("gone")] * 3
    front.backend.verdicts = [Unavailable("gone")]
    front.cache.looked_until = 0
    assert await front.send(RIGHT) == b""
    assert front.counters.inline == 2


async def test_c2_key_of_a_proof_tells_name_and_secret_apart(front: Running, autojump_clock: MockClock) -> None:
    front.backend.accounts["alice@example.test"] = b"pw1"
    assert await front.send(RIGHT) == wire.OK
    for other in (b"alice@example.testpw1\0pw1\0", b"alice@example.tes\0tpw1\0", b"alice@example.test\0pw\0"):
        assert await front.send(other) == wire.NO
    assert front.counters.inline == 0


@pytest.mark.parametrize(
    "verdict", [UnknownUser(), *(Rejected(reason) for reason in Reason)], ids=lambda verdict: getattr(verdict, "reason", "unknown")
)
async def test_d1_d6_every_failure_has_one_text_at_the_same_delay(front: Running, verdict: Verdict, autojump_clock: MockClock) -> None:
    front.backend.verdicts = [verdict]
    began = trio.current_time()
    assert await front.send(RIGHT) == b"Authentication failed"
    assert 1.8 <= trio.current_time() - began <= 2.0


async def test_d1_name_without_a_route_is_told_the_same(front: Running, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    assert await front.send(b"alice@elsewhere.test\0pw1\0") == wire.NO
    assert 1.8 <= trio.current_time() - began <= 2.0


async def test_e5_outage_closes_without_a_byte_a_second_after_arrival(front: Running, autojump_clock: MockClock) -> None:
    front.backend.verdicts = [Unavailable("the disk is on fire")]
    began = trio.current_time()
    assert await front.send(RIGHT) == b""
    assert trio.current_time() - began == pytest.approx(1.0, abs=0.001)
    assert await front.send(RIGHT) == wire.OK


async def test_hanging_backend_is_given_up_at_the_deadline(front: Running, autojump_clock: MockClock) -> None:
    front.backend.gate = trio.Event()
    began = trio.current_time()
    assert await front.send(RIGHT) == b""
    assert trio.current_time() - began == pytest.approx(8.0, abs=0.001)


async def test_request_cut_anywhere_is_answered_when_its_second_nul_is_there(front: Running, autojump_clock: MockClock) -> None:
    for cut in range(1, len(RIGHT)):
        async with await front.connect() as stream:
            await stream.send_all(RIGHT[:cut])
            with trio.move_on_after(1.0) as waiting:
                await stream.receive_some()
            assert waiting.cancelled_caught, "no answer before the second NUL"
            await stream.send_all(RIGHT[cut:])
            assert await read_all(stream) == wire.OK
    assert len(front.backend.asked) == 1
    assert front.counters.inline == len(RIGHT) - 2


async def test_request_byte_by_byte_is_a_request(front: Running, autojump_clock: MockClock) -> None:
    async with await front.connect() as stream:
        for byte in RIGHT:
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.01)
        assert await read_all(stream) == wire.OK


async def test_request_cut_anywhere_and_ended_is_closed_without_a_reply(front: Running, autojump_clock: MockClock) -> None:
    await front.send(RIGHT)  # what the cache knows makes no half request whole
    for cut in range(len(RIGHT)):
        async with await front.connect() as stream:
            await stream.send_all(RIGHT[:cut])
            await stream.send_eof()
            began = trio.current_time()
            assert await read_all(stream) == b""
            assert trio.current_time() == pytest.approx(began, abs=0.001)
    assert len(front.loop.connections) == 0
    assert len(front.backend.asked) == 1


async def test_request_cut_anywhere_is_closed_at_the_deadline(front: Running, autojump_clock: MockClock) -> None:
    streams = [await front.connect() for _ in range(len(RIGHT))]
    for cut, stream in enumerate(streams):
        await stream.send_all(RIGHT[:cut])
    began = trio.current_time()
    for stream in streams:
        async with stream:
            assert await read_all(stream) == b""
    assert trio.current_time() - began == pytest.approx(8.0, abs=0.001)
    assert front.backend.asked == []
    assert front.counters.incomplete == len(RIGHT)
    assert sum("half a request" in line for line in front.lines()) == len(RIGHT) - 1


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"\0pw\0", "empty login"),
        (b"alice@example.test\0\0", "empty password"),
        (b"alice@example.test\0pw1\0x", "bytes after the second NUL"),
        (b"alice@example.test\0pw1\0x\0", "bytes after the second NUL"),
        (RIGHT + RIGHT, "bytes after the second NUL"),
        (b"x" * wire.MAX_REQUEST, "request over its limit"),
        (b"al\xffice\0pw\0", "not UTF-8"),
        (b"al\nice\0pw\0", "name holds a control or formatting character"),
        (b"@example.test\0pw\0", "empty name"),
        (b"x" * 256 + b"\0pw\0", "name over 255 bytes"),
    ],
)
async def test_b5_bad_request_is_no_at_once_with_one_line(front: Running, data: bytes, cause: str, autojump_clock: MockClock) -> None:
    assert await front.send(RIGHT) == wire.OK
    began = trio.current_time()
    assert await front.send(data) == wire.NO
    assert trio.current_time() == pytest.approx(began, abs=0.001)
    assert len(front.backend.asked) == 1
    assert await front.send(RIGHT) == wire.OK
    lines = front.lines()
    assert sum(cause in line for line in lines) == 1
    assert "Traceback" not in "".join(lines)


async def test_password_with_a_nul_is_never_its_first_part(front: Running, autojump_clock: MockClock) -> None:
    for _ in range(2):
        assert await front.send(b"alice@example.test\0pw1\0rest\0") == wire.NO
        assert await front.send(RIGHT) == wire.OK


async def test_e6_reply_reaches_a_client_that_is_still_sending(front: Running, autojump_clock: MockClock) -> None:
    for data in (RIGHT + b"x" * 60_000, b"x" * 60_000):
        async with await front.connect() as stream:
            await stream.send_all(data)
            assert await stream.receive_some() == wire.NO
            await stream.send_all(b"still talking")
            assert await stream.receive_some() == b"", "the end, not a reset"


async def test_long_request_in_several_segments_is_answered(front: Running, autojump_clock: MockClock) -> None:
    for size in (READ - len(b"alice@example.test\0\0"), 16_000):
        secret = b"t" * size
        front.backend.accounts["alice@example.test"] = secret
        for _ in range(2):
            assert await front.send(b"alice@example.test\0" + secret + b"\0") == wire.OK
    assert (len(front.backend.asked), front.counters.inline) == (2, 2)


async def test_compat_limits_refuse_what_the_original_refuses(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, replace(PWCHECK, dialect=pwcheck.dialect(compat_limits=True))) as front:
        secret = b"t" * (wire.COMPAT_MAX_REQUEST - len(b"alice@example.test\0\0"))
        front.backend.accounts["alice@example.test"] = secret
        assert await front.send(b"alice@example.test\0" + secret + b"\0") == wire.OK
        assert await front.send(b"alice@example.test\0" + secret + b"t\0") == wire.NO
        assert "request over its limit" in front.lines()[-1]


async def test_half_requests_and_wrong_secrets_are_in_nobody_s_way(front: Running, autojump_clock: MockClock) -> None:
    half, wrong = await front.connect(), await front.connect()
    await half.send_all(RIGHT[:-1])
    await wrong.send_all(WRONG)
    began = trio.current_time()
    assert await front.send(RIGHT) == wire.OK
    assert trio.current_time() == pytest.approx(began, abs=0.001)
    await half.aclose()
    await wrong.aclose()
