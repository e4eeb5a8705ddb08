"""The daemon with real PAM in a machine of its own: a module that crashes, hangs or leaks costs its own call, and nothing else (A4)."""

from __future__ import annotations

import json
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.daemon import PATIENCE, Daemon, children_of, searchable
from tests.interop.mux import NO, OK, exchange
from tests.interop.pam_machine import UNIX, PamMachine, hashed, module, pam_machine
from tests.interop.waiting import until
from tests.monitor.monitored import Site, program

pytestmark = [pytest.mark.root, pytest.mark.peer("cc", "unshare")]

CLOSED = b""
UNRULY = ("segfault", "exit", "abort", "hang", "hang-deaf", "print", "leak", "leak-descriptors", "close-descriptors", "child")


@pytest.fixture(scope="module")
def below() -> Iterator[Path]:
    with searchable() as directory:
        yield directory


@pytest.fixture(scope="module")
def machine(below: Path) -> Iterator[PamMachine]:
    with pam_machine(below) as machine:
        machine.service("smtp", UNIX.replace("pam_unix.so\n", "pam_unix.so nodelay\n", 1))
        machine.account("alice", hashed("pw1"))
        unruly = module("pam_unruly", below)
        for how in UNRULY:
            lines = f"auth required {unruly} {how} for=mallory\nauth required pam_permit.so\naccount required pam_permit.so\n"
            machine.service(how, lines)
        yield machine


@contextmanager
def serving(machine: PamMachine, workers: int = 2, keys: str = "", monitor: str = "", front: str = "") -> Iterator[tuple[Site, Daemon]]:
    """The daemon in that machine, with PAM for every name; at the end it must stop as asked."""
    with tempfile.TemporaryDirectory(dir=machine.directory, prefix="site-") as directory:
        os.chmod(directory, 0o755)  # noqa: S103 - as above
        site = Site(Path(directory))
        site.configure(workers, keys)
        text = site.configuration.read_text()
        services = json.dumps(["smtp", "carddav", "slow", *UNRULY])
        site.configuration.write_text(re.sub(r"(?m)^services = .*$", f"services = {services}", text))
        daemon = Daemon(site.configuration, [*machine.prefix, *program(monitor, front)])
        daemon.start()
        try:
            yield site, daemon
        finally:
            if daemon.running:
                daemon.stop()


def ask(site: Site, login: str = "alice", *, secret: str = "pw1", service: str = "smtp") -> bytes:  # noqa: S107 - a sample
    fields = (login.encode(), secret.encode(), service.encode(), b"")
    return exchange(site.mux, b"".join(len(field).to_bytes(2, "big") + field for field in fields))


def workers_of(daemon: Daemon) -> set[int]:
    return children_of(daemon.pid) - {daemon.front}


@pytest.fixture(scope="module")
def running(machine: PamMachine) -> Iterator[tuple[Site, Daemon]]:
    with serving(machine) as both:
        yield both


def test_right_and_wrong_and_unknown(running: tuple[Site, Daemon]) -> None:
    site, daemon = running
    assert ask(site) == OK
    assert ask(site, secret="pw2") == NO
    assert ask(site, "nobody-here") == NO
    assert ask(site, "root") == NO
    daemon.wait_for_line("accepted", "user=alice", "backend=system")
    daemon.wait_for_line("rejected", "user=alice", "reason=wrong-secret")
    daemon.wait_for_line("rejected", "user=nobody-here", "reason=unknown-user")


@pytest.mark.parametrize("how", ["segfault", "exit", "abort", "close-descriptors"])
def test_a4_a_module_that_ends_its_process_costs_one_request(how: str, running: tuple[Site, Daemon]) -> None:
    site, daemon = running
    for _ in range(3):
        before = len(daemon.log())
        assert ask(site, "mallory", service=how) == CLOSED
        assert ask(site, "alice", service=how) == OK
        assert ask(site) == OK
        until(lambda seen=before: any("unavailable" in line for line in daemon.log()[seen:]), "the line")  # type: ignore[misc]  # its default is bound here
        (line,) = [line for line in daemon.log()[before:] if "unavailable" in line]
        assert "user=mallory" in line
        assert "the worker of this call ended in it" in line


