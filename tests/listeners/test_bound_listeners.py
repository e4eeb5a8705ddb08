"""What `bind` makes, when it gets its name, and what has that name already (rule A6)."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from saslauthd_py.listeners import ListenError, ListenerSpec, bind, check, unlink_own
from tests.listeners.sockets import (
    SOMEBODY,
    answers,
    as_somebody,
    bound,
    forked,
    leave_stale,
    other_socket,
    rights,
    spec,
)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777], ids=oct)
@pytest.mark.parametrize("mode", [0o660, 0o600, 0o666, 0o700], ids=oct)
def test_a6_owner_group_and_mode_are_exact_under_any_umask(place: str, mode: int, umask: int) -> None:
    before = os.umask(umask)
    try:
        with bound(spec(f"{place}/mux", mode)) as listener:
            assert rights(f"{place}/mux") == (os.geteuid(), os.getegid(), mode)
            assert not listener.socket.getblocking()
            assert not listener.socket.get_inheritable()
            assert os.listdir(place) == ["mux"]
    finally:
        assert os.umask(before) == umask
    assert answers_nobody(f"{place}/mux")


def answers_nobody(path: str) -> bool:
    with pytest.raises(ConnectionRefusedError):
        answers(path)
    return True


def test_a_client_is_accepted(place: str) -> None:
    with bound(spec(f"{place}/mux")) as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{place}/mux")
        accepted, _ = listener.socket.accept()
        accepted.sendall(b"OK")
        accepted.close()
        assert client.recv(8) == b"OK"


def test_the_backlog_takes_1024_connections_at_once(place: str) -> None:
    with bound(spec(f"{place}/mux")), contextlib.ExitStack() as clients:
        for _ in range(1024):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect(f"{place}/mux")


# The moment of the name


def test_a6_a_socket_listens_before_it_gets_its_name(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, connected = os.link, []

    def link(*names: str, **directories: Any) -> None:
        assert not os.path.exists(f"{place}/mux")
        real(*names, **directories)
        connected.append(answers(f"{place}/mux"))

    monkeypatch.setattr(os, "link", link)
    with bound(spec(f"{place}/mux")):
        assert connected == [os.getpid()]


def test_a6_a_client_that_comes_meanwhile_is_never_refused(place: str) -> None:
    seen: list[int] = []

    def connect(path: str) -> None:
        while True:
            try:
                answers(path)
            except OSError as error:
                seen.append(error.errno or 0)
                if error.errno == errno.ENOENT:
                    continue
            return

    for number in range(50):
        path = f"{place}/{number}"
        client = threading.Thread(target=connect, args=(path,))
        client.start()
        with bound(spec(path)):
            client.join()
    assert set(seen) <= {errno.ENOENT}


# What has the name already


def test_a6_a_socket_on_which_nobody_answers_is_replaced(place: str) -> None:
    leave_stale(f"{place}/mux")
    with bound(spec(f"{place}/mux")):
        assert answers(f"{place}/mux") == os.getpid()
        assert os.listdir(place) == ["mux"]


def test_a6_a_socket_on_which_somebody_answers_is_left_and_named(place: str) -> None:
    def start_second() -> None:
        Path("/proc/self/comm").write_text("second")
        with pytest.raises(ListenError) as caught:
            bind(spec(f"{place}/mux"))
        comm = Path(f"/proc/{os.getppid()}/comm").read_text().rstrip("\n")
        assert f"another process ({os.getppid()} {comm}, uid {os.geteuid()}) answers on {place}/mux" in str(caught.value)

    with bound(spec(f"{place}/mux")):
        forked(start_second)()
        assert answers(f"{place}/mux") == os.getpid()
        assert os.listdir(place) == ["mux"]


def test_a_process_cannot_forge_a_line_by_its_name(place: str) -> None:
    def work() -> None:
        Path("/proc/self/comm").write_text("a\nREADY\x1b[1m\xe9")
        with other_socket(f"{place}/mux"), pytest.raises(ListenError, match=rf"\({os.getpid()} a\?READY\?\[1m\?+, uid"):
            bind(spec(f"{place}/mux"))

    forked(work)()


def test_a6_a_full_queue_of_connections_is_an_answer(place: str) -> None:
    with other_socket(f"{place}/full", backlog=0), socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(f"{place}/full")
        with pytest.raises(ListenError, match="queue of connections is full"):
            bind(spec(f"{place}/full"))
        assert os.path.exists(f"{place}/full")


def test_a6_a_live_socket_of_another_type_is_left(place: str) -> None:
    with other_socket(f"{place}/mux", socket.SOCK_DGRAM), pytest.raises(ListenError, match=r"another process .* answers"):
        bind(spec(f"{place}/mux"))
    assert os.path.exists(f"{place}/mux")


@pytest.mark.parametrize("kind", ["file", "directory", "fifo", "link to a live socket", "link to a dead socket", "link to nothing"])
def test_a6_what_is_no_socket_is_left(place: str, kind: str) -> None:
    path = f"{place}/mux"
    with other_socket(f"{place}/live"):
        leave_stale(f"{place}/dead")
        match kind:
            case "file":
                Path(path).write_text("mine")
            case "directory":
                os.mkdir(path)
            case "fifo":
                os.mkfifo(path)
            case _:
                os.symlink(kind.split()[-2] if "socket" in kind else "nothing", path)
        before, entries = os.lstat(path), sorted(os.listdir(place))
        with pytest.raises(ListenError, match=rf"{path} is there and is no socket"):
            bind(spec(path))
        assert os.path.samestat(os.lstat(path), before)
        assert sorted(os.listdir(place)) == entries


def test_a6_of_many_that_start_at_once_one_wins_and_the_others_name_it(place: str) -> None:
    path = f"{place}/mux"
    for _ in range(10):
        leave_stale(path)
        results, says = os.pipe()
        gate, opens = os.pipe()
        ended, ends = os.pipe()

        def start(says: int = says, gate: int = gate, ended: int = ended, opens: int = opens, ends: int = ends) -> None:
            os.close(opens)
            os.close(ends)
            os.read(gate, 1)
            try:
                listener = bind(spec(path))
            except ListenError as error:
                os.write(says, f"lost {error}\n".encode())
            else:
                os.write(says, f"won {os.getpid()}\n".encode())
                os.read(ended, 1)
                listener.socket.close()

        waits = [forked(start) for _ in range(4)]
        os.close(opens)
        os.close(says)
        with os.fdopen(results) as lines:
            told = sorted(lines.readline() for _ in range(4))
            winners = [int(line.split()[1]) for line in told if line.startswith("won")]
            assert len(winners) == 1, told
            assert answers(path) == winners[0]
            assert all(f"another process ({winners[0]} " in line for line in told[:3]), told
            os.close(ends)
            for wait in waits:
                wait()
        os.close(gate)
        os.close(ended)
        assert os.listdir(place) == ["mux"]
        os.unlink(path)


def test_a6_whoever_takes_the_name_first_keeps_it(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = f"{place}/mux", os.link
    with contextlib.ExitStack() as rival:

        def link(*names: str, **directories: Any) -> None:
            rival.enter_context(other_socket(path))
            real(*names, **directories)

        monkeypatch.setattr(os, "link", link)
        with pytest.raises(ListenError, match=f"another process .{os.getpid()} .* answers"):
            bind(spec(path))
        assert answers(path) == os.getpid()
        assert os.listdir(place) == ["mux"]


def test_a6_a_live_socket_that_just_replaced_a_dead_one_gets_its_name_back(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = f"{place}/mux", os.rename
    leave_stale(path)
    with contextlib.ExitStack() as rival:

        def rename(*names: str, **directories: Any) -> None:
            monkeypatch.undo()
            os.unlink(path)
            rival.enter_context(other_socket(path))
            real(*names, **directories)

        monkeypatch.setattr(os, "rename", rename)
        with pytest.raises(ListenError, match=f"another process .{os.getpid()} .* answers"):
            bind(spec(path))
        assert answers(path) == os.getpid()
        assert os.listdir(place) == ["mux"]


def test_a6_a_dead_socket_that_somebody_else_removes_is_no_error(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = f"{place}/mux", os.rename
    leave_stale(path)

    def rename(*names: str, **directories: Any) -> None:
        os.unlink(path)
        real(*names, **directories)

    monkeypatch.setattr(os, "rename", rename)
    with bound(spec(path)):
        assert answers(path) == os.getpid()


def test_unlink_own_removes_its_own_path(place: str) -> None:
    with bound(spec(f"{place}/mux")) as listener:
        unlink_own(listener)
        assert os.listdir(place) == []
        unlink_own(listener)
    os.rmdir(place)
    unlink_own(listener)
    os.mkdir(place)


def test_unlink_own_leaves_the_next_daemons_socket(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(*names: str, **directories: Any) -> None:
        raise AssertionError("its name was gone for a moment")

    monkeypatch.setattr(os, "rename", rename)
    with bound(spec(f"{place}/mux")) as listener:
        os.unlink(f"{place}/mux")
        with bound(spec(f"{place}/mux")):
            unlink_own(listener)
            assert answers(f"{place}/mux") == os.getpid()
            assert os.listdir(place) == ["mux"]


@pytest.mark.root
def test_unlink_own_after_the_drop_is_content_with_what_it_may(place: str, theirs: str) -> None:
    with bound(spec(f"{place}/mux")) as in_roots, bound(spec(f"{theirs}/auth", uid=SOMEBODY, gid=SOMEBODY)) as in_theirs:

        def work() -> None:
            unlink_own(in_roots)
            unlink_own(in_theirs)

        as_somebody(work)
        assert os.path.exists(f"{place}/mux")
        assert not os.path.exists(f"{theirs}/auth")


def test_a6_a_directory_in_which_everybody_can_replace_the_socket_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    spec = ListenerSpec(str(tmp_path / "mux"), os.geteuid(), os.getegid(), 0o660)
    for attempt in (bind, check):
        with pytest.raises(ListenError, match="chmod o-w"):
            attempt(spec)
    assert not os.listdir(tmp_path)
