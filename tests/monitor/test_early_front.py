"""The front that is started before its configuration is checked: whose it is, and that nobody hears of it where the check fails."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saslauthd_py import privileges
from saslauthd_py.config.settings import ServerSettings
from saslauthd_py.monitor import early, front
from saslauthd_py.monitor.early import Early
from saslauthd_py.privileges import Ids
from tests.interop.daemon import environment

pytestmark = pytest.mark.root

NOBODY, GAMES = privileges.account("nobody", "nogroup"), privileges.account("games")
GOOD = '[server]\nuser = "nobody"\ngroup = "nogroup"\n'


@pytest.fixture(autouse=True)
def waiting_front(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for its channel's end without the imports of a real one."""
    monkeypatch.setattr(front, "_ENTRY", f"import socket; c = socket.socket(fileno={front.CHANNEL}); c.send(b'there'); c.recv(1)")


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "saslauthd-py.toml"
    path.write_text(GOOD)
    path.chmod(0o640)
    return path


def uid_of(pid: int) -> int:
    return os.stat(f"/proc/{pid}").st_uid


@contextmanager
def taken(one: Early, ids: Ids) -> Iterator[tuple[int, socket.socket]]:
    pid, channel = one.take(ids)
    with channel:
        assert channel.recv(100) == b"there"
        yield pid, channel
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_the_usual_user_is_that_of_the_settings() -> None:
    assert (ServerSettings().user, ServerSettings().group) == (early._USUAL, early._USUAL)


def test_it_is_the_configured_user_s_and_is_handed_over_once(configuration: Path) -> None:
    with early.begun(str(configuration)) as one:
        pid = one._pid
        with taken(one, NOBODY) as (same, channel):
            assert same == pid
            assert uid_of(pid) == NOBODY.uid
            channel.send(b"x")
            assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT) is not None, "it heard what was sent"


def test_it_is_ended_where_nobody_takes_it(configuration: Path) -> None:
    with early.begun(str(configuration)) as one:
        pid = one._pid
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_its_end_is_seen_where_the_starter_ignores_ends_of_children(configuration: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with early.begun(str(configuration)) as one:
            assert one._ours is not None
            os.kill(one._pid, signal.SIGKILL)
            while one._ours.recv(100):
                pass
            assert uid_of(one._pid) is not None, "nobody else has its number"
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_ctrl_c_is_not_heard_between_fork_and_execve(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be raised in the front, and there in what called the monitor."""
    fork, told_later = os.fork, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

    def interrupted() -> int:
        pid = fork()
        if pid == 0:
            if not told_later <= signal.pthread_sigmask(signal.SIG_BLOCK, ()):
                os._exit(1)
            os.kill(os.getpid(), signal.SIGINT)
        return pid

    monkeypatch.setattr(os, "fork", interrupted)
    with early.begun(str(configuration)) as one, taken(one, NOBODY):
        assert not told_later & signal.pthread_sigmask(signal.SIG_BLOCK, ()), "the monitor hears of them"


def test_a2_another_user_s_is_ended_and_one_of_the_right_user_started(configuration: Path) -> None:
    with early.begun(str(configuration)) as one:
        pid = one._pid
        with taken(one, GAMES) as (other, _):
            assert other != pid
            assert uid_of(other) == GAMES.uid
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


@pytest.mark.parametrize(
    "text",
    [
        '[server]\nuser = "root"\n',
        '[server]\nuser = "nobody"\ngroup = "root"\n',
        '[server]\nuser = "no-such-user"\n',
        "server = 1\n",
        "[",
        "\xff",
    ],
)
def test_what_is_wrong_starts_nobody(configuration: Path, text: str) -> None:
    configuration.write_text(text, "latin-1")
    assert early._ids(str(configuration)) is None


def test_a3_a_file_that_others_can_change_starts_nobody(configuration: Path) -> None:
    assert early._ids(str(configuration)) == NOBODY
    for mode in (0o660, 0o642):
        configuration.chmod(mode)
        assert early._ids(str(configuration)) is None
    configuration.chmod(0o640)
    os.chown(configuration, NOBODY.uid, -1)
    assert early._ids(str(configuration)) is None


def test_what_is_no_file_starts_nobody(tmp_path: Path) -> None:
    assert [early._ids(str(tmp_path / name)) for name in ("none", ".")] == [None, None]


def test_pipe_is_left_to_the_check_for_it_can_be_read_once() -> None:
    ours, theirs = os.pipe()
    with open(ours, "rb") as pipe:
        with open(theirs, "w") as end:
            end.write(GOOD)
        assert early._ids(f"/dev/fd/{pipe.fileno()}") is None
        assert pipe.read().decode() == GOOD


def test_a_wrong_configuration_ends_the_front_without_a_word(configuration: Path) -> None:
    """The front has told its pid, and only then the configuration is checked."""
    entry = "import os, socket; channel = socket.socket(fileno=3); channel.send(b'%d' % os.getpid()); channel.recv(1); os.write(2, b'told')"
    configuration.write_text(f"{GOOD}[wrong]\n")
    done = subprocess.run(
        [sys.executable, "-c", SERVE.format(entry=entry), str(configuration)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    *lines, pid = done.stderr.splitlines()
    assert any("wrong" in line for line in lines)
    assert all(str(configuration) in line for line in lines), "the front said something"
    assert not Path(f"/proc/{int(pid)}").exists()


SERVE = """
import sys
from saslauthd_py.monitor import early, front
from saslauthd_py.cli.main import main
front._ENTRY = {entry!r}
heard, start = [], early._start
def starting(ids):
    pid, ours = start(ids)
    heard.append(ours.recv(100).decode())
    return pid, ours
early._start = starting
code = main(["serve", "--config", sys.argv[1]])
print(*heard, file=sys.stderr)
sys.exit(code)
"""
