"""Another daemon as a backend: what is sent, each answer's verdict, and everything that is an outage. On real sockets, in virtual time."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from saslauthd_py.backend import Attempt
from saslauthd_py.backends.saslauthd import SaslauthdBackend, _advised, _read
from saslauthd_py.config.settings import SaslauthdSettings
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire.saslauthd import LIMITS, NO, OK, Request, parse

ALICE = Attempt(Identity("alice", "example.test"), Secret(b"pw1"), "smtp")
WRONG = Rejected(Reason.WRONG_SECRET)

Serve = Callable[[trio.SocketStream], Awaitable[object]]


@asynccontextmanager
async def daemon(path: Path, serve: Serve) -> AsyncIterator[None]:
    listening = trio.socket.socket(trio.socket.AF_UNIX)
    await listening.bind(str(path))
    listening.listen(8)

    async def one(stream: trio.SocketStream) -> None:
        async with stream:
            await serve(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, one, [trio.SocketListener(listening)]))
        yield
        nursery.cancel_scope.cancel()


def backend(path: Path, **keys: Any) -> SaslauthdBackend:
    return SaslauthdBackend(SaslauthdSettings.model_validate({"type": "saslauthd", "path": str(path), **keys}))


async def read(stream: trio.SocketStream) -> bytes:
    """All of a request of four or five fields that came in one piece, as every client sends it."""
    return bytes(await stream.receive_some())


async def answered(path: Path, *parts: bytes, attempt: Attempt = ALICE) -> Verdict:
    """What becomes of a reply in these parts, a second between each two, and the end."""

    async def serve(stream: trio.SocketStream) -> None:
        await read(stream)
        for part in parts:
            await stream.send_all(part)
            await trio.sleep(1)

    async with daemon(path, serve):
        return await backend(path).verify_password(attempt)


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ((OK,), Accepted(ALICE.identity)),
        ((b"\0\x23OK remote authentication successful",), Accepted(ALICE.identity)),
        ((b"\0", b"\2O", b"K"), Accepted(ALICE.identity)),
        ((NO,), WRONG),
        ((b"\0\3NO ",), WRONG),
        ((b"\0\x19NO NULL password received",), WRONG),
    ],
)
async def test_replies(parts: tuple[bytes, ...], verdict: Verdict, tmp_path: Path, autojump_clock: MockClock) -> None:
    assert await answered(tmp_path / "mux", *parts) == verdict


@pytest.mark.parametrize("reply", [b"", b"\0", b"\0\0", b"\0\2", b"\0\2O", b"\0\x05OK"])
async def test_reply_that_is_not_whole_is_an_outage(reply: bytes, tmp_path: Path, autojump_clock: MockClock) -> None:
    path = tmp_path / "mux"
    assert await answered(path, reply) == Unavailable(f"{path}: closed without an answer: look into the log of the daemon there")


@pytest.mark.parametrize("reply", [b"\0\5HELLO", b"\0\2ok", b"\0\1O", b"VERSION\t1\t2\n" + bytes(0x6000)])
async def test_d8_reply_of_another_protocol_is_an_outage(reply: bytes, tmp_path: Path, autojump_clock: MockClock) -> None:
    verdict = await answered(tmp_path / "mux", reply)
    assert isinstance(verdict, Unavailable)
    assert verdict.judged


@given(st.binary())
def test_text_is_accepted_only_where_it_begins_with_ok(text: bytes) -> None:
    assert (_read(text, "/mux") is None) is (text[:2] == b"OK")


@pytest.mark.parametrize(
    ("login", "address", "fields"),
    [
        ("{local}@{realm}", "", (b"alice", b"example.test", b"")),
        ("{local}", "", (b"alice", b"", b"")),
        ("{realm}+{local}@own.test", "192.0.2.7", (b"example.test+alice", b"own.test", b"192.0.2.7;0")),
    ],
)
async def test_request_as_libsasl_sends_it(
    login: str, address: str, fields: tuple[bytes, bytes, bytes], tmp_path: Path, autojump_clock: MockClock
) -> None:
    seen: list[object] = []

    async def serve(stream: trio.SocketStream) -> None:
        seen.append(parse(await read(stream), LIMITS))
        await stream.send_all(OK)

    attempt = Attempt(ALICE.identity, ALICE.secret, "smtp", ip_address(address) if address else None)
    async with daemon(tmp_path / "mux", serve):
        verdict = await backend(tmp_path / "mux", login=login).verify_password(attempt)
    name, realm, client = fields
    assert seen == [Request(name, ALICE.secret, b"smtp", realm, client)]
    assert verdict == Accepted(Identity(name.decode(), realm.decode()))


async def test_login_that_gets_too_long_is_nobody_s(tmp_path: Path, autojump_clock: MockClock) -> None:
    attempt = Attempt(Identity("a" * 200, "b" * 200), Secret(b"x"), "smtp")
    assert await backend(tmp_path / "mux", login="{local}{realm}").verify_password(attempt) == UnknownUser()


async def test_silence_is_an_outage_and_counts_as_a_guess(tmp_path: Path, autojump_clock: MockClock) -> None:
    path, began = tmp_path / "mux", trio.current_time()

    async def serve(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with daemon(path, serve):
        verdict = await backend(path, timeout="3s").verify_password(ALICE)
    assert verdict == Unavailable(f"{path}: no answer within 3 s", judged=True)
    assert trio.current_time() - began == pytest.approx(3)


async def test_refusal_before_the_whole_request_is_read_is_heard(tmp_path: Path, autojump_clock: MockClock) -> None:
    """As the original answers a field over 256 bytes."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(2)
        await stream.send_all(b"\0\3NO ")

    async with daemon(tmp_path / "mux", serve):
        attempt = Attempt(ALICE.identity, Secret(b"x" * 300), "smtp")
        assert await backend(tmp_path / "mux").verify_password(attempt) == WRONG


