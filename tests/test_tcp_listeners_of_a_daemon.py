"""The daemon at a TCP address, from its start over reloads to its end (rules H1, H2, A1)."""

from __future__ import annotations

import base64
import os
import re
import socket
import sys
from collections.abc import Iterator

import pytest

from tests.interop.daemon import PATIENCE, Daemon, Site, listener, site_of
from tests.interop.waiting import until
from tests.listeners.sockets import free_port

PLAIN = base64.b64encode(b"\0alice@example.test\0pw1").decode()

AS_A_SOCKET_UNIT = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", {port}))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "saslauthd_py", *sys.argv[1:]])
"""

IN_A_NETWORK_OF_ITS_OWN = """
import fcntl, os, socket, struct, sys
with socket.socket() as any:
    fcntl.ioctl(any, 0x8914, struct.pack("16sh22x", b"lo", 0x49))  # SIOCSIFFLAGS: up
    address = socket.inet_aton("192.0.2.1")
    fcntl.ioctl(any, 0x8916, struct.pack("16sH2x4s16x", b"lo:1", socket.AF_INET, address))  # SIOCSIFADDR
os.execv(sys.executable, [sys.executable, "-m", "saslauthd_py", *sys.argv[1:]])
"""


@pytest.fixture
def site() -> Iterator[Site]:
    with site_of("alice@example.test") as site:
        yield site


@pytest.fixture
def port() -> int:
    return free_port()


def tcp(port: int, keys: str = "") -> str:
    return f'[[listen]]\nprotocol = "dovecot"\naddress = "127.0.0.1:{port}"\n{keys}\n'


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def greeting(client: socket.socket) -> bytes:
    """The whole handshake, or what came before the connection was closed."""
    told = b""
    while not told.endswith(b"DONE\n"):
        try:
            more = client.recv(1024)
        except ConnectionResetError:
            break
        if not more:
            break
        told += more
    return told


def login(port: int) -> bytes:
    """What the daemon says to alice's right password."""
    with connected(port) as client:
        assert greeting(client).startswith(b"VERSION\t1\t")
        client.sendall(f"VERSION\t1\t1\nCPID\t{os.getpid()}\nAUTH\t1\tPLAIN\tservice=smtp\tresp={PLAIN}\n".encode())
        return client.recv(1024)


def reload(daemon: Daemon, configuration: int) -> None:
    daemon.hang_up()
    daemon.wait_for_line(f"reloaded: configuration {configuration} serves")


def test_h1_a_tcp_listener_serves_is_kept_and_is_taken_away(site: Site, port: int) -> None:
    other = free_port()
    site.configure([tcp(port)])
    with site.serving() as daemon:
        assert login(port).startswith(b"OK\t1\t")
        with connected(port) as early:
            assert greeting(early)
            site.configure([tcp(other), tcp(port)])
            reload(daemon, 2)
            assert [login(one)[:2] for one in (port, other)] == [b"OK", b"OK"]
        site.configure([tcp(other)])
        reload(daemon, 3)
        until(lambda: not _answers(port), "the end of the listener that is wanted no more")
        assert login(other).startswith(b"OK\t1\t")
        assert not [line for line in daemon.log() if " ERROR " in line or "Traceback" in line]
    assert not _answers(other)


def _answers(port: int) -> bool:
    try:
        connected(port).close()
    except ConnectionRefusedError:
        return False
    return True


def test_h2_clients_beyond_networks_are_closed_unheard(site: Site, port: int) -> None:
    site.configure([tcp(port, 'networks = ["127.0.0.2/32"]')])
    with site.serving() as daemon:
        with connected(port) as client:
            assert greeting(client) == b""
        with socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=("127.0.0.2", 0)) as client:
            assert greeting(client).startswith(b"VERSION\t1\t")
        site.configure([tcp(port)])
        reload(daemon, 2)
        assert login(port).startswith(b"OK\t1\t")


def test_h2_an_inherited_tcp_listener_is_served_and_stays(site: Site, port: int) -> None:
    site.configure([tcp(port)])
    daemon = Daemon(site.configuration, [sys.executable, "-c", AS_A_SOCKET_UNIT.format(port=port)])
    daemon.start()
    try:
        assert login(port).startswith(b"OK\t1\t")
        reload(daemon, 2)
        assert login(port).startswith(b"OK\t1\t")
        site.configure([listener(site.mux)])
        daemon.hang_up()
        daemon.wait_for_line("not reloaded, configuration 2 serves on", f"127.0.0.1:{port}: the service manager listens there")
        assert login(port).startswith(b"OK\t1\t")
    finally:
        daemon.stop()


def test_h1_a_port_that_is_taken_leaves_the_configuration_of_before(site: Site, port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, site.serving() as daemon:
        site.configure([listener(site.mux), tcp(port), tcp(taken.getsockname()[1])])
        daemon.hang_up()
        daemon.wait_for_line("not reloaded, configuration 1 serves on", f"another process ({os.getpid()} ", "listens there: stop it")
        assert not _answers(port)


def test_a_restart_has_its_port_again_while_clients_of_before_are_there(site: Site, port: int) -> None:
    site.configure([tcp(port)])
    daemon = Daemon(site.configuration)
    daemon.start()
    try:
        with connected(port) as early:
            assert greeting(early)
            daemon.restart()
            assert login(port).startswith(b"OK\t1\t")
    finally:
        daemon.stop()


@pytest.mark.root
def test_h2_a_listener_for_other_machines_is_started_with_one_warning(site: Site, port: int) -> None:
    """In a network of its own that nobody else is in."""
    text = tcp(port, 'networks = ["192.0.2.0/24"]').replace("127.0.0.1", "192.0.2.1")
    site.configure([text, listener(site.mux)])
    daemon = Daemon(site.configuration, ["unshare", "--net", sys.executable, "-c", IN_A_NETWORK_OF_ITS_OWN])
    daemon.start()
    try:
        reload(daemon, 2)
        warnings = [line for line in daemon.log() if re.search(r"WARNING .*passwords come to it over the network in clear", line)]
        assert len(warnings) == 1
        assert f"192.0.2.1:{port}" in warnings[0]
    finally:
        daemon.stop()
