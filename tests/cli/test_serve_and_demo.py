"""`serve --check` and `demo`: the real daemon, started by the real command."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saslauthd_py.cli import demo, demo_site
from saslauthd_py.cli.exits import CommandFailed
from saslauthd_py.cli.socket_client import Answer
from saslauthd_py.wire.saslauthd import OK
from tests.cli import dovecot_servers
from tests.cli.commands import PATIENCE, forked, invoke
from tests.cli.dovecot_servers import Conduct
from tests.cli.peers import answering
from tests.cli.sites import OWNER, Site


def check(site: Site, *more: str) -> tuple[int, str, str]:
    return forked("serve", "--check", "--config", site.configuration, *more)


def test_check_opens_what_a_start_would_and_binds_nothing(site: Site) -> None:
    site.add("alice")
    assert check(site) == (0, f"{site.configuration}: ok, checked as {OWNER.pw_name}\n", "")
    assert not os.path.lexists(site.mux)
    assert {path.stat().st_uid for path in site.store.parent.iterdir()} == {OWNER.pw_uid}


@pytest.mark.parametrize("flags", [["--check"], []])
def test_a_start_that_cannot_be_is_one_line_with_the_code_of_its_cause(site: Site, flags: list[str]) -> None:
    outcome = forked("serve", *flags, "--config", site.configuration)
    assert (outcome.code, outcome.out) == (66, "")
    assert str(site.store.parent) in outcome.error
    site.add("alice")
    site.store.chmod(0o400)
    outcome = forked("serve", *flags, "--config", site.configuration)
    assert (outcome.code, outcome.out) == (77, "")
    assert f"mode 0400 keeps its owner from writing; run: chmod 0600 {site.store}" in outcome.error
    site.store.chmod(0o600)
    site.store.write_bytes(b"no database" * 100)
    os.utime(site.store, (0, 0))
    outcome = forked("serve", *flags, "--config", site.configuration)
    assert (outcome.code, outcome.out) == (75, "")
    assert "restore it from a backup" in outcome.error
    site.configure("[servr]")
    outcome = forked("serve", *flags, "--config", site.configuration)
    assert (outcome.code, outcome.out) == (78, "")
    assert "did you mean" in outcome.error
    assert forked("serve", *flags, "--config", f"{site.directory}/none").code == 66


class Demo:
    """A demo in a process of its own that serves on."""

    def __init__(self, command: list[str], user: str | None) -> None:
        self.process = subprocess.Popen(
            [*command, "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            user=user,
            extra_groups=[] if user else None,
        )
        self._watch = threading.Timer(PATIENCE, self.process.kill)
        self._watch.start()
        assert self.process.stdout is not None
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("Serving until Ctrl-C"):
                break

    def told(self, pattern: str) -> str:
        (found,) = (match[1] for line in self.lines if (match := re.search(pattern, line)))
        return str(found)

    @property
    def socket(self) -> str:
        return self.told("saslauthd_path: (.*)")

    @property
    def daemon(self) -> int:
        return int(self.told("daemon +process ([0-9]+)"))

    def ended(self) -> tuple[int, str]:
        """The exit code, and all of standard error."""
        try:
            return self.process.returncode or self.process.wait(), self.process.communicate()[1]
        finally:
            self._watch.cancel()


@contextmanager
def serving(command: list[str], user: str | None = None) -> Iterator[Demo]:
    running = Demo(command, user)
    try:
        yield running
    finally:
        running.process.terminate()
        running.ended()


def once(command: list[str], *flags: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "demo", "--once", *flags],
        capture_output=True,
        text=True,
        cwd="/",
        user=user,
        extra_groups=[] if user else None,
        timeout=2 * PATIENCE,
        check=False,
    )


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def test_once_proves_both_answers_and_leaves_nothing(installed: list[str], site: Site) -> None:
    directory = site.directory / "demo"
    done = once(installed, "--dir", str(directory))
    assert done.returncode == 0, done.stderr
    assert f"configuration   {directory}/saslauthd-py.toml\n" in done.stdout
    assert re.search(r"^user            demo@example\.org, password \S{16}$", done.stdout, re.MULTILINE)
    ways = ("dovecot PLAIN at auth", "dovecot SCRAM-SHA-256 at auth", "saslauthd at mux", "pwcheck at pwcheck")
    for way, socket in (way.split(" at ") for way in ways):
        assert re.search(rf"^right password  OK after [0-9]+ ms, {way} at {directory}/{socket}$", done.stdout, re.MULTILINE)
        assert re.search(rf"^wrong password  NO after [0-9]+ ms, {way} at {directory}/{socket}$", done.stdout, re.MULTILINE)
    assert "smtpd_sasl" not in done.stdout, "there is no socket any more to point Postfix at"
    assert done.stdout.endswith("Without --once a demo serves on, and says how to point Postfix at it.\n")
    assert "accepted user=demo@example.org" in done.stderr
    assert "rejected user=demo@example.org" in done.stderr
    assert "SIGTERM: draining" in done.stderr  # ended as a service manager would, not killed
    assert not directory.exists()


@pytest.mark.root
def test_once_without_root(installed: list[str]) -> None:
    done = once(installed, user=OWNER.pw_name)
    assert done.returncode == 0, done.stderr
    assert f", as {OWNER.pw_name}\n" in done.stdout
    assert not Path(re.search(r"configuration +(.*)/", done.stdout)[1]).exists()  # type: ignore[index]  # no match is an error of its own


def test_once_gives_an_empty_directory_back_as_it_was(installed: list[str], site: Site) -> None:
    directory = site.directory / "demo"
    directory.mkdir(0o700)
    assert once(installed, "--dir", str(directory)).returncode == 0
    assert list(directory.iterdir()) == []
    assert directory.stat().st_mode & 0o7777 == 0o700


def test_a_directory_that_holds_anything_is_64_and_untouched(site: Site) -> None:
    outcome = invoke("demo", "--once", "--dir", str(site.directory))
    assert (outcome.code, outcome.out) == (64, "")
    assert outcome.error.startswith(f"{site.directory} is not empty")
    assert [path.name for path in site.directory.iterdir()] == ["saslauthd-py.toml"]


def test_a_directory_below_nothing_is_66() -> None:
    assert invoke("demo", "--once", "--dir", "/nonexistent/demo").code == 66


def test_a_demo_that_cannot_start_is_75_and_leaves_nothing(installed: list[str], site: Site) -> None:
    directory = site.directory / ("x" * 100)  # its socket's path is too long for a socket
    done = once(installed, "--dir", str(directory))
    assert (done.returncode, done.stdout) == (75, "")
    assert "107" in done.stderr
    assert "Traceback" not in done.stderr
    assert not directory.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_on_until_it_is_ended(installed: list[str], number: signal.Signals) -> None:
    with serving(installed) as running:
        password = running.told("user .* password (.*)")
        outcome = invoke("test", "Demo@Example.org", "--socket", running.socket, "--password-stdin", "--json", stdin=password.encode())
        assert json.loads(outcome.out)["verdict"] == "OK"
        daemon, socket = running.daemon, running.socket
        assert running.told("smtpd_sasl_path = (.*/auth)") == f"{os.path.dirname(socket)}/auth"
        types = [line for line in running.lines if "smtpd_sasl_type" in line]
        assert types == ["    smtpd_sasl_type = dovecot", "    smtpd_sasl_type = cyrus"]  # what is better comes first
        assert alive(daemon)
        running.process.send_signal(number)
        code, log = running.ended()
    assert (code, "Traceback" in log) == (0, False)
    assert not alive(daemon)
    assert not os.path.exists(os.path.dirname(socket))


@pytest.mark.parametrize(
    ("expected", "conduct", "line"),
    [
        (Answer.ACCEPTED, Conduct(), "dovecot PLAIN at .*/auth: a password: NO instead of OK"),
        (Answer.REJECTED, Conduct(believes=True), "dovecot PLAIN at .*/auth: a password: OK instead of NO"),
        (Answer.REJECTED, Conduct(unavailable="close"), "dovecot PLAIN at .*/auth: a password: closed without an answer instead of NO"),
        (Answer.REJECTED, Conduct(mechanisms=("PLAIN",)), "dovecot SCRAM-SHA-256: a password: .*/auth: SCRAM-SHA-256 is not offered"),
        (Answer.REJECTED, Conduct(), "saslauthd at .*/mux: a password: OK instead of NO"),
    ],
)
def test_a_proof_that_does_not_hold_is_75(tmp_path: Path, expected: Answer, conduct: Conduct, line: str) -> None:
    with (
        answering(tmp_path, OK),
        dovecot_servers.serving(tmp_path / "auth", conduct),
        pytest.raises(CommandFailed, match=line) as failed,
    ):
        list(demo._proved(demo_site.Site(str(tmp_path)), "a password", "secret", expected))
    assert failed.value.code == 75


def test_password_is_in_no_command_line_and_a_killed_daemon_ends_the_demo_with_75(installed: list[str]) -> None:
    with serving(installed) as running:
        password = running.told("user .* password (.*)").encode()
        for pid in (running.process.pid, running.daemon):
            for name in ("cmdline", "environ"):
                assert password not in Path(f"/proc/{pid}/{name}").read_bytes()
        directory = os.path.dirname(running.socket)
        os.kill(running.daemon, signal.SIGKILL)
        code, log = running.ended()
    assert code == 75
    assert log.endswith("saslauthd-py: the daemon ended with status -9: see the log above\n")
    assert not os.path.exists(directory)
