"""What the bench starts and holds: both daemons, in namespaces where they need them, clients that stall, and floods."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.bench import dovecot, ours, processes, stock, stock_dovecot
from tests.bench.asking import Outcome
from tests.bench.bench import MD5CRYPT, REALM, SECRET, SHA512CRYPT, Daemon
from tests.bench.failures import BenchError
from tests.bench.flood import _GOOD, _others, _Site
from tests.bench.generator import Connections, DovecotGenerator, Generator, Login, login
from tests.bench.stalling import Behaviour, stalled
from tests.bench.system import machine
from tests.interop.pam_machine import PamMachine
from tests.interop.waiting import until


@pytest.fixture(scope="module")
def directory() -> Iterator[str]:
    """One that every user can search."""
    with tempfile.TemporaryDirectory(prefix="saslauthd-py-") as made:
        os.chmod(made, 0o755)  # noqa: S103 - the daemon's user finds its way through it
        yield made


def start(name: str, made: PamMachine) -> AbstractContextManager[Daemon]:
    return stock.started_in(made) if name == "stock" else ours.started(ours.install_in(made, "pam", ours.UNDELAYED + ours.UNLIMITED))


@pytest.mark.root
@pytest.mark.peer("unshare", "saslauthd")
@pytest.mark.parametrize("name", ["ours", "stock"])
def test_each_wrong_secret_of_a_flood_is_seen_by_pam(directory: str, name: str) -> None:
    others = _others(4)
    with machine(directory, dict.fromkeys([_GOOD, *others], SHA512CRYPT), "nodelay") as made:
        with start(name, made) as daemon:
            site = _Site(daemon, made)
            assert [answer.outcome for answer in site.quiet().good] == [Outcome.OK] * 50
            for names in ([_GOOD] * 4, others, [_GOOD] * 3):
                trial = site.flood(names)
                assert trial.seen
                assert [answer.outcome for answer in trial.wrong] == [Outcome.NO] * len(names)
                assert {answer.outcome for answer in trial.good} == {Outcome.OK}
            pids = daemon.pids()
            assert len(pids) >= 3
        assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


@pytest.mark.root
@pytest.mark.peer("unshare")
def test_flood_that_pam_has_not_seen_is_not_taken_for_one(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.interop.waiting.PATIENCE", 0.1)
    with machine(directory, dict.fromkeys([_GOOD, "other"], SHA512CRYPT), "nodelay") as made:
        known = f"auth [success=1 default=ignore] pam_succeed_if.so quiet user = {_GOOD}\nauth requisite pam_deny.so\n"
        made.service("smtp", f"{known}auth required pam_unix.so nodelay\naccount required pam_unix.so\n")
        with start("ours", made) as daemon:
            trial = _Site(daemon, made).flood(["other"])
    assert trial.wrong[0].outcome is Outcome.NO
    assert not trial.seen


@pytest.mark.root
@pytest.mark.peer("unshare")
def test_front_and_monitor_are_told_apart(directory: str) -> None:
    with machine(directory, {}) as made, ours.started(ours.install_in(made, "shadow")) as daemon:
        status = Path(f"/proc/{daemon.front}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert daemon.monitor == daemon.process.pid != daemon.front
        assert {daemon.monitor, daemon.front} < set(daemon.pids())
        assert 0 < processes.memory((daemon.front,)).resident < processes.memory(daemon.pids()).resident


@pytest.mark.root
@pytest.mark.peer("cc", "saslauthd")
def test_stock_counts_its_misses_and_leaves_nothing_behind(tmp_path: Path) -> None:
    generator = Generator(str(tmp_path))
    names = [f"bench{number:05d}" for number in range(30)]
    requests = generator.requests(login(name, SECRET, REALM) for name in names)
    with stock.started(str(tmp_path), names, MD5CRYPT) as daemon:
        pids = daemon.pids()
        before = processes.cpu(pids)
        assert generator.run(daemon.socket, 1, 30, requests).ok == 30
        assert daemon.misses() == 30
        assert generator.run(daemon.socket, 4, 3000, requests).ok == 3000
        assert daemon.misses() == 0
        assert processes.cpu(pids) > before
        assert processes.memory(pids).resident > processes.memory(pids).proportional > 0
        assert len(pids) == 5
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


STORED = [(f"{{PLAIN}}{SECRET}", True), (f"{{SHA512-CRYPT}}{SHA512CRYPT}", False)]
"""As both daemons find the bench's secret in a passwd-file, and whether ours remembers it."""


