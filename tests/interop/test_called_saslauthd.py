"""Called as saslauthd, beside the real one: flags, exit codes, what is written where, who keeps whom out."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.interop.called_programs import DAEMON_UID, Machine, link_all, outcome
from tests.interop.daemon import environment
from tests.interop.mux import OK, ask
from tests.interop.pam_machine import UNIX, hashed, pam_machine
from tests.interop.waiting import PATIENCE, until

pytestmark = [pytest.mark.root, pytest.mark.peer("saslauthd", "unshare")]

OURS, ORIGINAL = "ours", "original"


@pytest.fixture
def both(machine: Path) -> Iterator[Machine]:
    with pam_machine(machine) as accounts:
        directory = accounts.directory / "called"
        directory.mkdir(mode=0o755)
        link_all(directory)
        accounts.account("alice", hashed("pw1"))
        made = Machine(accounts, directory)
        made.have_daemon_user()
        yield made


def program(both: Machine, which: str) -> str:
    return both.ours if which == OURS else both.original


def said(both: Machine, name: str, password: str, service: str = "smtp") -> bytes:
    """The word of the answer: what stands behind it is the original's alone."""
    return ask(both.mux, name, password, service)[2:4]


def processes_of(program: str, uid: int) -> list[int]:
    """Those with the program in their command line, and that user for good."""
    found, mark = [], f"\t{uid}"
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            words = (directory / "cmdline").read_bytes().split(b"\0")
            if program.encode() in words and f"\nUid:{mark * 4}\n" in (directory / "status").read_text():
                found.append(int(directory.name))
    return found


@pytest.mark.parametrize(
    ("flags", "original", "ours", "told"),
    [
        pytest.param(["-h"], 0, 0, "usage: saslauthd [options]", id="help"),
        pytest.param(["-v"], 0, 0, "authentication mechanisms: sasldb getpwent kerberos5 pam rimap shadow ldap", id="version"),
        pytest.param(["-v", "-a", "shadow"], 0, 0, "authentication mechanisms: ", id="version wins"),
        pytest.param([], 0, 1, "no authentication mechanism specified", id="no mechanism: the original reports success"),
        pytest.param(["-a", "shadow", "-a", "pam"], 0, 1, "usage: saslauthd", id="two mechanisms: the original reports success"),
        pytest.param(["-a", "shadow", "-x"], 0, 1, "saslauthd: invalid option -- 'x'", id="unknown flag: the original reports success"),
        pytest.param(["-a"], 0, 1, "saslauthd: option requires an argument -- 'a'", id="no argument: the original reports success"),
        pytest.param(["-a", "nope"], 1, 1, ":unknown authentication mechanism: nope", id="unknown mechanism"),
        pytest.param(["-a", "shadow", "-m", "relative"], 1, 1, ":-m requires an absolute pathname", id="relative directory"),
        pytest.param(["-a", "shadow", "-m", "/nonexistent/a/b"], 1, 1, "/nonexistent/a", id="no parent directory"),
        pytest.param(["-a", "shadow", "-n", "-1"], 1, 1, ":invalid number of worker processes defined", id="processes"),
        pytest.param(["-a", "shadow", "-c", "-s", "x"], 1, 1, ":cache size must be positive and non zero", id="cache size"),
        pytest.param(["-a", "shadow", "-c", "-t", "0"], 1, 1, ":cache timeout must be positive", id="cache time"),
        pytest.param(["-a", "rimap"], 1, 1, ":failed to initialize mechanism rimap", id="rimap without its server"),
    ],
)
def test_what_starts_nothing(both: Machine, flags: list[str], original: int, ours: int, told: str) -> None:
    for which, code in ((ORIGINAL, original), (OURS, ours)):
        done = both.start(program(both, which), *flags)
        assert (done.code, done.out) == (code, ""), (which, done.err)
        assert told in done.err, which
        assert not both.mux.exists()


@pytest.mark.parametrize(
    ("flags", "with_realm"),
    [
        pytest.param(["-a", "shadow"], b"OK", id="no more than the mechanism: the realm is dropped"),
        pytest.param(["-crlV", "-aSHADOW", "-n2", "-s", "100", "-t60", "-O", "ignored"], b"NO", id="all in a cluster: the realm is kept"),
        pytest.param(["-n", "0", "-a", "shadow", "operand"], b"OK", id="a process for each login"),
    ],
)
def test_both_serve_by_the_same_flags(both: Machine, flags: list[str], with_realm: bytes) -> None:
    found = {}
    for which in (ORIGINAL, OURS):
        with both.serving(program(both, which), *flags) as pid:
            modes = [stat.S_IMODE(path.stat().st_mode) for path in (both.run_directory, both.mux, both.pid_file)]
            answers = [said(both, name, "pw1") for name in ("alice", "alice@any.example")]
            found[which] = (modes, answers, both.pid_file.read_text() == f"{pid}\n")
            assert Path(f"/proc/{pid}/comm").read_text() == "saslauthd\n"
            assert os.getsid(pid) == pid
        if which == ORIGINAL:  # told to end while its last process starts, it leaves that one's lock
            for path in both.run_directory.iterdir():
                path.unlink(missing_ok=True)
        until(lambda: not list(both.run_directory.iterdir()), f"{which} has left nothing")
    assert found[OURS] == found[ORIGINAL] == ([0o755, 0o777, 0o600], [b"OK", with_realm], True)


