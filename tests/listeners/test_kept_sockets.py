"""What becomes of listeners at a reload: kept, replaced, bound anew, or somebody else's (rules H1, H2)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence

import pytest

from saslauthd_py import listeners
from saslauthd_py.config.load import parse
from saslauthd_py.config.settings import Settings
from saslauthd_py.listeners import Bound, ListenError
from tests.listeners.sockets import answers, forked, free_port, leave_stale, other_socket, rights

OTHER_SPELLINGS = ("{place}//mux", "/{place}/mux", "///{place}/./mux", "{place}/x/../mux")

USER, GROUP = ('user = "nobody"\n', 'group = "nogroup"\n') if os.geteuid() == 0 else ("", "")


def settings(*places: str, mode: str = "0600") -> Settings:
    """A [[listen]] at each of these paths or addresses."""
    tables = ""
    for place in places:
        if place.startswith("/"):
            tables += f'[[listen]]\nprotocol = "saslauthd"\npath = "{place}"\nmode = "{mode}"\n{USER}{GROUP}'
        else:
            tables += f'[[listen]]\nprotocol = "dovecot"\naddress = "{place}"\n'
    rest = '[backend.users]\ntype = "store"\n[[route]]\nrealm = "*"\nbackends = ["users"]\n[server]\nuser = "nobody"\ngroup = "nogroup"\n'
    return parse(tables + rest, "saslauthd-py.toml")


@contextlib.contextmanager
def serving(*places: str) -> Iterator[list[Bound]]:
    bound = listeners.bind_all(settings(*places))
    try:
        yield bound
    finally:
        listeners.let_go(bound)


@contextlib.contextmanager
def rebound(wanted: Settings, before: Sequence[Bound]) -> Iterator[list[Bound]]:
    """As a reload: checked, and bound."""
    listeners.check_all(wanted, before)
    now = listeners.rebind_all(wanted, before)
    try:
        yield now
    finally:
        kept = {one.socket for one in before}
        listeners.let_go([one for one in now if one.socket not in kept])


def refused(wanted: Settings, before: Sequence[Bound]) -> str:
    """What both steps say."""
    told = []
    for attempt in (listeners.check_all, listeners.rebind_all):
        with pytest.raises(ListenError) as caught:
            attempt(wanted, before)
        told.append(str(caught.value))
    assert told[0] == told[1]
    return told[0]


def test_h2_an_inherited_socket_is_not_taken_away_by_a_reload(place: str) -> None:
    kept, gone = f"{place}/kept", f"{place}/gone"
    with socket.socket(socket.AF_UNIX) as inherited, socket.socket(socket.AF_UNIX) as other:
        before = [Bound(listen, one, inherited=True) for listen, one in zip(settings(kept, gone).listen, (inherited, other), strict=True)]
        listeners.check_all(settings(gone, kept), before)
        with pytest.raises(ListenError, match=rf"^{gone}: the service manager listens there: stop its socket unit, then restart"):
            listeners.check_all(settings(kept), before)


@pytest.mark.parametrize("spelling", OTHER_SPELLINGS)
def test_h2_an_inherited_socket_is_kept_however_its_path_is_spelt(spelling: str, place: str) -> None:
    with other_socket(f"{place}/mux") as inherited:
        before = [Bound(settings(f"{place}/mux").listen[0], inherited, inherited=True)]
        wanted = settings(spelling.format(place=place))
        with rebound(wanted, before) as now:
            assert [(one.settings, one.socket, one.inherited) for one in now] == [(wanted.listen[0], inherited, True)]
        with rebound(settings(f"{place}/mux", mode="0666"), before) as now:
            assert [one.socket for one in now] == [inherited], "its mode is the service manager's"


@pytest.mark.parametrize("spelling", OTHER_SPELLINGS)
def test_h1_a_listener_keeps_its_socket_however_its_path_is_spelt(spelling: str, place: str) -> None:
    with serving(f"{place}/mux") as before, rebound(settings(spelling.format(place=place)), before) as now:
        assert now[0].socket is before[0].socket
        listeners.unlink_gone(before, now)
        assert os.listdir(place) == ["mux"]


def test_h1_a_listener_whose_name_is_gone_is_bound_there_again(place: str) -> None:
    with serving(f"{place}/mux", f"{place}/other") as before:
        os.unlink(f"{place}/mux")
        with rebound(settings(f"{place}/mux", f"{place}/other"), before) as now:
            assert [one.socket is old.socket for one, old in zip(now, before, strict=True)] == [False, True]
            listeners.unlink_gone(before, now)
            assert answers(f"{place}/mux") == os.getpid()
            now[0].socket.accept()[0].close()
    assert os.listdir(place) == []


@pytest.mark.parametrize("mode", ["0600", "0666"])
@pytest.mark.parametrize("gone", [True, False])
def test_h1_a_listener_that_lost_its_name_to_a_dead_socket_is_bound_there_again(gone: bool, mode: str, place: str) -> None:
    with serving(f"{place}/mux") as before:
        os.unlink(f"{place}/mux")
        if not gone:
            leave_stale(f"{place}/mux")
        with rebound(settings(f"{place}/mux", mode=mode), before) as now:
            assert answers(f"{place}/mux") == os.getpid()
            assert rights(f"{place}/mux")[2] == int(mode, 8)
            now[0].socket.accept()[0].close()


@pytest.mark.parametrize("mode", ["0600", "0666"])
def test_a6_a_live_socket_that_has_taken_the_name_of_ours_is_left_and_the_reload_refused(mode: str, place: str) -> None:
    with serving(f"{place}/mux", f"{place}/other") as before:
        os.unlink(f"{place}/mux")
        with other_socket(f"{place}/mux"):
            inode = os.stat(f"{place}/mux").st_ino

            def reload() -> None:
                told = refused(settings(f"{place}/new", f"{place}/other", f"{place}/mux", mode=mode), before)
                assert told.startswith(f"{place}/mux: another process ({os.getppid()} ")
                assert told.endswith("stop it, or choose another path")
                assert sorted(os.listdir(place)) == ["mux", "other"]

            forked(reload)()
            assert os.stat(f"{place}/mux").st_ino == inode
            assert answers(f"{place}/other") == os.getpid()


def test_h1_a_listener_whose_directory_is_gone_is_an_error_as_at_the_start(place: str) -> None:
    os.mkdir(f"{place}/run")
    with serving(f"{place}/run/mux") as before:
        os.unlink(f"{place}/run/mux")
        os.rmdir(f"{place}/run")
        assert refused(settings(f"{place}/run/mux"), before).startswith(f"{place}/run/mux: the directory {place}/run is missing")


# TCP


def accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return False
    return True


def test_h1_a_tcp_listener_keeps_its_socket_as_long_as_it_is_wanted(place: str) -> None:
    first, second = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with serving(first, f"{place}/mux") as before:
        assert [one.inherited for one in before] == [False, False]
        with rebound(settings(f"{place}/mux", second, first), before) as now:
            assert [one.socket is old.socket for one, old in zip(now[::2], before[::-1], strict=True)] == [True, True]
            assert [accepts(first), accepts(second)] == [True, True]
            listeners.unlink_gone(before, now)
        assert [accepts(first), accepts(second)] == [True, False]
        listeners.check_all(settings(f"{place}/mux"), before)
    assert not accepts(first)


def test_h2_an_inherited_tcp_socket_is_kept_and_must_stay() -> None:
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        name = f"127.0.0.1:{inherited.getsockname()[1]}"
        before = [Bound(settings(name).listen[0], inherited, inherited=True)]
        with rebound(settings(name), before) as now:
            assert (now[0].socket, now[0].inherited) == (inherited, True)
        with pytest.raises(ListenError, match=f"^{name}: the service manager listens there"):
            listeners.check_all(settings(f"127.0.0.1:{free_port()}"), before)


def test_h1_a_reload_that_finds_a_port_taken_binds_nothing(place: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, serving(f"{place}/mux") as before:
        taken, free = f"127.0.0.1:{other.getsockname()[1]}", f"127.0.0.1:{free_port()}"
        wanted = settings(f"{place}/new", free, taken, f"{place}/mux")
        assert refused(wanted, before).startswith(f"{taken}: this daemon itself")
        assert os.listdir(place) == ["mux"]
        assert not accepts(free)


def test_a_start_that_finds_a_port_taken_leaves_nothing_bound(place: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = f"127.0.0.1:{free_port()}"
        with pytest.raises(ListenError, match="listens there"):
            listeners.bind_all(settings(f"{place}/mux", free, f"127.0.0.1:{other.getsockname()[1]}"))
        assert os.listdir(place) == []
        assert not accepts(free)
