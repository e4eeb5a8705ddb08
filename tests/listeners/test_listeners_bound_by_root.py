"""Root binds for others: in a directory of its own, and in one whose owner changes it meanwhile (rule A6)."""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from saslauthd_py.listeners import ListenError, bind
from tests.listeners.sockets import (
    A_GROUP,
    ENTERABLE,
    SETGID,
    SOMEBODY,
    STICKY,
    answers,
    bound,
    forked,
    leave_stale,
    rights,
    spec,
)

pytestmark = pytest.mark.root


def test_a6_in_roots_directory_a_socket_starts_with_no_rights(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, real = [], os.chmod

    def chmod(path: str, mode: int) -> None:
        first.append(stat.S_IMODE(os.stat(path).st_mode))
        real(path, mode)

    monkeypatch.setattr(os, "chmod", chmod)
    with bound(spec(f"{place}/mux", 0o640, SOMEBODY, A_GROUP)):
        assert rights(f"{place}/mux") == (SOMEBODY, A_GROUP, 0o640)
    assert first == [0]


@pytest.mark.parametrize("mode", [0o755, 0o2755], ids=oct)
def test_a6_in_roots_directory_the_group_is_exact_setgid_or_not(place: str, mode: int) -> None:
    os.chown(place, 0, A_GROUP + 1)
    os.chmod(place, mode)
    with bound(spec(f"{place}/mux", 0o660, SOMEBODY, A_GROUP)):
        assert rights(f"{place}/mux") == (SOMEBODY, A_GROUP, 0o660)


@pytest.mark.parametrize("umask", [0, 0o777], ids=oct)
@pytest.mark.parametrize("mode", [0o700, 0o2770], ids=oct)
def test_a6_in_another_users_directory_owner_group_and_mode_are_exact(theirs: str, mode: int, umask: int) -> None:
    def work() -> None:
        os.umask(umask)
        os.setgroups([A_GROUP + 1])
        leave_stale(f"{theirs}/auth")
        os.chown(f"{theirs}/auth", SOMEBODY, SOMEBODY)
        os.chmod(f"{theirs}/auth", 0o600)
        with bound(spec(f"{theirs}/auth", 0o660, SOMEBODY, A_GROUP)):
            assert rights(f"{theirs}/auth") == (SOMEBODY, A_GROUP, 0o660)
            assert answers(f"{theirs}/auth") == os.getpid()
            assert os.listdir(theirs) == ["auth"]
        assert (os.getresuid(), os.getresgid(), os.getgroups()) == ((0, 0, 0), (0, 0, 0), [A_GROUP + 1])
        assert os.umask(0) == umask

    os.chmod(theirs, mode)
    forked(work)()


def test_clients_see_who_really_listens(theirs: str) -> None:
    with bound(spec(f"{theirs}/auth", uid=SOMEBODY, gid=SOMEBODY)), socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{theirs}/auth")
        assert struct.unpack("iII", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)) == (os.getpid(), 0, 0)


@pytest.mark.parametrize("swap", ["symlink", "hard link", "another socket"])
@pytest.mark.parametrize("mode", [0o700, 0o2770], ids=oct)
def test_a6_what_the_directorys_owner_swaps_under_our_hands_is_not_touched(
    theirs: str, place: str, mode: int, swap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chmod(theirs, mode)
    victim = f"{place}/victim"
    if swap == "another socket":
        leave_stale(victim)
    else:
        Path(victim).write_text("root's")
    os.chmod(victim, 0o600)
    before = rights(victim)

    class Swapping(socket.socket):
        """The moment after bind, in which only luck would bring the attacker's rename."""

        def bind(self, address: Any) -> None:
            super().bind(address)
            os.seteuid(0)
            os.unlink(address)
            os.symlink(victim, address) if swap == "symlink" else os.link(victim, address)
            os.seteuid(SOMEBODY)

    monkeypatch.setattr(socket, "socket", Swapping)
    with pytest.raises(ListenError):
        bind(spec(f"{theirs}/auth", 0o666, SOMEBODY, A_GROUP))
    assert rights(victim) == before
    assert os.path.exists(victim)
    assert os.listdir(theirs) == []
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_a6_in_another_users_directory_root_changes_nothing_with_its_own_power(theirs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    powers: list[tuple[str, int]] = []
    os.chmod(theirs, SETGID)
    leave_stale(f"{theirs}/auth")
    os.chown(f"{theirs}/auth", SOMEBODY, SOMEBODY)

    def watch(name: str) -> None:
        real = getattr(os, name)

        def watched(*arguments: Any, **directories: Any) -> Any:
            powers.append((name, os.geteuid()))
            return real(*arguments, **directories)

        monkeypatch.setattr(os, name, watched)

    for name in ("chmod", "chown", "unlink", "rename", "link"):
        watch(name)
    with bound(spec(f"{theirs}/auth", uid=SOMEBODY, gid=A_GROUP)):
        assert powers == [(name, SOMEBODY) for name in ("rename", "unlink", "chown", "link", "unlink")]


def test_a6_a_name_replaced_at_once_is_noticed(theirs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def link(*names: str, **directories: Any) -> None:
        real(*names, **directories)
        os.unlink(f"{theirs}/auth")
        leave_stale(f"{theirs}/auth")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(ListenError, match="replaced it"):
        bind(spec(f"{theirs}/auth", uid=SOMEBODY, gid=SOMEBODY))


def test_a6_a_group_that_the_directory_imposes_on_roots_socket_is_refused(theirs: str) -> None:
    os.chown(theirs, SOMEBODY, A_GROUP)
    os.chmod(theirs, SETGID)
    with pytest.raises(ListenError, match=f"gid {A_GROUP}, mode 0660 in place of uid 0, gid 0, mode 0660: look at its setgid bit"):
        bind(spec(f"{theirs}/auth"))
    assert os.listdir(theirs) == []


def test_a_socket_for_a_user_who_may_not_write_there_says_whose_directory_it_is(theirs: str) -> None:
    with pytest.raises(ListenError, match=rf"private \(uid {SOMEBODY}, gid {SOMEBODY}, mode 0700\).* uid 4711, who may not: set user"):
        bind(spec(f"{theirs}/auth", uid=4711, gid=4711))
    assert os.listdir(theirs) == []
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_a6_a_socket_that_one_may_not_ask_is_left(theirs: str) -> None:
    leave_stale(f"{theirs}/auth")
    os.chmod(f"{theirs}/auth", 0o600)
    with pytest.raises(ListenError, match="perhaps: uid 0 owns it"):
        bind(spec(f"{theirs}/auth", uid=SOMEBODY, gid=SOMEBODY))
    assert os.path.exists(f"{theirs}/auth")


def test_a6_a_link_that_somebody_planted_beside_roots_is_refused(place: str) -> None:
    os.makedirs(f"{place}/shared/real/below")
    os.symlink("real", f"{place}/shared/link")
    os.chown(f"{place}/shared/link", SOMEBODY, SOMEBODY, follow_symlinks=False)
    os.chmod(f"{place}/shared", STICKY)
    with pytest.raises(ListenError, match=r"link in .* is a symbolic link"):
        bind(spec(f"{place}/shared/link/below/mux"))


def test_a6_in_a_directory_below_another_users_root_takes_no_power_along(theirs: str) -> None:
    os.mkdir(f"{theirs}/roots", ENTERABLE)
    with pytest.raises(ListenError, match=rf"others than root can change {theirs}/roots"):
        bind(spec(f"{theirs}/roots/auth", uid=SOMEBODY, gid=SOMEBODY))