@pytest.mark.parametrize("how", ["hang", "hang-deaf"])
def test_a1_a_module_that_hangs_is_killed_at_the_deadline_and_the_next_call_is_answered(how: str, machine: PamMachine) -> None:
    with serving(machine, keys="serial = true") as (site, daemon):
        (worker,) = workers_of(daemon)
        began = time.monotonic()
        assert ask(site, "mallory", service=how) == CLOSED
        assert 1.9 < time.monotonic() - began < 1.9 + PATIENCE
        assert ask(site) == OK
        assert workers_of(daemon).isdisjoint({worker})
        until(lambda: not group_lives(worker), "the end of the worker and of what it left behind")
        daemon.wait_for_line("unavailable", "user=mallory", "no answer within 2 s")


def test_d9_a_call_that_is_cut_off_at_the_deadline_counts_as_a_guess(machine: PamMachine) -> None:
    """A stack that lets a wrong secret wait for longer than we do, and a right one not, would be free to guess at."""
    stack = f"auth sufficient pam_unix.so nodelay\nauth required {module('pam_unruly', machine.directory.parent)} hang\n"
    machine.service("slow", f"{stack}account required pam_unix.so\n")
    with serving(machine) as (site, daemon):
        text = site.configuration.read_text()
        site.configuration.write_text(text.replace('per_account = "off"', 'per_account = "2/10m"'))
        daemon.hang_up()
        daemon.wait_for_line("reloaded: configuration 2 serves")
        for secret in ("pw2", "pw3", "pw4"):
            assert ask(site, secret=secret, service="slow") == CLOSED
        daemon.wait_for_line("unavailable", "user=alice", "no answer within 2 s", count=2)
        daemon.wait_for_line("user=alice", "admission: too many failed logins of this account")
        assert ask(site, service="slow") == CLOSED


def test_a4_a_command_in_a_session_of_its_own_ends_with_the_call(machine: PamMachine) -> None:
    noted = machine.directory / "pid"
    command = machine.directory / "command"
    command.write_text(f"#!/bin/sh\necho $$ >{noted}\nsleep 600\n")
    command.chmod(0o755)
    machine.service("slow", f"auth required pam_exec.so quiet {command}\naccount required pam_permit.so\n")
    with serving(machine) as (site, daemon):
        assert ask(site, service="slow") == CLOSED
        first = int(noted.read_text())
        until(lambda: not group_lives(first), "the end of the command and of what it started")
        client = threading.Thread(target=ask, args=(site,), kwargs={"service": "slow"})
        client.start()
        until(lambda: noted.read_text().strip() not in ("", str(first)), "another command")
        daemon.stop()
        client.join()
        assert not group_lives(int(noted.read_text()))


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_good_login_does_not_wait_for_a_module_that_hangs(machine: PamMachine) -> None:
    with serving(machine, workers=2) as (site, _), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(site.mux))
        client.sendall(b"".join(len(field).to_bytes(2, "big") + field for field in (b"mallory", b"x", b"hang", b"")))
        for _ in range(5):
            assert ask(site) == OK
        client.settimeout(PATIENCE)
        assert client.recv(10) == CLOSED


def test_a4_what_a_module_prints_reaches_nobody(running: tuple[Site, Daemon]) -> None:
    site, daemon = running
    assert ask(site, "mallory", service="print") == OK
    assert ask(site) == OK
    assert not any("not for anybody" in line for line in daemon.log())


@pytest.mark.parametrize(("how", "calls"), [("leak", 30), ("leak-descriptors", 40)])
def test_a4_a_module_that_leaks_costs_no_request(how: str, calls: int, machine: PamMachine) -> None:
    with serving(machine, keys="serial = true") as (site, daemon):
        seen = workers_of(daemon)
        for _ in range(calls):
            assert ask(site, "mallory", service=how) == OK
        until(lambda: bool(workers_of(daemon)), "a worker")
        assert workers_of(daemon).isdisjoint(seen), "none of them lives long"


def test_a4_a_child_that_a_module_left_ends_with_its_worker(machine: PamMachine) -> None:
    with serving(machine, keys="serial = true\nrecycle_after = 1") as (site, daemon):
        (worker,) = workers_of(daemon)
        assert ask(site, "mallory", service="child") == OK
        until(lambda: not group_lives(worker), "the end of the child that the module left")
        assert ask(site) == OK
        assert daemon.running


