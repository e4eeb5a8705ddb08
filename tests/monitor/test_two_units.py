"""`monitor` and `front` as two processes that nobody forked from each other: how they meet, serve and end (rules A1, A2, A5, H1)."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from saslauthd_py.control import client
from tests.interop.daemon import PATIENCE, USER, Site, environment, listener, site_of
from tests.interop.mux import NO, OK, ask
from tests.monitor.monitored import undated

pytestmark = [pytest.mark.root, pytest.mark.peer("unshare")]

PROGRAM = (sys.executable, "-m", "saslauthd_py")
UNPRIVILEGED = ("setpriv", "--reuid", USER, "--regid", "nogroup", "--clear-groups", "--no-new-privs", "--bounding-set=-all")


@dataclass(slots=True)
class Unit:
    """One half, and the service manager that it tells when it is ready."""

    process: subprocess.Popen[str]
    manager: socket.socket
    told: str = field(default="")

    def until_ready(self) -> None:
        assert "READY=1" in self.manager.recv(4096).decode().splitlines()

    def ended(self) -> int:
        """Wait for its end: the exit code, and in `told` what it said."""
        self.told = self.process.communicate(timeout=PATIENCE)[1]
        return self.process.returncode


@contextmanager
def unit(site: Site, *command: str) -> Iterator[Unit]:
    """A half that is started; killed at the end if it is still there."""
    directory = Path(tempfile.mkdtemp(dir=site.directory))
    directory.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE)
        manager.bind(f"{directory}/notify")
        os.chmod(f"{directory}/notify", 0o666)  # noqa: S103 - as systemd's own
        variables = environment(NOTIFY_SOCKET=f"{directory}/notify")
        with subprocess.Popen(command, env=variables, cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield Unit(process, manager)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
    shutil.rmtree(directory)


def meeting(site: Site) -> str:
    return f"{site.directory}/meet/monitor"


@contextmanager
def monitored(site: Site) -> Iterator[Unit]:
    with unit(site, *PROGRAM, "monitor", "--config", str(site.configuration), "--socket", meeting(site)) as monitor:
        monitor.until_ready()
        yield monitor


@contextmanager
def fronted(site: Site) -> Iterator[Unit]:
    with unit(site, *UNPRIVILEGED, *PROGRAM, "front", "--socket", meeting(site)) as front:
        front.until_ready()
        yield front


def front_fails(site: Site, *prefix: str, path: str = "") -> tuple[int, str]:
    """A front that does not come to serve: its exit code and its line."""
    done = subprocess.run(
        [*prefix, *PROGRAM, "front", "--socket", path or meeting(site)],
        env=environment(), cwd="/", capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.fixture
def site() -> Iterator[Site]:
    """With a configuration, a user, and a directory of root's for the two to meet in."""
    with site_of("alice") as site:
        (site.directory / "meet").mkdir(mode=0o755)
        yield site


@pytest.fixture
def halves(site: Site) -> Iterator[tuple[Unit, Unit]]:
    """Monitor and front, ready."""
    with monitored(site) as monitor, fronted(site) as front:
        yield monitor, front


def test_a1_a_front_that_nobody_forked_serves(site: Site, halves: tuple[Unit, Unit]) -> None:
    assert [ask(site.mux, "alice", "pw1"), ask(site.mux, "alice", "pw2")] == [OK, NO]
    status = Path(f"/proc/{halves[1].process.pid}/status").read_text()
    assert "CapBnd:\t0000000000000000\n" in status
    assert os.stat(f"/proc/{halves[1].process.pid}/environ").st_uid == 0, "not dumpable"


def test_status_names_the_monitor_that_the_front_has_met(site: Site, halves: tuple[Unit, Unit]) -> None:
    told = client.status(str(site.control), PATIENCE)
    assert (told["monitor_pid"], told["pid"]) == tuple(half.process.pid for half in halves)


def test_h1_reload_by_the_command(site: Site, halves: tuple[Unit, Unit]) -> None:
    def reload() -> int:
        command = [*PROGRAM, "reload", "--config", str(site.configuration)]
        return subprocess.run(command, env=environment(), cwd="/", capture_output=True, timeout=PATIENCE, check=False).returncode

    other = site.directory / "other"
    site.configure([listener(site.mux), listener(other)])
    assert reload() == 0
    assert [ask(site.mux, "alice", "pw1"), ask(other, "alice", "pw1")] == [OK, OK]
    good = site.configuration.read_text()
    site.configuration.write_text(f"{good}[wrong]\n")
    assert reload() == 78
    assert ask(other, "alice", "pw1") == OK
    site.configuration.write_text(good)
    assert all(half.process.poll() is None for half in halves)


