"""Reload: a new configuration counts whole or not at all, and nobody notices but by what it says (rule H1)."""

from __future__ import annotations

import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.daemon import PATIENCE, Daemon, Site, listener, site_of
from tests.interop.mux import NO, OK, exchange
from tests.interop.waiting import until


@pytest.fixture
def site() -> Iterator[Site]:
    with site_of("alice@example.test") as site:
        yield site


def request(login: bytes = b"alice", secret: bytes = b"pw1", service: bytes = b"smtp", realm: bytes = b"example.test") -> bytes:
    return b"".join(len(field).to_bytes(2, "big") + field for field in (login, secret, service, realm))


def ask(path: Path, **fields: bytes) -> bytes:
    return exchange(path, request(**fields))


def reload(daemon: Daemon, configuration: int) -> None:
    """SIGHUP, until the log says that this one serves."""
    daemon.hang_up()
    daemon.wait_for_line(f"reloaded: configuration {configuration} serves")


def change(site: Site, old: str, new: str) -> None:
    text = site.configuration.read_text()
    assert old in text
    site.configuration.write_text(text.replace(old, new, 1))


def test_h1_listeners_are_added_kept_and_taken_away(site: Site) -> None:
    other = site.directory / "other"
    with site.serving() as daemon:
        inode = site.mux.stat().st_ino
        site.configure([listener(site.mux), listener(other)])
        reload(daemon, 2)
        assert ask(site.mux) == OK
        assert ask(other) == OK
        assert site.mux.stat().st_ino == inode
        site.configure([listener(other)])
        reload(daemon, 3)
        assert not site.mux.exists()
        assert ask(other) == OK
    assert not other.exists()


def test_h1_a_wrong_file_changes_nothing_and_is_one_error_with_its_place(site: Site) -> None:
    with site.serving() as daemon:
        change(site, 'delay = "0s"', 'delay = "9s"\ndelayed = true')
        daemon.hang_up()
        daemon.wait_for_line("not reloaded, configuration 1 serves on", f"{site.configuration}:", "failure.delay: must be at most 4s")
        daemon.wait_for_line(f"{site.configuration}:", "failure.delayed: unknown key")
        assert ask(site.mux) == OK
        assert ask(site.mux, secret=b"pw2") == NO
        change(site, 'delay = "9s"\ndelayed = true', 'delay = "0s"')
        reload(daemon, 2)
        assert ask(site.mux) == OK


def test_h1_what_cannot_be_opened_leaves_the_configuration_of_before(site: Site) -> None:
    with site.serving() as daemon:
        change(site, str(site.store), str(site.directory / "nowhere" / "users.db"))
        daemon.hang_up()
        daemon.wait_for_line("not reloaded, configuration 1 serves on: backend users:", "nowhere")
        assert ask(site.mux) == OK


def test_h1_a_listener_that_cannot_be_bound_leaves_the_others_as_they_were(site: Site) -> None:
    new = site.directory / "new"
    with socket.socket(socket.AF_UNIX) as taken, site.serving() as daemon:
        taken.bind(str(site.directory / "taken"))
        taken.listen()
        inode = site.mux.stat().st_ino
        site.configure([listener(site.mux), listener(new), listener(site.directory / "taken")])
        daemon.hang_up()
        daemon.wait_for_line("not reloaded, configuration 1 serves on", "taken", "another process")
        assert not new.exists()
        assert site.mux.stat().st_ino == inode
        assert ask(site.mux) == OK


def test_h1_a_listener_whose_mode_changes_is_replaced_and_the_old_one_serves_who_looked_it_up_before(site: Site) -> None:
    with site.serving() as daemon, socket.socket(socket.AF_UNIX) as early:
        inode = site.mux.stat().st_ino
        early.settimeout(PATIENCE)
        early.connect(str(site.mux))  # connected, and silent
        change(site, 'mode = "0600"', 'mode = "0666"')
        reload(daemon, 2)
        found = site.mux.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_ino != inode) == (0o666, True)
        assert ask(site.mux) == OK
        early.sendall(request())
        assert early.recv(10) == OK
        assert [path.name for path in site.directory.iterdir() if path.name.startswith(".mux")] == []


def test_h1_a_request_finishes_on_the_configuration_that_it_began_with(site: Site) -> None:
    change(site, 'delay = "0s"', 'delay = "2s"')
    with site.serving() as daemon, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(site.mux))
        began = time.monotonic()
        client.sendall(request(secret=b"wrong"))
        daemon.wait_for_line("rejected", "wrong-secret")
        change(site, 'delay = "2s"', 'delay = "0s"')
        reload(daemon, 2)
        assert client.recv(10) == NO
        assert time.monotonic() - began > 1.7, "held back as it was when it was asked"
        began = time.monotonic()
        assert ask(site.mux, secret=b"wrong") == NO
        daemon.wait_for_line("rejected", "wrong-secret", count=2)


def test_h1_half_a_request_is_finished_by_the_new_configuration(site: Site) -> None:
    with site.serving() as daemon, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(site.mux))
        client.sendall(request()[:9])
        reload(daemon, 2)
        client.sendall(request()[9:])
        assert client.recv(10) == OK


