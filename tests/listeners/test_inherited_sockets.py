"""Sockets from a service manager: the child of a fork puts them at descriptor 3 and on, where sd_listen_fds(3) has them."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.listeners import ListenError, choose, inherited
from tests.listeners.sockets import forked


def unix_listener(path: str, kind: socket.SocketKind = socket.SOCK_STREAM, listening: bool = True) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(path)
    if listening:
        made.listen()
    return made


def started_with(descriptors: list[int], work: Callable[[dict[str, str]], None], **variables: str) -> None:
    """Run `work` in a child that has these descriptors at 3 and on, and hand it an environment that says so."""

    def child() -> None:
        high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 100) for descriptor in descriptors]
        for number, descriptor in enumerate(high, 3):
            os.dup2(descriptor, number)
        work({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(descriptors)), **variables})

    forked(child)()


def test_h2_inherited_sockets_are_found_by_path_and_left_as_they_are(place: str) -> None:
    paths = [f"{place}/mux", f"{place}/auth"]
    sockets = [unix_listener(path) for path in paths]
    os.chmod(paths[0], 0o640)

    def work(environ: dict[str, str]) -> None:
        environ["PATH"] = "/bin"
        found = inherited(environ)
        assert environ == {"PATH": "/bin"}
        assert sorted(found) == sorted(paths)
        assert [found[path].fileno() for path in paths] == [3, 4]
        assert not any(listener.getblocking() or listener.get_inheritable() for listener in found.values())
        assert stat.S_IMODE(os.stat(paths[0]).st_mode) == 0o640
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(paths[0])
            choose(found, paths[0]).accept()[0].close()  # type: ignore[union-attr]  # None would fail the test as well

    started_with([listener.fileno() for listener in sockets], work)
    for listener in sockets:
        listener.close()


def test_h2_after_the_path_the_name_counts(place: str) -> None:
    sockets = [unix_listener(f"{place}/{number}") for number in range(3)]

    def work(environ: dict[str, str]) -> None:
        found = inherited(environ)
        assert choose(found, "/elsewhere/mux") is found[f"{place}/0"]
        assert choose(found, "/elsewhere/twice") is None
        assert choose(found, f"{place}/1") is found[f"{place}/1"]
        assert choose(found, "/elsewhere/other") is None

    started_with([listener.fileno() for listener in sockets], work, LISTEN_FDNAMES="mux:twice:twice")
    for listener in sockets:
        listener.close()


def test_h2_a_path_is_found_however_it_is_spelt(place: str) -> None:
    os.mkdir(f"{place}/run")
    os.symlink("run", f"{place}/var-run")
    with unix_listener(f"{place}/run/mux") as listener:
        assert choose({f"{place}/run/mux": listener}, f"{place}/var-run/mux") is listener
        assert choose({f"{place}/run/mux": listener}, f"{place}/var-run/other") is None


def test_h2_a_name_never_stands_for_another_sockets_path(place: str) -> None:
    sockets = [unix_listener(f"{place}/{number}") for number in range(2)]

    def work(environ: dict[str, str]) -> None:
        assert inherited(environ)[f"{place}/1"].fileno() == 4

    started_with([listener.fileno() for listener in sockets], work, LISTEN_FDNAMES=f"{place}/1:x")
    for listener in sockets:
        listener.close()


def tcp_listener(host: str) -> socket.socket:
    return socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def test_h2_inherited_tcp_sockets_are_found_by_address(place: str) -> None:
    sockets = [tcp_listener("127.0.0.1"), tcp_listener("::1"), unix_listener(f"{place}/auth")]
    ports = [listener.getsockname()[1] for listener in sockets[:2]]

    def work(environ: dict[str, str]) -> None:
        found = inherited(environ)
        assert sorted(found) == sorted([f"127.0.0.1:{ports[0]}", f"[::1]:{ports[1]}", f"{place}/auth"])
        assert [found[name].fileno() for name in (f"127.0.0.1:{ports[0]}", f"[::1]:{ports[1]}", f"{place}/auth")] == [3, 4, 5]
        assert not any(listener.getblocking() or listener.get_inheritable() for listener in found.values())
        assert choose(found, f"[::1]:{ports[1]}") is found[f"[::1]:{ports[1]}"]
        assert choose(found, f"127.0.0.2:{ports[0]}") is None
        with socket.create_connection(("127.0.0.1", ports[0])):
            accepted, _ = found[f"127.0.0.1:{ports[0]}"].accept()
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            accepted.close()

    started_with([listener.fileno() for listener in sockets], work)
    for listener in sockets:
        listener.close()


def test_h2_after_the_address_the_port_as_a_name_counts(place: str) -> None:
    sockets = [tcp_listener("::1"), unix_listener(f"{place}/auth")]

    def work(environ: dict[str, str]) -> None:
        found = inherited(environ)
        assert choose(found, "127.0.0.1:12345") is found["12345"]
        assert choose(found, "127.0.0.1:12346") is None

    started_with([listener.fileno() for listener in sockets], work, LISTEN_FDNAMES="12345:auth")
    for listener in sockets:
        listener.close()


def test_h2_a_name_never_brings_what_is_for_a_path_to_a_network(place: str) -> None:
    sockets = [tcp_listener("127.0.0.1"), unix_listener(f"{place}/auth")]

    def work(environ: dict[str, str]) -> None:
        found = inherited(environ)
        assert choose(found, "/run/saslauthd/mux") is None
        assert choose(found, "127.0.0.1:12345") is None

    started_with([listener.fileno() for listener in sockets], work, LISTEN_FDNAMES="mux:12345")
    for listener in sockets:
        listener.close()


def test_sockets_for_another_process_are_ignored() -> None:
    environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "PATH": "/bin"}
    assert inherited(environ) == {}
    assert environ == {"PATH": "/bin"}
    assert inherited({"LISTEN_FDS": "1"}) == {}
    assert inherited({}) == {}
    assert inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}) == {}


@given(st.text().filter(lambda text: not text.isdecimal()))
def test_a_count_that_is_no_number_is_refused(count: str) -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}
    if not count:
        assert inherited(environ) == {}
        return
    with pytest.raises(ListenError, match="no number"):
        inherited(environ)


def refused(descriptor: int) -> None:
    def work(environ: dict[str, str]) -> None:
        with pytest.raises(ListenError, match="descriptor 3"):
            inherited(environ)
        os.fstat(3)  # it is left open: it is somebody's

    started_with([descriptor], work)


def test_what_is_no_listening_stream_socket_with_a_path_or_address_is_refused(place: str) -> None:
    with open("/dev/null", "rb") as no_socket:
        refused(no_socket.fileno())
    with socket.socket(socket.AF_INET) as silent_tcp:
        silent_tcp.bind(("127.0.0.1", 0))
        refused(silent_tcp.fileno())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        refused(udp.fileno())
    with unix_listener(f"{place}/datagram", socket.SOCK_DGRAM, listening=False) as datagram:
        refused(datagram.fileno())
    with unix_listener(f"{place}/silent", listening=False) as silent:
        refused(silent.fileno())
    with unix_listener(f"\0saslauthd-py-test-{os.getpid()}") as abstract:
        refused(abstract.fileno())


def test_a_promised_descriptor_that_is_not_open_is_refused(place: str) -> None:
    with unix_listener(f"{place}/mux") as listener:

        def work(environ: dict[str, str]) -> None:
            os.closerange(4, 90)
            with pytest.raises(ListenError, match="descriptor 4"):
                inherited(environ)

        started_with([listener.fileno()], work, LISTEN_FDS="2")