def test_a5_the_front_is_killed_and_the_monitor_ends(site: Site, halves: tuple[Unit, Unit]) -> None:
    monitor, front = halves
    front.process.kill()
    assert monitor.ended() == 75
    assert undated(monitor.told) == "saslauthd-py: the front has gone, and the monitor with it\n"
    assert not site.mux.exists()
    assert not Path(meeting(site)).exists()


def test_a5_the_monitor_is_killed_and_the_front_ends(site: Site, halves: tuple[Unit, Unit]) -> None:
    monitor, front = halves
    monitor.process.kill()
    assert front.ended() == 75
    assert "the monitor is gone" in front.told
    with monitored(site), fronted(site):  # what the killed one left behind is in nobody's way
        assert ask(site.mux, "alice", "pw1") == OK


def test_stopped_in_order_the_front_ends_well_and_the_monitor_after_it(site: Site, halves: tuple[Unit, Unit]) -> None:
    monitor, front = halves
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(site.mux))
        front.process.send_signal(signal.SIGTERM)
        assert front.ended() == 0
    assert "stopped; since the start" in front.told
    assert monitor.ended() == 75
    assert not site.mux.exists()


def test_stopped_first_the_monitor_ends_well_and_the_front_is_not_left_alone(site: Site, halves: tuple[Unit, Unit]) -> None:
    monitor, front = halves
    monitor.process.send_signal(signal.SIGTERM)
    assert monitor.ended() == 0
    assert front.ended() == 75
    assert not site.mux.exists()


def test_a_monitor_that_no_front_has_met_stops_as_asked(site: Site) -> None:
    with monitored(site) as monitor:
        monitor.process.send_signal(signal.SIGTERM)
        assert monitor.ended() == 0
    assert not site.mux.exists()
    assert not Path(meeting(site)).exists()


def test_a1_another_user_is_refused_where_they_meet(site: Site) -> None:
    other = ("setpriv", "--reuid", "daemon", "--regid", "daemon", "--clear-groups")
    with monitored(site) as monitor:
        found = os.stat(meeting(site))
        assert (found.st_mode & 0o7777, found.st_uid) == (0o600, 65534)
        code, line = front_fails(site, *other)
        assert (code, undated(line)) == (77, f"saslauthd-py: {meeting(site)}: only the daemon's user may meet the monitor there\n")
        os.chmod(meeting(site), 0o666)  # noqa: S103 - were it open to all
        code, line = front_fails(site, *other)
        assert code != 0
        with fronted(site):
            assert ask(site.mux, "alice", "pw1") == OK
        assert monitor.ended() == 75
    assert undated(monitor.told, "WARNING").startswith("saslauthd-py: user id 1 is not the front's: refused\n")


def test_a1_a_second_front_finds_nobody(site: Site, halves: tuple[Unit, Unit]) -> None:
    code, line = front_fails(site, *UNPRIVILEGED)
    assert code == 69
    assert undated(line).startswith(f"saslauthd-py: {meeting(site)}: no monitor is there (")
    assert ask(site.mux, "alice", "pw1") == OK


def test_a1_a_front_goes_to_no_monitor_that_is_not_root(site: Site) -> None:
    path = site.directory / "false"
    program = (
        f"import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind('{path}'); s.listen(); "
        "print('there', flush=True); s.accept()[0].recv(1)"
    )
    site.directory.chmod(0o777)
    with subprocess.Popen(
        [sys.executable, "-c", program], user=65534, group=65534, extra_groups=[], stdout=subprocess.PIPE, text=True
    ) as false:
        assert false.stdout is not None
        assert false.stdout.readline() == "there\n"
        code, line = front_fails(site, *UNPRIVILEGED, path=str(path))
    assert (code, undated(line)) == (77, f"saslauthd-py: {path}: who answers there is not root, so it is no monitor\n")


def test_a2_a_front_of_root_s_and_a_monitor_that_is_not_are_refused(site: Site) -> None:
    assert front_fails(site)[0] == 77
    done = subprocess.run(
        [*UNPRIVILEGED, *PROGRAM, "monitor", "--config", str(site.configuration)],
        env=environment(), cwd="/", capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (77, 1)
    assert front_fails(site, *UNPRIVILEGED)[0] == 69, "no monitor at all"