def accounts(directory: str, stored: str, *, cached: bool) -> tuple[list[str], str, str]:
    """30 users, a file of them in a new directory, and that directory."""
    place = tempfile.mkdtemp(dir=directory)
    os.chmod(place, 0o755)  # noqa: S103 - both daemons' users find their way through it
    users = [f"bench{number:05d}@{REALM}" for number in range(30)]
    return users, dovecot.PasswdFile(f"{place}/x", stored, cached=cached).write(users, stock_dovecot.group()), place


@pytest.mark.root
@pytest.mark.peer("cc", "doveadm", "unshare")
@pytest.mark.parametrize(("stored", "cached"), STORED)
def test_dovecot_knows_the_accounts_and_leaves_nothing_behind(directory: str, stored: str, cached: bool) -> None:
    users, path, place = accounts(directory, stored, cached=cached)
    generator = DovecotGenerator(place)
    good, both = (
        generator.requests(Login(user, secret, "198.18.0.1") for user in users for secret in secrets)
        for secrets in ((SECRET,), (SECRET, "wrong"))
    )
    with stock_dovecot.started(f"{place}/dovecot", path) as daemon:
        load = generator.run(daemon.socket, Connections(3, 4), 60, good)
        assert (load.ok, load.strays) == (60, 0)
        load = generator.run(daemon.socket, Connections(2, 30), 60, both)  # a wrong one is held for 2 s, all of them at once
        assert (load.ok, load.no, load.strays) == (30, 30, 0)
        pids = daemon.pids()
        assert {processes.name(pid) for pid in pids} >= {"dovecot", "auth"}
        assert processes.memory(pids).resident > processes.memory(pids).proportional > 0
        assert daemon.misses() is None
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


@pytest.mark.root
@pytest.mark.peer("cc", "doveadm", "unshare")
@pytest.mark.parametrize(("stored", "cached"), STORED)
def test_ours_knows_the_accounts_of_dovecots_file_and_counts_its_misses(directory: str, stored: str, cached: bool) -> None:
    users, path, place = accounts(directory, stored, cached=cached)
    generator = DovecotGenerator(place)
    requests = generator.requests(Login(user, SECRET, "198.18.0.1") for user in users)
    with ours.started(ours.install_dovecot(f"{place}/ours", path, cached=cached)) as daemon:
        log = Path(daemon.directory, "log")
        for misses in (30, 0):
            load = generator.run(daemon.socket, Connections(3, 4), 30, requests)
            assert (load.ok, load.strays) == (30, 0)
            until(lambda: log.read_text().count(" accepted ") == 30, "30 lines in the log")  # some milliseconds after the answers
            assert daemon.misses() == (misses if cached else None)


@pytest.mark.root
def test_a_dovecot_that_is_not_known_is_not_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dovecot").write_text("#!/bin/sh\necho '2.4.1-4 (7d8c0e5759)'\n")
    (tmp_path / "dovecot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BenchError, match=r"Dovecot 2\.4\.1-4"), stock_dovecot.started(str(tmp_path / "x"), "/passwd"):
        pass


def test_stalling_clients_hold_their_connections_and_come_again(tmp_path: Path) -> None:
    path = str(tmp_path / "mux")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)
        with stalled(path, (Behaviour(1, b"half"), Behaviour(1, b"", b"slow"), Behaviour(1, b""))) as stall:
            clients = [listener.accept()[0] for _ in range(3)]
            assert stall.opened == 3
            assert clients[0].recv(100) == b"half"
            assert clients[1].recv(1) == b"s"
            clients[2].setblocking(False)
            with pytest.raises(BlockingIOError):
                clients[2].recv(100)
            clients[2].close()
            clients[2] = listener.accept()[0]
        assert stall.opened == 4
        for client in clients:
            with client:
                client.setblocking(True)
                while client.recv(100):
                    pass
