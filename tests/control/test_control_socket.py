"""The daemon's end of the control socket, with scripted operations: what it answers, whom, and what cannot hurt it."""

from __future__ import annotations

import os
import resource
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from saslauthd_py import trace
from saslauthd_py.authenticator import Decision
from saslauthd_py.control import client, server
from saslauthd_py.control.operations import OperationFailed
from saslauthd_py.control.protocol import MAX_REQUEST, Cause, Sasl, Trace, encode_request
from saslauthd_py.control.status import AdmissionStatus, CacheStatus, ConnectionsStatus, LoginsStatus, Status, TurnsStatus
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.privileges import Peer
from saslauthd_py.secret import Secret
from saslauthd_py.trace import Step
from saslauthd_py.verdict import Reason, Rejected
from saslauthd_py.wire.saslauthd import Request as Login

STATUS = Status(
    version="1",
    uptime=2.0,
    generation=3,
    pid=4,
    monitor_pid=None,
    listeners=(),
    connections=ConnectionsStatus(0, 10),
    logins=LoginsStatus(0, 0, 0),
    cache=CacheStatus(0, 10, None),
    hashing=TurnsStatus(2, 0, 0),
    admission=AdmissionStatus(0, 0, ()),
    backends=(),
)
LOGIN = Login(b"alice", Secret(b"geheim"), b"smtp", b"example.test")
SCRAM = Sasl("SCRAM-SHA-256", b"boss", secured=False)


async def nothing() -> None:
    await trio.lowlevel.checkpoint()


@dataclass
class Scripted:
    """Implements `Operations`."""

    fails: Exception | None = None
    work: Callable[[], Awaitable[None]] = nothing
    asked: list[object] = field(default_factory=list)
    reloads: int = 0
    warnings: tuple[str, ...] = ()

    async def status(self) -> Status:
        if self.fails:
            raise self.fails
        return STATUS

    async def reload(self) -> tuple[str, ...]:
        await self.work()
        if self.fails:
            raise self.fails
        self.reloads += 1
        return self.warnings

    def flush(self, user: str | None) -> int:
        if self.fails:
            raise self.fails
        self.asked.append(user)
        return 5

    def unblock(self, what: str) -> int:
        self.asked.append(what)
        return 2

    async def trace(self, listener: str, login: Login, sasl: Sasl, peer: Peer) -> Decision | None:
        assert (peer.pid, peer.uid) == (os.getpid(), os.geteuid())
        trace.note("asked", listener=listener)
        await self.work()
        self.asked += [login, sasl]
        if self.fails:
            raise self.fails
        return Decision(Rejected(Reason.LOCKED), "alice@example.test")


@asynccontextmanager
async def serving(operations: Scripted, directory: Path) -> AsyncIterator[str]:
    path = str(directory / "control")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, listener, operations)
            yield path
            nursery.cancel_scope.cancel()


async def said(path: str, data: bytes) -> bytes:
    async with await trio.open_unix_socket(path) as stream:
        with suppress(trio.BrokenResourceError):  # refused unread
            await stream.send_all(data)
        return await everything(stream)


async def everything(stream: trio.SocketStream) -> bytes:
    data = b""
    try:
        while more := await stream.receive_some():
            data += more
    except trio.BrokenResourceError:  # closed with bytes of ours unread
        pass
    return data


async def test_each_request_is_done_and_answered(tmp_path: Path) -> None:
    operations, steps = Scripted(), list[Step]()
    async with serving(operations, tmp_path) as path:
        in_thread = trio.to_thread.run_sync
        assert await in_thread(client.status, path) == STATUS.to_json() | {
            "listeners": [],
            "backends": [],
            "admission": {"tickets": 0, "limited": 0, "top": []},
        }
        assert await in_thread(client.reload, path) == ()
        operations.warnings = ("the log stays", "no route")
        assert await in_thread(client.reload, path) == ("the log stays", "no route")
        assert operations.reloads == 2
        assert await in_thread(client.flush, path, None) == 5
        assert await in_thread(client.flush, path, "alice") == 5
        assert await in_thread(client.unblock, path, "192.0.2.1") == 2
        assert await in_thread(client.trace, path, Trace("/run/mux", LOGIN, SCRAM), steps.append) == "rejected"
    assert operations.asked == [None, "alice", "192.0.2.1", LOGIN, SCRAM]
    assert [(step.name, step.facts) for step in steps] == [("asked", {"listener": "/run/mux"})]


