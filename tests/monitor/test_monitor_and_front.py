"""Monitor and front as two processes: what each is, what neither can do to the other, and how they end (rules A1, A2, A5)."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saslauthd_py.control import client
from tests.interop.daemon import PATIENCE, Daemon, Site, environment, front_of, listener, site_of
from tests.interop.mux import NO, OK, exchange
from tests.monitor.monitored import program, undated

pytestmark = pytest.mark.root


@pytest.fixture
def site() -> Iterator[Site]:
    with site_of("alice") as site:
        yield site


def ask(path: Path, secret: bytes = b"pw1") -> bytes:
    return exchange(path, b"".join(len(field).to_bytes(2, "big") + field for field in (b"alice", secret, b"smtp", b"")))


def started(site: Site, *, monitor: str = "", front: str = "") -> Daemon:
    daemon = Daemon(site.configuration, program(monitor, front))
    daemon.start()
    return daemon


def status(number: int) -> dict[str, str]:
    return dict(re.findall(r"^(\w+):\t(.*)$", Path(f"/proc/{number}/status").read_text(), re.MULTILINE))


def test_a1_the_monitor_is_root_and_has_neither_trio_nor_what_parses_bytes_from_outside(site: Site) -> None:
    told = (
        "import saslauthd_py.monitor.process as process\n"
        "run = process._Monitor.run\n"
        "def told(self, *arguments):\n"
        "    print('MODULES', *sorted(sys.modules), file=sys.stderr, flush=True)\n"
        "    return run(self, *arguments)\n"
        "process._Monitor.run = told\n"
    )
    daemon = started(site, monitor=told)
    assert ask(site.mux) == OK
    assert status(daemon.pid)["Uid"].split() == ["0"] * 4
    assert client.status(str(site.control), PATIENCE)["monitor_pid"] == daemon.pid
    assert len(os.listdir(f"/proc/{daemon.pid}/task")) == 1
    daemon.stop()
    (line,) = [line for line in daemon.log() if line.startswith("MODULES")]
    modules = set(line.split())
    assert "saslauthd_py.monitor.process" in modules
    parsers = {"saslauthd_py.wire.saslauthd", "saslauthd_py.wire.pwcheck", "saslauthd_py.front", "saslauthd_py.app", "saslauthd_py.store"}
    assert not modules & ({"trio", "ldap3", "sqlite3", "asyncio"} | parsers)


def test_a2_the_front_has_nothing_of_root_and_nothing_inherited(site: Site) -> None:
    daemon = started(site)
    front = daemon.front
    assert front != daemon.pid
    found = status(front)
    assert found["Uid"].split() == ["65534"] * 4
    assert found["Groups"].strip() == ""
    assert {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0000000000000000"}
    assert found["NoNewPrivs"] == "1"
    arguments = Path(f"/proc/{front}/cmdline").read_bytes().split(b"\0")
    assert arguments[1] == b"-I"
    assert os.stat(f"/proc/{front}/environ").st_uid == 0, "not dumpable"
    variables = {line.split(b"=")[0] for line in Path(f"/proc/{front}/environ").read_bytes().split(b"\0") if line}
    assert b"PYTHONPATH" not in variables
    monitors = {os.readlink(f"/proc/{daemon.pid}/fd/{number}") for number in os.listdir(f"/proc/{daemon.pid}/fd")}
    assert os.path.realpath(f"/proc/{front}/fd/3") not in monitors
    daemon.stop()


def test_a1_from_inside_the_front_root_s_things_are_out_of_reach(site: Site) -> None:
    closed = site.directory / "closed"
    closed.mkdir(0o700)
    probe = (
        "import os, signal, socket\n"
        "import saslauthd_py.app.daemon as app\n"
        "ready = app.Notifier.ready\n"
        "def attempt(name, what):\n"
        "    try:\n"
        "        what()\n"
        "    except OSError as error:\n"
        "        import errno\n"
        "        print('PROBE', name, errno.errorcode[error.errno], file=sys.stderr, flush=True)\n"
        "    else:\n"
        "        print('PROBE', name, 'DONE', file=sys.stderr, flush=True)\n"
        "def probed(self, text=''):\n"
        "    attempt('shadow', lambda: open('/etc/shadow'))\n"
        f"    attempt('bind', lambda: socket.socket(socket.AF_UNIX).bind('{closed}/mux'))\n"
        f"    attempt('list', lambda: os.listdir('{closed}'))\n"
        "    attempt('kill', lambda: os.kill(os.getppid(), signal.SIGTERM))\n"
        "    attempt('uid', lambda: os.setuid(0))\n"
        "    attempt('gid', lambda: os.setgid(0))\n"
        "    attempt('chown', lambda: os.chown('/', 0, 0))\n"
        "    attempt('nice', lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 5))\n"
        "    attempt('memory', lambda: open(f'/proc/{os.getppid()}/mem', 'rb'))\n"
        "    return ready(self, text)\n"
        "app.Notifier.ready = probed\n"
    )
    daemon = started(site, front=probe)
    assert ask(site.mux) == OK
    daemon.stop()
    found = dict(line.split()[1:] for line in daemon.log() if line.startswith("PROBE"))
    assert found == {
        "shadow": "EACCES",
        "bind": "EACCES",
        "list": "EACCES",
        "kill": "EPERM",
        "uid": "EPERM",
        "gid": "EPERM",
        "chown": "EPERM",
        "nice": "EPERM",
        "memory": "EACCES",
    }


def test_a5_the_front_ends_with_the_monitor(site: Site) -> None:
    daemon = started(site)
    front = os.pidfd_open(daemon.front)
    try:
        daemon.kill()  # returns when nobody holds its standard error any more: not the front either
        assert select.select([front], [], [], PATIENCE)[0]
    finally:
        os.close(front)
    with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(site.mux))
    daemon.start()
    assert ask(site.mux) == OK
    daemon.stop()


def test_a5_a_front_that_is_frozen_ends_with_the_monitor_too(site: Site) -> None:
    daemon = started(site)
    os.kill(daemon.front, signal.SIGSTOP)
    daemon.kill()
    with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(site.mux))


def test_a5_the_monitor_ends_with_the_front_and_says_so(site: Site) -> None:
    daemon = started(site)
    os.kill(daemon.front, signal.SIGSEGV)
    assert daemon._ended() == 75
    assert undated(daemon.log()[-1]) == "saslauthd-py: the front was ended by signal 11 (SIGSEGV), and the daemon with it"
    assert not site.mux.exists()


def test_a_front_that_does_not_stop_is_killed(site: Site) -> None:
    daemon = started(site, monitor="import saslauthd_py.monitor.process as process; process.DRAIN_MARGIN = -7.5\n")
    os.kill(daemon.front, signal.SIGSTOP)
    daemon._signal(signal.SIGTERM)
    assert daemon._ended() == 75
    assert any("the front does not end; it is killed" in line for line in daemon.log())


def test_sockets_in_a_directory_of_root_s_are_taken_away_at_the_stop(site: Site) -> None:
    directory = site.directory / "run"
    directory.mkdir(0o755)
    site.configure([listener(directory / "mux"), listener(directory / "other")])
    daemon = started(site)
    assert ask(directory / "mux") == OK
    daemon.stop()
    assert list(directory.iterdir()) == []


def test_a6_a_socket_in_a_directory_of_another_user_is_that_user_s(site: Site) -> None:
    directory = site.directory / "private"
    directory.mkdir(0o700)
    os.chown(directory, 65534, 65534)
    site.configure([listener(directory / "mux")])
    daemon = started(site)
    found = os.stat(directory / "mux")
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (65534, 0o600)
    assert ask(directory / "mux") == OK
    daemon.stop()
    assert list(directory.iterdir()) == []


def test_a4_a_changed_byte_of_what_the_front_says_ends_nobody(site: Site) -> None:
    garble = (
        "import saslauthd_py.app.monitor_link as link\n"
        "from saslauthd_py.wire.monitor import End, encode\n"
        "serving = link.MonitorLink.serving\n"
        "def garbled(self):\n"
        "    for frame in (encode(End(0, 1)), encode(link.Serving())):\n"
        "        for at in range(len(frame)):\n"
        "            changed = bytearray(frame)\n"
        "            changed[at] ^= 0x41\n"
        "            self._channel.send(changed)\n"
        "    self._channel.send(bytes(20000))\n"
        "    self._channel.send(encode(link.Begin()))\n"
        "    serving(self)\n"
        "link.MonitorLink.serving = garbled\n"
    )
    daemon = started(site, front=garble)
    assert ask(site.mux) == OK
    daemon.wait_for_line("a frame from the front is ignored: Begin is none of its own")
    ignored = sum("a frame from the front is ignored" in line for line in daemon.log())
    assert ignored == 14 + 8 + 2
    assert ask(site.mux) == OK
    daemon.stop()


@pytest.mark.parametrize("place", ["Configuration", "Listening", "Begin"])
def test_a4_a_changed_byte_of_what_the_monitor_says_keeps_the_daemon_from_starting(place: str, site: Site) -> None:
    garble = (
        "import saslauthd_py.monitor.channel as channel\n"
        "encode = channel.encode\n"
        "def garbled(frame):\n"
        "    whole = bytearray(encode(frame))\n"
        f"    if type(frame).__name__ == '{place}':\n"
        "        whole[1] ^= 0x41\n"
        "    return bytes(whole)\n"
        "channel.encode = garbled\n"
    )
    done = subprocess.run(
        [*program(garble), "serve", "--config", str(site.configuration)],
        env=environment(), cwd="/", capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert undated(line).startswith("saslauthd-py: nothing usable came from the monitor: ")
    assert not site.mux.exists()


def test_a_front_that_cannot_be_executed_is_one_line(site: Site) -> None:
    hidden = site.directory / "hidden"
    hidden.mkdir(0o700)
    (hidden / "python3").symlink_to(sys.executable)
    done = subprocess.run(
        [*program(f"sys.executable = '{hidden}/python3'\n"), "serve", "--config", str(site.configuration)],
        env=environment(), cwd="/", capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert undated(line) == (
        f"saslauthd-py: {hidden}/python3: nobody cannot run it: Permission denied; install saslauthd-py where every user can read it"
    )


def test_a_front_that_the_loader_refuses_has_had_its_say(site: Site) -> None:
    loader = "import os; os.write(2, b'error while loading shared libraries: libpython3\\n'); os._exit(127)"
    refused = program(f"import saslauthd_py.monitor.front as front\nfront._ENTRY = {loader!r}\n")
    done = subprocess.run(
        [*refused, "serve", "--config", str(site.configuration)],
        env=environment(), cwd="/", capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (75, "error while loading shared libraries: libpython3\n")


def test_a3_a_configuration_that_others_can_change_is_not_root_s(site: Site) -> None:
    os.chown(site.configuration, 65534, -1)
    done = subprocess.run(
        [sys.executable, "-m", "saslauthd_py", "serve", "--config", str(site.configuration)],
        env=environment(), cwd="/", capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    assert (
        undated(done.stderr)
        == f"saslauthd-py: {site.configuration}: others than root can change what root would do: chown root, chmod go-w\n"
    )


def test_the_front_goes_by_the_very_text_that_the_monitor_has_read(site: Site) -> None:
    swap = (
        "import saslauthd_py.monitor.process as process, os\n"
        "tend = process._tend\n"
        "def swapped(*arguments):\n"
        f"    os.rename('{site.configuration}', '{site.configuration}.away')\n"
        "    return tend(*arguments)\n"
        "process._tend = swapped\n"
    )
    site.configuration.chmod(0o600)  # the front could not read it anyway
    daemon = started(site, monitor=swap)
    assert ask(site.mux) == OK
    assert ask(site.mux, b"pw2") == NO
    assert front_of(daemon.pid) != daemon.pid
    daemon.stop()


@pytest.mark.parametrize("kind", ["pam", "shadow", "getpwent"])
def test_without_root_a_backend_that_needs_it_is_a_configuration_error(kind: str, site: Site) -> None:
    site.configure([f'[[listen]]\nprotocol = "saslauthd"\npath = "{site.directory}/mux"\n'])
    text = site.configuration.read_text().replace('[backend.users]\ntype = "store"', f'[backend.users]\ntype = "{kind}"')
    site.configuration.write_text(re.sub(r'(?m)^path = "[^"]*users.db"$', "", text).replace('realm = "*"', 'realm = ""'))
    os.chown(site.directory, 65534, 65534)
    nobody: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}
    for words in (["serve"], ["serve", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "saslauthd_py", *words, "--config", str(site.configuration)],
            env=environment(), cwd="/", capture_output=True, text=True, timeout=PATIENCE, check=False, **nobody,
        )  # fmt: skip
        assert done.returncode == 78, done.stderr
        (line,) = done.stderr.splitlines()
        assert f"backend.users: {kind} needs workers that run as root, and only a daemon that root starts has them" in line