async def test_nobody_there_is_an_outage_that_says_what_to_do(tmp_path: Path, autojump_clock: MockClock) -> None:
    path = tmp_path / "mux"
    verdict = await backend(path).verify_password(ALICE)
    assert isinstance(verdict, Unavailable)
    assert (verdict.judged, "is not there" in verdict.cause) == (False, True)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    verdict = await backend(path).verify_password(ALICE)
    assert isinstance(verdict, Unavailable)
    assert "nobody answers" in verdict.cause
    verdict = await backend(tmp_path).verify_password(ALICE)
    assert isinstance(verdict, Unavailable)


async def test_full_backlog_is_waited_for(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A connect that the kernel would have to queue is neither a yes of its own nor an outage."""
    path = tmp_path / "mux"
    with socket.socket(socket.AF_UNIX) as crowded, socket.socket(socket.AF_UNIX) as first:
        crowded.bind(str(path))
        crowded.listen(0)
        first.connect(str(path))
        verdicts: list[Verdict] = []

        async def ask() -> None:
            verdicts.append(await backend(path).verify_password(ALICE))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(1)
            assert verdicts == []
            crowded.accept()[0].close()
            await trio.sleep(1)
            second = trio.SocketStream(trio.socket.from_stdlib_socket(crowded.accept()[0]))
            async with second:
                await read(second)
                await second.send_all(OK)
        assert verdicts == [Accepted(ALICE.identity)]
        with socket.socket(socket.AF_UNIX) as another:
            another.connect(str(path))
            assert await backend(path, timeout="1s").verify_password(ALICE) == Unavailable(f"{path}: no answer within 1 s")


async def test_cancelled_it_leaves_no_socket_open(tmp_path: Path, autojump_clock: MockClock) -> None:
    ended = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        await read(stream)
        assert await stream.receive_some() == b""
        ended.set()

    async with daemon(tmp_path / "mux", serve):
        with trio.move_on_after(0.5) as scope:
            await backend(tmp_path / "mux").verify_password(ALICE)
        assert scope.cancelled_caught
        await ended.wait()


async def test_d6_nobody_takes_as_long_as_a_wrong_secret(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await read(stream)
        await trio.sleep(0.3)
        await stream.send_all(NO)

    asked = backend(tmp_path / "mux")
    async with daemon(tmp_path / "mux", serve):
        assert await asked.verify_password(ALICE) == WRONG
    began = trio.current_time()
    await asked.pretend(ALICE.secret)
    assert trio.current_time() == began, "it was judged there"
    await asked.pretend(Secret(b"pw1"))
    assert trio.current_time() - began == pytest.approx(0.3)


def test_socket_that_is_shut_to_us_is_told_with_what_counts_under_the_units_and_without() -> None:
    said = _advised(PermissionError(errno.EACCES, "Permission denied"))
    assert "into the group of the socket and its directory" in said
    assert "[server] group" in said