def test_h1_the_cache_starts_empty(site: Site) -> None:
    with site.serving() as daemon:
        for _ in range(2):
            assert ask(site.mux) == OK
        daemon.wait_for_line("cached=yes", count=1)
        reload(daemon, 2)
        assert ask(site.mux) == OK
        daemon.wait_for_line("accepted", count=3)
        assert sum("cached=yes" in line for line in daemon.log()) == 1


def test_h1_guesses_are_counted_on_and_tickets_kept(site: Site) -> None:
    site.configuration.write_text(site.configuration.read_text() + '\n[admission]\nper_account = "2/10m"\n')
    with site.serving() as daemon:
        assert ask(site.mux) == OK
        for guess in (b"a", b"b"):
            assert ask(site.mux, secret=guess) == NO
        assert ask(site.mux, secret=b"c") == b""
        change(site, 'delay = "0s"', 'delay = "100ms"')
        reload(daemon, 2)
        assert ask(site.mux, secret=b"d") == b""
        assert ask(site.mux) == OK
        change(site, 'per_account = "2/10m"', 'per_account = "5/10m"')
        reload(daemon, 3)
        assert ask(site.mux, secret=b"e") == NO


def test_log_file_is_opened_anew_and_another_log_is_taken(site: Site) -> None:
    logs = [site.directory / name for name in ("log", "log.1", "other")]
    for log in logs[::2]:
        log.touch()
        if os.geteuid() == 0:
            os.chown(log, 65534, 65534)
    change(site, 'to = "stderr"', f'to = "file:{logs[0]}"')
    with site.serving() as daemon:
        assert ask(site.mux) == OK
        until(lambda: "accepted" in logs[0].read_text(), "the line")
        logs[0].rename(logs[1])
        logs[0].touch()
        if os.geteuid() == 0:
            os.chown(logs[0], 65534, 65534)
        daemon.hang_up()
        until(lambda: "reloaded: configuration 2 serves" in logs[0].read_text(), "the line in the new file")
        assert ask(site.mux, secret=b"pw2") == NO
        until(lambda: "rejected" in logs[0].read_text(), "the line in the new file")
        assert "rejected" not in logs[1].read_text()
        change(site, str(logs[0]), str(logs[2]))
        daemon.hang_up()
        until(lambda: "reloaded: configuration 3 serves" in logs[2].read_text(), "the line in the other file")


@pytest.mark.root
def test_another_user_needs_a_restart(site: Site) -> None:
    with site.serving() as daemon:
        change(site, 'user = "nobody"\ngroup = "nogroup"\n\n[log]', 'user = "daemon"\ngroup = "daemon"\n\n[log]')
        daemon.hang_up()
        daemon.wait_for_line("not reloaded, configuration 1 serves on", "[server] user and group are changed by a restart only")
        assert ask(site.mux) == OK


@pytest.mark.root
def test_h1_a_daemon_without_a_monitor_reloads_too(site: Site) -> None:
    os.chown(site.directory, 65534, 65534)
    text = re.sub(r"(?m)^(user|group) = .*\n", "", site.configuration.read_text())
    site.configuration.write_text(text)
    daemon = Daemon(site.configuration, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *Daemon.PROGRAM])
    daemon.start()
    try:
        assert daemon.front == daemon.pid
        assert exchange(site.mux, request()) == OK
        other = site.directory / "other"
        site.configuration.write_text(text.replace("/mux", "/other"))
        reload(daemon, 2)
        assert exchange(other, request()) == OK
        assert not site.mux.exists()
        site.configuration.write_text(text.replace('mode = "0600"', 'mode = "0666"').replace("/mux", "/other"))
        reload(daemon, 3)
        assert stat.S_IMODE(other.stat().st_mode) == 0o666
        assert exchange(other, request()) == OK
        site.configuration.write_text(text.replace("[server]", "[sever]"))
        daemon.hang_up()
        daemon.wait_for_line("not reloaded, configuration 3 serves on", 'did you mean "server"?')
        assert exchange(other, request()) == OK
    finally:
        daemon.stop()
    assert not other.exists()


def test_h1_reloads_that_are_asked_for_faster_than_they_are_done_are_all_done(site: Site) -> None:
    with site.serving() as daemon:
        for _ in range(20):
            daemon.hang_up()
        daemon.wait_for_line("reloaded: configuration 2 serves")
        assert ask(site.mux) == OK
        reload_to = max(int(found[1]) for line in daemon.log() if (found := re.search(r"configuration (\d+) serves", line)))
        assert reload_to >= 2


def test_h1_descriptors_stay_as_they_were(site: Site) -> None:
    with site.serving() as daemon:
        assert ask(site.mux) == OK
        before = descriptors(daemon)
        for number in range(2, 12):
            reload(daemon, number)
            assert ask(site.mux) == OK
        # four more, since SQLite keeps some for a while: its locks are those of a process
        until(lambda: descriptors(daemon) <= before + 4, f"about {before} descriptors")


def descriptors(daemon: Daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.front}/fd")) + len(os.listdir(f"/proc/{daemon.pid}/fd"))
