"""sd_notify: what a service manager hears, on a socket of ours."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import notify
from saslauthd_py.notify import Notifier


@pytest.fixture
def service_manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(f"\0saslauthd-py-test-{os.getpid()}")
        ours.setblocking(False)
        yield ours


@pytest.fixture
def notifier(service_manager: socket.socket) -> Iterator[Notifier]:
    name = service_manager.getsockname()[1:].decode()
    ours = Notifier.from_environment({"NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())})
    yield ours
    ours.close()


def test_e9_ready_stopping_status_and_watchdog_are_said(notifier: Notifier, service_manager: socket.socket) -> None:
    assert notifier.ready("2 listeners")
    assert service_manager.recv(4096) == b"READY=1\nSTATUS=2 listeners"
    assert notifier.ready()
    assert service_manager.recv(4096) == b"READY=1"
    assert notifier.status("12 logins")
    assert service_manager.recv(4096) == b"STATUS=12 logins"
    assert notifier.watchdog()
    assert service_manager.recv(4096) == b"WATCHDOG=1"
    assert notifier.stopping("draining")
    assert service_manager.recv(4096) == b"STOPPING=1\nSTATUS=draining"


def test_a_status_cannot_forge_a_state(notifier: Notifier, service_manager: socket.socket) -> None:
    notifier.status("fine\nREADY=1\r\n\udc80")
    assert service_manager.recv(4096) == b"STATUS=fine READY=1 ?"


def test_a_path_is_an_address_too(tmp_path: Path) -> None:
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as theirs:
        theirs.bind(path)
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": path})
        assert notifier.ready()
        assert theirs.recv(4096) == b"READY=1"
    assert not notifier.status("nobody hears this")
    os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as anew:
        anew.bind(path)
        assert notifier.status("a service manager that started anew is reached")
        assert anew.recv(4096).startswith(b"STATUS=a service manager")
    notifier.close()


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative"])
def test_without_an_address_nothing_is_sent(address: str | None) -> None:
    environ = {} if address is None else {"NOTIFY_SOCKET": address}
    notifier = Notifier.from_environment({**environ, "WATCHDOG_USEC": "1000000"})
    assert notifier.watchdog_interval is None
    assert not any((notifier.ready("x"), notifier.status("x"), notifier.stopping(), notifier.watchdog()))
    notifier.close()


def test_its_variables_are_not_left_for_child_processes(service_manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    Notifier.from_environment(environ).close()
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({}, None),
    ],
)
def test_e9_the_watchdog_is_fed_twice_in_its_time(variables: dict[str, str], interval: float | None) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": "@nobody-listens-here", **variables})
    assert notifier.watchdog_interval == interval
    notifier.close()


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_environment_raises(microseconds: str, pid: str) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": microseconds, "WATCHDOG_PID": pid})
    assert notifier.watchdog_interval is None or notifier.watchdog_interval > 0
    notifier.close()


def test_e9_only_ready_waits_for_a_service_manager_that_is_busy(
    notifier: Notifier, service_manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0
    while notifier.watchdog():  # ends with False as soon as the queue is full: it never waits
        sent += 1
    assert notifier._socket is not None
    assert notifier._socket.gettimeout() == 0
    monkeypatch.setattr(notify, "_READY_PATIENCE", 60.0)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(notifier.ready()))
    waiting.start()
    heard: list[bytes] = []
    service_manager.settimeout(60)
    while not heard or heard[-1] != b"READY=1":
        heard.append(service_manager.recv(4096))
    waiting.join()
    assert notifier._socket.gettimeout() == 60
    assert answers == [True]
    assert heard == [b"WATCHDOG=1"] * sent + [b"READY=1"]


def test_nothing_is_said_after_close(notifier: Notifier) -> None:
    notifier.close()
    assert not notifier.stopping()
    notifier.close()