@pytest.mark.parametrize(
    ("raised", "kind", "text"),
    [
        (OperationFailed(Cause.CONFIGURATION, "a:1: x\na:2: y"), client.WrongConfiguration, "a:1: x\na:2: y"),
        (OperationFailed(Cause.DENIED, "no"), client.NotPermitted, "no"),
        (OperationFailed(Cause.UNAVAILABLE, "later"), client.ControlError, "later"),
        (InvalidIdentity("empty name"), client.RequestRefused, "no user is called so: empty name"),
    ],
)
async def test_what_was_not_done_is_told_by_its_kind(tmp_path: Path, raised: Exception, kind: type[Exception], text: str) -> None:
    async with serving(Scripted(fails=raised), tmp_path) as path:
        for ask in (
            partial(client.reload, path),
            partial(client.flush, path, "x"),
            partial(client.trace, path, Trace("/m", LOGIN), lambda _: None),
        ):
            with pytest.raises(kind) as error:
                await trio.to_thread.run_sync(ask)
            assert type(error.value) is kind
            assert str(error.value) == text


async def test_e1_a_bug_is_told_and_logged_once_and_the_daemon_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    operations = Scripted(fails=RuntimeError("what"))
    async with serving(operations, tmp_path) as path:
        for ask in (partial(client.status, path), partial(client.trace, path, Trace("/m", LOGIN), lambda _: None)):
            with pytest.raises(client.ControlError, match="has a bug there"):
                await trio.to_thread.run_sync(ask)
        assert caplog.text.count("RuntimeError: what") == 2
        assert "geheim" not in caplog.text
        operations.fails = None
        await trio.to_thread.run_sync(client.reload, path)


async def test_steps_come_as_they_are_made(tmp_path: Path) -> None:
    decided = trio.Event()
    async with serving(Scripted(work=decided.wait), tmp_path) as path, await trio.open_unix_socket(path) as stream:
        await stream.send_all(server_request())
        assert b'"asked"' in await stream.receive_some()
        decided.set()
        assert b'"done"' in await everything(stream)


def server_request() -> bytes:
    return encode_request(Trace("/run/mux", LOGIN))


async def test_h2_others_than_root_and_the_daemons_user_are_refused_whatever_the_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = Scripted()
    async with serving(operations, tmp_path) as path:
        for uid, answered in ((0, True), (os.geteuid(), True), (os.geteuid() + 1, False), (0xFFFFFFFF, False)):
            monkeypatch.setattr(server, "peer_ids", lambda _, uid=uid: Peer(1, uid, 0))
            answer = await said(path, b'{"do": "reload"}\n')
            assert (b'"done"' in answer) is answered
            assert (b'"denied"' in answer) is not answered
    assert operations.reloads == 2


_STRANGER = """
import socket, sys
with socket.socket(socket.AF_UNIX) as client:
    client.connect(sys.argv[1])
    print(client.recv(999))
"""


@pytest.mark.root
async def test_h2_the_peer_is_who_connected_whatever_the_mode() -> None:
    operations = Scripted()
    with tempfile.TemporaryDirectory(prefix="saslauthd-py-") as directory:
        os.chmod(directory, 0o711)  # noqa: S103 - another user finds the socket
        async with serving(operations, Path(directory)) as path:
            os.chmod(path, 0o666)  # noqa: S103 - and may open it
            command = [sys.executable, "-c", _STRANGER, path]
            done = await trio.run_process(command, capture_stdout=True, user=65534, group=65534, extra_groups=[])
    assert b'"denied"' in done.stdout
    assert operations.reloads == 0


REJECTED = [
    b"\n",
    b"{}\n",
    b"[" * 50_000 + b"\n",
    b"\xff" * 100 + b"\n",
    b'{"do": "quit"}\n',
    b"x" * MAX_REQUEST,
    b'{"do": "reload"}{"do": "reload"}\n',
]


@pytest.mark.parametrize("data", REJECTED)
async def test_what_is_no_request_is_refused_and_the_next_is_served(tmp_path: Path, data: bytes) -> None:
    operations = Scripted()
    async with serving(operations, tmp_path) as path:
        assert b'"failed": "request"' in await said(path, data)
        assert b'"done"' in await said(path, b'{"do": "reload"}\n')
    assert operations.reloads == 1


async def test_one_request_a_connection(tmp_path: Path) -> None:
    operations = Scripted()
    async with serving(operations, tmp_path) as path:
        assert (await said(path, b'{"do": "reload"}\n' * 3)).count(b"done") <= 1
    assert operations.reloads == 1


