"""Reload at the wrong moment: before READY, in a stop, after one that was refused; nothing is lost, nothing is left (rule H1)."""

from __future__ import annotations

import itertools
import os
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from saslauthd_py.control import client
from saslauthd_py.secret import Secret
from saslauthd_py.trace import Step
from saslauthd_py.wire.saslauthd import Request as Login
from tests.interop.daemon import PATIENCE, USER, Daemon, children_of, listener, site_of
from tests.interop.daemon import Site as StoreSite
from tests.interop.mux import NO, OK, exchange
from tests.interop.waiting import until
from tests.monitor.monitored import Site, new_site, program

REQUEST = b"".join(len(field).to_bytes(2, "big") + field for field in (b"alice", b"pw1", b"smtp", b"example.test"))
WORKER = b"".join(len(field).to_bytes(2, "big") + field for field in (b"alice", b"pw1", b"smtp", b""))

HANG_UP_AT_ONCE = """
import os, signal, saslauthd_py.monitor.process as process
run = process._Monitor.run
def early(self, wake):
    os.kill(os.getpid(), signal.SIGHUP)
    run(self, wake)
process._Monitor.run = early
"""

TERMINATED_IN = """
import os, signal, saslauthd_py.monitor.offers as offers
def terminated(before):
    def call(self, *arguments):
        if {first}:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(self.front, signal.SIGTERM)
        before(self, *arguments)
        if not {first}:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(self.front, signal.SIGTERM)
    return call
offers.Offers.{step} = terminated(offers.Offers.{step})
import saslauthd_py.monitor.process as process
run = process._Monitor.run
def noted(self, wake):
    self.offers.front = self._front
    run(self, wake)
process._Monitor.run = noted
"""

SLOW = """
import trio
from saslauthd_py.backends.store import StoreBackend
verify = StoreBackend.verify_password
async def slow(self, attempt):
    await trio.sleep({seconds})
    return await verify(self, attempt)
StoreBackend.verify_password = slow
"""

FULL = """
import saslauthd_py.monitor.offers as offers
made = offers.Offers.__init__
def far(self, *arguments):
    made(self, *arguments)
    self._next_pool = 65533
offers.Offers.__init__ = far
"""

STRAY = """
import saslauthd_py.monitor.offers as offers
from saslauthd_py.monitor.channel import pair
fill = offers.Slots.fill
def with_a_stray(self):
    if self.first == 2 and not len(self):
        mine, theirs = pair()
        offers.send(CHANNEL[0], offers.Working(0, 0, 99), theirs.fileno())
    return fill(self)
offers.Slots.fill = with_a_stray
hand_over, CHANNEL = offers.Served.hand_over, []
def noted(self, path):
    CHANNEL[:] = [self.channel]
    hand_over(self, path)
offers.Served.hand_over = noted
"""


@pytest.fixture
def site() -> Iterator[StoreSite]:
    with site_of("alice@example.test") as site:
        yield site


@pytest.fixture
def worker_site() -> Iterator[Site]:
    with new_site() as site:
        site.configure()
        change(site.configuration, 'type = "pam"', 'type = "shadow"')  # there is no alice: its workers say no on every machine
        yield site


def hang_up(daemon: Daemon, configuration: int) -> None:
    daemon.hang_up()
    daemon.wait_for_line(f"reloaded: configuration {configuration} serves")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def connected(path: Path) -> socket.socket:
    early = socket.socket(socket.AF_UNIX)
    early.settimeout(PATIENCE)
    early.connect(str(path))
    return early


@pytest.mark.root
def test_e9_h1_sighup_before_ready_takes_no_listener_away(site: StoreSite) -> None:
    daemon = Daemon(site.configuration, program(HANG_UP_AT_ONCE))
    daemon.start()
    try:
        daemon.wait_for_line("reloaded: configuration 2 serves")
        assert exchange(site.mux, REQUEST) == OK
    finally:
        daemon.stop()


@pytest.mark.root
@pytest.mark.parametrize(("step", "first"), [("reload", False), ("opened", True), ("opened", False), ("serving", True)])
def test_h1_a_stop_in_a_reload_drains_and_leaves_no_name_behind(step: str, first: bool, site: StoreSite) -> None:
    code = TERMINATED_IN.format(step=step, first=first)
    if step == "serving":  # that of the start is not the one
        code = code.replace(
            "    def call(self, *arguments):\n", "    def call(self, *arguments):\n        if self._offered is None: return\n"
        )
    daemon = Daemon(site.configuration, program(code))
    daemon.start()
    site.configure([listener(site.mux), listener(site.directory / "new")])
    daemon.hang_up()
    assert daemon.ended() == 0, daemon.log()
    assert {path.name for path in site.directory.iterdir()}.isdisjoint({"mux", "new", "control"})


def test_h1_a_file_that_is_wrong_after_one_that_cannot_be_opened_is_told_too(site: StoreSite) -> None:
    good = site.configuration.read_text()
    with site.serving() as daemon:
        change(site.configuration, str(site.store), "/nowhere/users.db")
        daemon.hang_up()
        daemon.wait_for_line("not reloaded", "nowhere")
        site.configuration.write_text(good.replace("[server]", "[sever]"))
        daemon.hang_up()
        daemon.wait_for_line("not reloaded", "sever: unknown table")
        site.configuration.write_text(good)
        hang_up(daemon, 2)
        assert exchange(site.mux, REQUEST) == OK


