"""Where metrics are asked for: loopback or a path, each refused with one line where it cannot be had."""

from __future__ import annotations

import os
import socket
import stat
from ipaddress import ip_address
from pathlib import Path

import pytest

from saslauthd_py.config.settings.metrics import Loopback
from saslauthd_py.listeners import ListenError
from saslauthd_py.metrics.listening import check, listening

LOCALHOST = ip_address("127.0.0.1")


def free(family: socket.AddressFamily, host: str) -> Loopback:
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return Loopback(ip_address(host), probe.getsockname()[1])


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_tcp_listener_is_bound_to_that_address_and_port_alone(family: socket.AddressFamily, host: str) -> None:
    address = free(family, host)
    with listening(address) as listener:
        assert listener.getsockname()[:2] == (host, address.port)
        assert not listener.getblocking()
        assert not listener.get_inheritable()
        with socket.create_connection((host, address.port)):
            listener.accept()[0].close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, address.port))


def test_a_restart_finds_its_port_free_although_connections_linger() -> None:
    address = free(socket.AF_INET, "127.0.0.1")
    with listening(address) as listener, socket.create_connection((str(address.host), address.port)):
        listener.accept()[0].close()  # the side that closes first is the one that lingers
    with listening(address):
        pass


def test_a_path_is_a_socket_that_everybody_may_open_and_goes_with_the_listener(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    with listening(str(path)) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        assert path.is_socket()
        assert (path.stat().st_uid, path.stat().st_gid) == (os.geteuid(), os.getegid())
        assert not listener.getblocking()
    assert not path.exists()


def test_a_port_that_another_process_has_is_named(tmp_path: Path) -> None:
    address = free(socket.AF_INET, "127.0.0.1")
    with listening(address):
        for attempt in (lambda: listening(address).__enter__(), lambda: check(address)):
            with pytest.raises(ListenError, match=rf"\[metrics\] address 127\.0\.0\.1:{address.port}: .* listens there"):
                attempt()


def test_a_path_on_which_somebody_answers_is_left(tmp_path: Path) -> None:
    path = str(tmp_path / "metrics")
    with listening(path):
        for attempt in (lambda: listening(path).__enter__(), lambda: check(path)):
            with pytest.raises(ListenError, match="another process"):
                attempt()
        assert os.path.exists(path)


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="missing"), listening(str(tmp_path / "missing" / "metrics")):
        pass


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    address = free(socket.AF_INET, "127.0.0.1")
    check(address)
    check(str(tmp_path / "metrics"))
    assert list(tmp_path.iterdir()) == []
    with listening(address):
        pass