def test_a4_no_call_is_lost_while_workers_are_replaced(machine: PamMachine) -> None:
    with serving(machine, keys="recycle_after = 3") as (site, daemon):
        for number in range(60):
            assert ask(site, secret="pw1" if number % 2 else "pw2") == (OK if number % 2 else NO)
        daemon.stop()
        assert any("stopped; since the start: accepted=30 rejected=30 unavailable=0" in line for line in daemon.log())


def test_a_service_without_a_file_is_an_outage_that_names_it(running: tuple[Site, Daemon]) -> None:
    site, daemon = running
    assert ask(site, service="carddav") == CLOSED
    daemon.wait_for_line("unavailable", "no file /etc/pam.d/carddav")


def test_a1_from_inside_the_front_no_worker_can_be_touched(machine: PamMachine) -> None:
    probe = (
        "import errno, os, signal\n"
        "import saslauthd_py.app.daemon as app\n"
        "ready = app.Notifier.ready\n"
        "def probed(self, text=''):\n"
        "    monitor = os.getppid()\n"
        "    for child in open(f'/proc/{monitor}/task/{monitor}/children').read().split():\n"
        "        if int(child) == os.getpid(): continue\n"
        "        for what in (lambda: os.kill(int(child), signal.SIGKILL), lambda: os.killpg(int(child), signal.SIGTERM),\n"
        "                     lambda: open(f'/proc/{child}/mem', 'rb'), lambda: os.listdir(f'/proc/{child}/fd')):\n"
        "            try: what()\n"
        "            except OSError as error: print('PROBE', errno.errorcode[error.errno], file=sys.stderr, flush=True)\n"
        "            else: print('PROBE DONE', file=sys.stderr, flush=True)\n"
        "    return ready(self, text)\n"
        "app.Notifier.ready = probed\n"
    )
    with serving(machine, front=probe) as (site, daemon):
        assert ask(site) == OK
        said = [line.removeprefix("PROBE ") for line in daemon.log() if line.startswith("PROBE")]
        assert said == ["EPERM", "EPERM", "EACCES", "EACCES"] * 2


def test_a4_a_changed_byte_of_a_frame_with_a_worker_costs_that_worker_only(machine: PamMachine) -> None:
    garble = (
        "import saslauthd_py.monitor.channel as channel\n"
        "encode, changed = channel.encode, []\n"
        "def garbled(frame):\n"
        "    whole = bytearray(encode(frame))\n"
        "    if type(frame).__name__ == 'Working' and frame.generation > 2 and len(changed) < len(whole):\n"
        "        whole[len(changed)] ^= 0x41\n"
        "        changed.append(True)\n"
        "    return bytes(whole)\n"
        "channel.encode = garbled\n"
    )
    with serving(machine, workers=2, monitor=garble) as (site, daemon):
        for number in range(3):  # each end makes the monitor hand over another worker
            assert ask(site, "mallory", service="segfault") == CLOSED
            assert ask(site) == OK, number
        daemon.wait_for_line("a frame from the monitor is ignored", count=16)
        for _ in range(4):
            assert ask(site) == OK
        assert len(workers_of(daemon)) == 2


@pytest.mark.parametrize("kind", ["shadow", "getpwent"])
def test_other_databases_are_asked_by_workers_too(machine: PamMachine, kind: str) -> None:
    if kind == "getpwent":
        machine.account("alice", hashed("pw1"), shadowed=False)
    with tempfile.TemporaryDirectory(dir=machine.directory, prefix="site-") as directory:
        os.chmod(directory, 0o755)  # noqa: S103 - as above
        site = Site(Path(directory))
        site.configure()
        text = site.configuration.read_text().replace('type = "pam"', f'type = "{kind}"')
        site.configuration.write_text(re.sub(r"(?m)^services = .*$", "", text))
        daemon = Daemon(site.configuration, [*machine.prefix, *program()])
        daemon.start()
        try:
            assert ask(site) == OK
            assert ask(site, secret="pw2") == NO
            assert ask(site, "nobody-here") == NO
            daemon.wait_for_line("rejected", "user=nobody-here", "reason=unknown-user")
        finally:
            daemon.stop()
            machine.account("alice", hashed("pw1"))