@pytest.mark.root
def test_h1_a_stop_soon_after_a_listener_was_taken_away_answers_who_has_asked(site: StoreSite) -> None:
    other = site.directory / "other"
    site.configure([listener(site.mux), listener(other)])
    daemon = Daemon(site.configuration, program(front=SLOW.format(seconds=3)))
    daemon.start()
    site.configure([listener(site.mux)])
    hang_up(daemon, 2)
    with connected(site.mux) as asking:
        asking.sendall(REQUEST)
        until(lambda: client.status(str(site.control))["backends"] != [], "the status")
        daemon.stop()
        assert asking.recv(10) == OK


@pytest.mark.root
def test_h1_a_log_is_written_until_the_last_request_that_has_it_is_answered(site: StoreSite) -> None:
    logs = [site.directory / f"log-{number}" for number in range(3)]
    for log in logs:
        log.touch()
        os.chown(log, 65534, 65534)
    change(site.configuration, 'to = "stderr"', f'to = "file:{logs[0]}"')
    daemon = Daemon(site.configuration, program(front=SLOW.format(seconds=3)))
    daemon.start()
    try:
        with connected(site.mux) as asking:
            asking.sendall(REQUEST)
            until(lambda: client.status(str(site.control))["connections"]["open"] == 1, "the request")  # type: ignore[call-overload,index]  # JSON
            for before, after in itertools.pairwise(logs):
                change(site.configuration, str(before), str(after))
                client.reload(str(site.control))
            assert asking.recv(10) == OK
            until(lambda: "accepted user=alice@example.test" in logs[0].read_text(), "the line of the request")
        until(lambda: not any(str(log) in _open_files(daemon.front) for log in logs[:2]), "the end of the logs of before")
    finally:
        daemon.stop()


def _open_files(pid: int) -> set[str]:
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            continue
    return found


@pytest.mark.root
def test_flush_is_heard_by_a_configuration_that_is_being_left(site: StoreSite) -> None:
    with site.serving() as daemon, connected(site.mux) as early:
        assert [exchange(site.mux, REQUEST) for _ in range(2)] == [OK, OK]
        change(site.configuration, 'mode = "0600"', 'mode = "0666"')
        client.reload(str(site.control))
        assert client.flush(str(site.control), "alice@example.test") == 1
        early.sendall(REQUEST)
        assert early.recv(10) == OK
        daemon.wait_for_line("accepted user=alice@example.test", count=3)
        assert sum("cached=yes" in line for line in daemon.log()) == 1


@pytest.mark.root
def test_h1_a_traced_login_ends_on_the_configuration_that_it_began_with(site: StoreSite) -> None:
    daemon = Daemon(site.configuration, program(front=SLOW.format(seconds=2)))
    daemon.start()
    try:
        steps: list[Step] = []
        with ThreadPoolExecutor(1) as one:
            login = Login(b"alice", Secret(b"pw1"), b"smtp", b"example.test")
            verdict = one.submit(client.trace, str(site.control), client.Trace(str(site.mux), login), steps.append)
            until(lambda: any(step.name == "asking" for step in steps), "the question to the backend")
            client.reload(str(site.control))
            assert verdict.result(PATIENCE) == "accepted", steps
    finally:
        daemon.stop()


@pytest.mark.root
def test_h1_who_may_ask_no_more_is_refused_though_he_connected_before(site: StoreSite) -> None:
    with site.serving() as daemon, connected(site.mux) as early:
        change(site.configuration, 'mode = "0600"', f'mode = "0600"\nallow_users = ["{USER}"]')
        client.reload(str(site.control))
        early.sendall(REQUEST)
        assert early.recv(10) == b""
        daemon.wait_for_line("refused", "user id 0 is not in allow_users")


@pytest.mark.root
def test_h1_the_numbers_of_backends_never_outgrow_a_frame(worker_site: Site) -> None:
    text = worker_site.configuration.read_text()
    worker_site.configuration.write_text(text.replace("[[route]]", '[backend.more]\ntype = "shadow"\nworkers = 1\n\n[[route]]'))
    with worker_site.serving(monitor=FULL) as daemon:
        for number in (2, 3):
            hang_up(daemon, number)
            assert exchange(worker_site.mux, WORKER) == NO
            until(lambda: len(_workers(daemon)) == 3, "the end of the workers of before")


@pytest.mark.root
def test_h1_a_worker_of_a_configuration_that_was_left_gets_no_call_of_the_next_one(worker_site: Site) -> None:
    with worker_site.serving(monitor=STRAY) as daemon:
        for number in (2, 3):
            hang_up(daemon, number)
            until(lambda: len(_workers(daemon)) == 2, "the end of the workers of before")
            assert exchange(worker_site.mux, WORKER) == NO


def _workers(daemon: Daemon) -> set[int]:
    return {pid for pid in children_of(daemon.pid) - {daemon.front} if _lives(pid)}


def _lives(pid: int) -> bool:
    try:
        return re.search(r"^State:\t[^Z]", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE) is not None
    except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
        return False
