"""TCP listeners: what they are like, whom they let in, and what is said where one cannot be had (rule H2)."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.config.settings import Listen
from saslauthd_py.config.settings.address import TcpAddress
from saslauthd_py.listeners import BACKLOG, ListenError, Networks, allowed_networks, bind_tcp, check_tcp, occupants
from tests.listeners.sockets import as_somebody, forked, free_port

BOTH = ["127.0.0.1", "::1"]


def at(host: str, port: int | None = None) -> TcpAddress:
    return TcpAddress(ip_address(host), port or free_port(host))


@contextlib.contextmanager
def listening(address: TcpAddress) -> Iterator[socket.socket]:
    with bind_tcp(address) as listener:
        yield listener


def connected(address: TcpAddress) -> socket.socket:
    return socket.create_connection((str(address.host), address.port), timeout=10)


def refusal(address: TcpAddress) -> str:
    """What both say of it; the error itself begins with the address."""
    told = []
    for attempt in (bind_tcp, check_tcp):
        with pytest.raises(ListenError) as caught:
            attempt(address)
        told.append(str(caught.value))
    assert told[0] == told[1]
    beginning, _, rest = told[0].partition(f"{address}: ")
    assert beginning == ""
    return rest


@pytest.mark.parametrize("host", BOTH)
def test_a_tcp_listener_takes_clients_and_never_waits(host: str) -> None:
    address = at(host)
    with listening(address) as listener:
        assert (listener.getblocking(), listener.get_inheritable()) == (False, False)
        assert listener.getsockname()[:2] == (host, address.port)
        with pytest.raises(BlockingIOError):
            listener.accept()
        with connected(address) as client:
            select.select([listener], [], [], 10)
            accepted, peer = listener.accept()
            assert peer[:2] == client.getsockname()[:2]
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1, "a small answer goes out at once"
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            accepted.close()


def test_the_backlog_of_tcp_is_that_of_unix() -> None:
    address = at("127.0.0.1")
    with listening(address) as listener:
        most = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)[28:32]  # tcpi_sacked: of a listener, its backlog
        somaxconn = int(Path("/proc/sys/net/core/somaxconn").read_text())
        assert int.from_bytes(most, "little") == min(BACKLOG, somaxconn)


def test_a_restart_finds_the_port_free_though_connections_of_before_linger() -> None:
    address = at("127.0.0.1")
    with listening(address) as listener, connected(address) as client:
        select.select([listener], [], [], 10)
        accepted, _ = listener.accept()
        accepted.close()  # first: it is this end that has to wait
        assert client.recv(1) == b""
    check_tcp(address)
    with listening(address):
        pass


def test_a_listener_for_ipv6_is_for_ipv6_alone() -> None:
    with listening(at("::1")) as listener:
        assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_checking_listens_nowhere() -> None:
    address = at("127.0.0.1")
    check_tcp(address)
    with pytest.raises(ConnectionRefusedError):
        connected(address)


@pytest.mark.parametrize("host", BOTH)
def test_a_port_in_use_is_an_error_that_names_its_owner(host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as other:
        other.bind((host, 0))
        other.listen()
        address = at(host, other.getsockname()[1])

        def second() -> None:
            Path("/proc/self/comm").write_text("second")
            comm = Path(f"/proc/{os.getppid()}/comm").read_text().strip()
            owner = f"another process ({os.getppid()} {comm}, uid {os.geteuid()})"
            other.close()
            assert refusal(address) == f"{owner} listens there: stop it, or choose another port"

        forked(second)()
        assert refusal(address) == "this daemon itself, until it is restarted, listens there: stop it, or choose another port"


@pytest.mark.root
def test_a_port_whose_owner_is_hidden_is_told_by_its_user() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = at("127.0.0.1", other.getsockname()[1])

        def work() -> None:
            other.close()
            assert refusal(address) == "a process of uid 0 listens there: stop it, or choose another port"

        as_somebody(work)


def test_another_address_is_not_taken_for_the_owner() -> None:
    with socket.socket() as elsewhere, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and it does not listen: the kernel's table of listeners does not have it
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        address = at("127.0.0.1", taken.getsockname()[1])
        elsewhere.bind(("127.0.0.2", address.port))
        elsewhere.listen()
        assert refusal(address) == "another process listens there: stop it, or choose another port"


@pytest.mark.parametrize(
    ("row", "host", "found"),
    [
        ("00000000:3039", "127.0.0.1", True),
        ("0100007F:3039", "127.0.0.1", True),
        ("00000000000000000000000001000000:3039", "::", True),
        ("0100007F:3039", "127.0.0.2", False),
        ("0100007F:303A", "127.0.0.1", False),
        ("00000000000000000000000000000000:3039", "127.0.0.1", True),
        ("00000000000000000000000001000000:3039", "::1", True),
        ("0000000000000000FFFF00000100007F:3039", "127.0.0.1", True),
        ("B80D0120000000000000000001000000:3039", "2001:db8::1", True),
        ("B80D0120000000000000000001000000:3039", "::1", False),
    ],
)
def test_the_kernels_table_tells_who_is_in_the_way(
    row: str, host: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.byteorder != "little":
        pytest.skip("these rows are of a little-endian machine")
    heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    rest = "00000000:0000 {} 00000000:00000000 00:00000000 00000000  4711        0 0 1 0000000000000000 100 0 0 10 0\n"
    lines = [heading, f"   0: 0100007F:3039 {rest.format('01')}", f"   1: {row} {rest.format('0A')}"]
    table = tmp_path / "tcp"
    table.write_text("".join(lines))
    monkeypatch.setattr(occupants, "_TABLES", (str(tmp_path / "none"), str(table)))
    assert occupants.of_port(at(host, 12345)) == ("a process of uid 4711" if found else "another process")


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_an_error_that_says_what_to_do(host: str) -> None:
    assert re.fullmatch(
        r"this machine has no such address, or not yet \(After=network-online.target in the unit waits for it\): "
        "choose one that `ip address` shows",
        refusal(at(host, 12345)),
    )


@pytest.mark.root
def test_a_port_of_roots_is_an_error_that_says_what_to_do() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 1000:
        pytest.skip("here everybody may listen below 1024")

    def work() -> None:
        assert refusal(at("127.0.0.1", 999)) == f"uid {os.geteuid()} may not listen at port 999: choose one from 1024 on, or start as root"

    as_somebody(work)


def listen(**keys: object) -> Listen:
    return Listen.model_validate({"protocol": "dovecot", **keys})


def networks(*allowed: str, address: str = "0.0.0.0:1") -> Networks:
    found = allowed_networks(listen(address=address, networks=list(allowed)))
    assert found is not None
    return found


def test_h2_without_networks_this_machine_alone_may_ask() -> None:
    for address in ("127.0.0.1:1", "[::1]:1"):
        local = networks(address=address)
        assert [local.allow(client) for client in ("127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1")] == [True] * 4
        assert not any(local.allow(client) for client in ("128.0.0.1", "192.0.2.1", "::2", "::", "::ffff:192.0.2.1"))


def test_h2_with_networks_they_alone_may_ask() -> None:
    site = networks("192.0.2.0/24", "2001:db8::/32")
    allowed = ("192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7", "2001:db8::1", "2001:db8::1%eth0")
    assert [site.allow(client) for client in allowed] == [True] * len(allowed)
    refused = ("127.0.0.1", "::1", "192.0.3.0", "2001:db9::", "::ffff:192.0.3.1", "::192.0.2.1", "::c000:201")
    assert [site.allow(client) for client in refused] == [False] * len(refused)


@given(st.text())
def test_h2_what_is_no_address_may_not_ask(text: str) -> None:
    everybody = Networks(networks("0.0.0.0/0", "::/0").allowed)
    try:
        ip_address(text)
    except ValueError:
        assert not everybody.allow(text)
    else:
        assert everybody.allow(text)


@given(st.ip_addresses(v=4))
def test_h2_an_ipv4_client_of_an_ipv6_socket_is_the_ipv4_client(client: object) -> None:
    site = networks("192.0.2.0/24", "10.0.0.0/8", "128.0.0.0/1")
    assert site.allow(f"::ffff:{client}") == site.allow(str(client))


def test_a_path_has_no_networks() -> None:
    assert allowed_networks(listen(path="/run/a")) is None