async def test_silent_ones_wait_for_nobody_and_are_closed_in_time(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    operations = Scripted()
    async with serving(operations, tmp_path) as path:
        silent = [await trio.open_unix_socket(path) for _ in range(server.MOST - 1)]
        began = trio.current_time()
        assert b'"done"' in await said(path, b'{"do": "reload"}\n')
        assert trio.current_time() == began
        for one in silent:
            assert await everything(one) == b""
            await one.aclose()
        assert trio.current_time() - began == server.PATIENCE


async def test_too_many_wait_until_a_place_is_free(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    operations = Scripted()
    async with serving(operations, tmp_path) as path:
        silent = [await trio.open_unix_socket(path) for _ in range(server.MOST * 2)]
        began = trio.current_time()
        assert b'"done"' in await said(path, b'{"do": "reload"}\n')
        assert trio.current_time() - began == 2 * server.PATIENCE
        for one in silent:
            await one.aclose()


async def test_a_request_byte_by_byte_is_cut_off_in_time(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with serving(Scripted(), tmp_path) as path, await trio.open_unix_socket(path) as stream:
        began = trio.current_time()
        with suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(b" ")
                await trio.sleep(0.5)
        assert trio.current_time() - began <= server.PATIENCE + 1


async def test_who_leaves_before_the_end_stops_nothing(tmp_path: Path) -> None:
    go_on, operations = trio.Event(), Scripted()
    operations.work = go_on.wait
    async with serving(operations, tmp_path) as path:
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(b'{"do": "reload"}\n')
            await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()
        await trio.testing.wait_all_tasks_blocked()
        assert operations.reloads == 1
        assert b'"done"' in await said(path, b'{"do": "reload"}\n')


async def test_who_does_not_read_is_closed_in_time(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async def talk() -> None:
        for number in range(100_000):
            trace.note("step", text="x" * 1000)
            if not number % 100:
                await trio.lowlevel.checkpoint()

    operations = Scripted(work=talk)
    async with serving(operations, tmp_path) as path, await trio.open_unix_socket(path) as stream:
        began = trio.current_time()
        await stream.send_all(server_request())
        await trio.sleep(server.PATIENCE + 1)
        data = await everything(stream)
        assert b'"done"' not in data
        assert trio.current_time() - began <= 2 * server.PATIENCE


async def test_a_daemon_without_descriptors_goes_on_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(Scripted(), tmp_path) as path:
        await trio.testing.wait_all_tasks_blocked()
        with socket.socket(socket.AF_UNIX) as connected, trio.fail_after(20):
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limit[1]))
            try:
                connected.connect(path)
                while "cannot accept on the control socket: Too many open files" not in caplog.text:
                    await trio.lowlevel.checkpoint()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(connected))
            await stream.send_all(b'{"do": "reload"}\n')
            assert b'"done"' in await everything(stream)


def test_nobody_there_is_not_running(tmp_path: Path) -> None:
    with pytest.raises(client.NotRunning, match="nobody listens"):
        client.status(str(tmp_path / "none"))
    (tmp_path / "file").touch()
    with pytest.raises(client.NotRunning):
        client.status(str(tmp_path / "file"))
    with pytest.raises(client.NotRunning):
        client.status(str(tmp_path / ("x" * 120)))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "closed|ended"),
        (b'{"step": "a", "seconds": 1, "facts": {}}\n', "ended before it answered"),
        (b"nonsense\n", "no JSON"),
        (b'{"failed": "magic", "text": ""}\n', "of another version"),
        (b"{}\n", "of another version"),
    ],
)
async def test_an_answer_that_is_none_is_an_error(tmp_path: Path, answer: bytes, text: str) -> None:
    path = str(tmp_path / "control")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def answering() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(999)
                connection.sendall(answer)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, answering)
            with pytest.raises(client.ControlError, match=text):
                await trio.to_thread.run_sync(client.status, path)


async def test_a_daemon_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    async with serving(Scripted(work=trio.sleep_forever), tmp_path) as path:
        with pytest.raises(client.ControlError, match=r"no answer within 0\.05 s"):
            await trio.to_thread.run_sync(client.reload, path, 0.05)


async def test_h2_who_is_refused_before_he_asks_hears_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "peer_ids", lambda _: Peer(0, 0xFFFFFFFF, 0))
    connect = client._connect

    async def wait() -> None:
        await trio.testing.wait_all_tasks_blocked(0.01)  # until the server has answered and closed

    def connect_and_wait(connection: socket.socket, path: str, patience: float) -> None:
        connect(connection, path, patience)
        trio.from_thread.run(wait)

    monkeypatch.setattr(client, "_connect", connect_and_wait)
    async with serving(Scripted(), tmp_path) as path:
        with pytest.raises(client.NotPermitted, match="root and the daemon's user only"):
            await trio.to_thread.run_sync(client.reload, path)