@pytest.mark.parametrize("flag", ["-T", "-H"])
def test_flags_of_old_are_taken_with_a_warning(both: Machine, flag: str) -> None:
    flags = ["-a", "shadow", flag, *(["host"] if flag == "-H" else [])]
    assert both.start(both.original, *flags).code == 0, "it shows its usage, and does not run"
    assert not both.mux.exists()
    started = both.start(both.ours, *flags)
    assert (started.code, f":warning: {flag}: " in started.err) == (0, True)
    os.kill(int(both.pid_file.read_text()), signal.SIGTERM)
    until(lambda: not list(both.run_directory.iterdir()), "it has ended")


@pytest.mark.parametrize(("first", "second"), [(OURS, OURS), (ORIGINAL, OURS), (OURS, ORIGINAL)])
def test_two_instances_are_refused(both: Machine, first: str, second: str) -> None:
    """In the foreground too, where the original takes the socket from another one that has detached."""
    code, told = (2, "Another instance of saslauthd is currently running") if second == OURS else (1, "could not lock pid lock file")
    with both.serving(program(both, first), "-a", "shadow"):
        inode = both.mux.stat().st_ino
        for mode in ([], ["-d"]):
            refused = both.start(program(both, second), "-a", "shadow", *mode)
            assert (refused.code, told in refused.err) == (code, True), refused.err
        assert both.mux.stat().st_ino == inode
        assert said(both, "alice", "pw1") == b"OK"


def test_a6_socket_that_somebody_answers_on_is_left_to_them(both: Machine) -> None:
    both.run_directory.mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(both.mux))
        other.listen()
        refused = both.start(both.ours, "-a", "shadow")
        assert refused.code == 1
        assert "answers on" in refused.err
        assert stat.S_ISSOCK(both.mux.stat().st_mode)
    with both.serving(both.ours, "-a", "shadow"):
        assert ask(both.mux, "alice", "pw1") == OK, "one on which nobody answers is replaced"


def test_success_is_reported_by_who_listens_alone(both: Machine) -> None:
    (both.mux / "in the way").mkdir(parents=True)
    refused = both.start(both.ours, "-a", "shadow")
    assert refused.code == 1
    assert "mux is there and is no socket" in refused.err
    assert [path.name for path in both.run_directory.iterdir()] == ["mux"]
    assert both.start(both.original, "-a", "shadow").code == 0


@pytest.mark.parametrize("flag", ["-d", "-f"])
def test_foreground_ends_itself_and_nobody_else(both: Machine, flag: str) -> None:
    """The original kills its whole process group: kill(0, SIGTERM)."""
    words = " ".join(
        ["sleep", "600", "&", "echo", "$!;", both.ours, "-m", str(both.run_directory), "-a", "shadow", flag, "& echo $!; wait $!"]
    )
    command = [*both.prefix, "sh", "-c", words]
    with subprocess.Popen(command, env=environment(), cwd="/", stdout=subprocess.PIPE, text=True, start_new_session=True) as group:
        try:
            assert group.stdout is not None
            bystander, daemon = int(group.stdout.readline()), int(group.stdout.readline())
            until(both.mux.exists, "it listens")
            assert ask(both.mux, "alice", "pw1") == OK
            assert int(both.pid_file.read_text()) == daemon
            os.kill(daemon, signal.SIGTERM)
            assert group.wait(PATIENCE) == 0
            os.kill(bystander, 0)  # raises where it is gone
        finally:
            os.killpg(group.pid, signal.SIGKILL)  # the bystander, and whoever is left when something failed
    assert list(both.run_directory.iterdir()) == []


def test_lines_of_the_log_have_the_originals_shape(both: Machine) -> None:
    for which in (ORIGINAL, OURS):
        with both.serving(program(both, which), "-a", "shadow"):
            assert said(both, "alice@x.example", f"not by {which}", "imap") == b"NO"
    shape = ("<38>", "saslauthd[", "auth failure: [user=alice] [service=imap] [realm=x.example] [mech=shadow] [reason=")
    both.machine.logged(*shape, count=2)


