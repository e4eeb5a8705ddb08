"""A reload while somebody does things to the sockets: spelt otherwise, inherited, taken away, taken over (rules H1, H2, A6)."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from tests.interop.daemon import Daemon, Site, listener, site_of
from tests.interop.mux import OK, exchange

REQUEST = b"".join(len(field).to_bytes(2, "big") + field for field in (b"alice", b"pw1", b"smtp", b"example.test"))

AS_A_SOCKET_UNIT = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind({path!r})
os.chmod({path!r}, 0o666)
listener.listen(8)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)  # it may have had that number before
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "saslauthd_py", *sys.argv[1:]])
"""


@pytest.fixture
def site() -> Iterator[Site]:
    with site_of("alice@example.test") as site:
        yield site


def reload(daemon: Daemon, configuration: int) -> None:
    daemon.hang_up()
    daemon.wait_for_line(f"reloaded: configuration {configuration} serves")


def spelt(site: Site, path: str) -> None:
    """Have the listener's path written so."""
    site.configure([listener(site.mux).replace(f'"{site.mux}"', f'"{path}"')])


@pytest.fixture
def inheriting(site: Site) -> Iterator[Daemon]:
    """A daemon whose socket a service manager holds."""
    daemon = Daemon(site.configuration, [sys.executable, "-c", AS_A_SOCKET_UNIT.format(path=str(site.mux))])
    daemon.start()
    yield daemon
    if daemon.running:
        daemon.stop()


def test_h2_an_inherited_listener_whose_path_is_spelt_otherwise_is_kept_by_a_reload(site: Site, inheriting: Daemon) -> None:
    inode = site.mux.stat().st_ino
    for number, path in enumerate((f"{site.directory}//mux", f"/{site.mux}", f"{site.directory}/./mux", str(site.mux)), 2):
        spelt(site, path)
        reload(inheriting, number)
        assert exchange(site.mux, REQUEST) == OK
    assert site.mux.stat().st_ino == inode
    inheriting.stop()
    assert site.mux.stat().st_ino == inode, "it is the service manager's"


def test_h1_a_listener_whose_path_is_spelt_otherwise_keeps_its_socket(site: Site) -> None:
    with site.serving() as daemon:
        inode = site.mux.stat().st_ino
        for number, path in enumerate((f"{site.directory}//mux", f"/{site.mux}"), 2):
            spelt(site, path)
            reload(daemon, number)
            assert exchange(site.mux, REQUEST) == OK
        assert site.mux.stat().st_ino == inode
    assert not site.mux.exists()


def test_h1_a_listener_whose_name_was_taken_away_is_there_again_after_a_reload(site: Site) -> None:
    with site.serving() as daemon:
        site.mux.unlink()
        reload(daemon, 2)
        assert exchange(site.mux, REQUEST) == OK
        inode = site.mux.stat().st_ino
        reload(daemon, 3)
        assert exchange(site.mux, REQUEST) == OK
        assert site.mux.stat().st_ino == inode
    assert not site.mux.exists()


def test_a6_a_listener_whose_name_another_process_has_now_is_an_error_of_the_reload(site: Site) -> None:
    other = site.directory / "other"
    site.configure([listener(site.mux), listener(other)])
    with site.serving() as daemon, socket.socket(socket.AF_UNIX) as usurper:
        site.mux.unlink()
        usurper.bind(str(site.mux))
        usurper.listen()
        inode = site.mux.stat().st_ino
        daemon.hang_up()
        daemon.wait_for_line("not reloaded, configuration 1 serves on", f"{site.mux}: another process ({os.getpid()} ")
        assert exchange(other, REQUEST) == OK
        assert site.mux.stat().st_ino == inode
        usurper.close()
        reload(daemon, 2)
        assert exchange(site.mux, REQUEST) == OK
    assert not site.mux.exists()