@pytest.mark.parametrize("own", [False, True])
def test_pam_asks_the_file_that_the_original_asked(both: Machine, own: bool) -> None:
    both.machine.service("smtp" if own else "other", UNIX)
    for which in (ORIGINAL, OURS):
        with both.serving(program(both, which), "-a", "pam", "-n", "2"):
            assert [said(both, "alice", "pw1", service) for service in ("smtp", "xmpp")] == [b"OK", b"NO" if own else b"OK"], which


def test_what_is_said_without_a_terminal_is_in_the_syslog(both: Machine) -> None:
    with both.serving(both.ours, "-a", "shadow") as monitor:
        children = Path(f"/proc/{monitor}/task/{monitor}/children").read_text().split()
        (front,) = (pid for pid in children if b"\0-I\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
        (passing_on,) = processes_of(both.ours, DAEMON_UID)
        os.kill(passing_on, signal.SIGTERM)  # as whoever ends all of them at once
        os.kill(int(front), signal.SIGKILL)
        both.machine.logged("saslauthd[", "the front was ended by signal 9", count=1)


def test_flags_stand_in_a_file_that_all_commands_take(both: Machine) -> None:
    with both.serving(both.ours, "-a", "shadow", "-n", "3") as pid:
        file = both.run_directory / "saslauthd-py.toml"
        text = file.read_text()
        assert 'type = "shadow"\nworkers = 3\n' in text
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        command = [*both.prefix, str(both.directory / "saslauthd-py")]
        shown = outcome([*command, "status", "--config", str(file)])
        assert (shown.code, f"monitor {pid}" in shown.out) == (0, True), shown.err
        assert outcome([*command, "reload", "--config", str(file)]).code == 0
        os.kill(pid, signal.SIGHUP)
        assert ask(both.mux, "alice", "pw1") == OK


def test_debians_script_starts_and_stops_it_by_the_readmes_line(both: Machine) -> None:
    (line,) = re.findall(r'^ +(DAEMON=".+")$', (ROOT / "README.md").read_text(), re.MULTILINE)
    line = line.replace("/opt/saslauthd-py/bin/python", sys.executable).replace("/usr/local/sbin/saslauthd", both.ours)
    defaults = both.directory / "default"
    defaults.mkdir()
    keys = f'START=yes\nDESC=x\nNAME=y\nMECHANISMS=shadow\nTHREADS=2\nOPTIONS="-c -m {both.run_directory}"\n{line}\n'
    (defaults / "saslauthd").write_text(keys)
    script = ["sh", "-c", 'mount --bind "$0" /etc/default && exec /etc/init.d/saslauthd "$@"', str(defaults)]

    def done(action: str) -> int:
        return outcome([*both.prefix, *script, action]).code

    assert [done("status"), done("start")] == [3, 0]
    program = outcome([*both.prefix, "readlink", f"/proc/{both.pid_file.read_text().strip()}/exe"]).out.strip()
    if not os.path.exists(program):
        os.kill(int(both.pid_file.read_text()), signal.SIGTERM)
        pytest.skip(f"a chroot from which a program is seen as {program}: start-stop-daemon finds nobody's there, the original's neither")
    assert done("status") == 0
    before = both.pid_file.read_text()
    assert done("start") == done("reload") == 0
    assert both.pid_file.read_text() == before
    assert said(both, "alice", "pw1") == b"OK"
    assert done("restart") == 0
    assert both.pid_file.read_text() != before
    assert said(both, "alice", "pw1") == b"OK"
    assert [done("stop"), done("status")] == [0, 3]
    assert list(both.run_directory.iterdir()) == []


def test_without_its_user_it_says_what_makes_it(both: Machine) -> None:
    refused = outcome([*both.machine.prefix, both.ours, "-a", "shadow", "-m", str(both.run_directory)])
    assert refused.code == 1
    assert 'group = "saslauthd-py": there is no such group; make it with `groupadd --system saslauthd-py`' in refused.err
    refused = outcome([both.ours, "-a", "shadow", "-m", str(both.run_directory)])
    if refused.code != 0:  # this machine may have it
        assert "useradd --system" in refused.err
    assert not both.run_directory.exists()


def test_plain_user_may_start_what_needs_no_root(both: Machine) -> None:
    both.run_directory.mkdir()
    os.chown(both.run_directory, 65534, 65534)
    as_nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", both.ours, "-m", str(both.run_directory)]
    refused = outcome([*both.prefix, *as_nobody, "-a", "shadow"])
    assert refused.code == 1
    assert "shadow needs workers that run as root" in refused.err
    assert not both.mux.exists()
    assert not both.pid_file.exists()
    started = outcome([*both.prefix, *as_nobody, "-a", "rimap", "-O", "127.0.0.1/1"])
    assert started.code == 0, started.err
    pid = int(both.pid_file.read_text())
    assert ask(both.mux, "alice", "pw1") == b"", "nobody listens there: an outage, not a NO"
    os.kill(pid, signal.SIGTERM)
    until(lambda: not list(both.run_directory.iterdir()), "it has ended")
