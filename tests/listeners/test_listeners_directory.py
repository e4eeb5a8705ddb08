"""The directory of a listener: how it is reached (rule A6), and what is said about one that is missing or not ours."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from saslauthd_py.listeners import ListenError, bind, check, resolve
from saslauthd_py.privileges import Ids
from tests.listeners.sockets import (
    A_GROUP,
    SHARED,
    SOMEBODY,
    STICKY,
    answers,
    as_somebody,
    bound,
    rights,
    spec,
)


def test_a_missing_directory_is_named_with_the_line_that_makes_it(place: str) -> None:
    with pytest.raises(ListenError, match=f"directory {place}/a/b is missing: make it with `install -d -m 0755 {place}/a/b`"):
        bind(spec(f"{place}/a/b/mux"))
    with pytest.raises(ListenError, match="RuntimeDirectory=no-such-directory/here in the systemd unit"):
        bind(spec("/run/no-such-directory/here/mux"))


def test_a_missing_directory_of_postfix_is_left_to_postfix(place: str) -> None:
    for name in ("private", "public"):
        with pytest.raises(ListenError) as caught:
            bind(spec(f"{place}/postfix-out/{name}/auth"))
        assert str(caught.value).endswith(f"/{name} is missing: it is Postfix's own: `postfix check` makes it with the right owner")


def test_a_missing_directory_is_left_to_the_program_whose_user_the_socket_gets(place: str) -> None:
    for path in (f"{place}/exim/auth", "/run/no-such-directory/auth"):
        foreign = dataclasses.replace(spec(path), foreign=True)
        for ask in (bind, check):
            with pytest.raises(ListenError, match="is missing: it belongs to the program that the socket is for") as caught:
                ask(foreign)
            assert "`install" not in str(caught.value)
            assert "RuntimeDirectory" not in str(caught.value)


def test_a_socket_is_foreign_whose_user_is_not_the_daemons() -> None:
    daemon = Ids(SOMEBODY, A_GROUP, "somebody")
    assert resolve("root", None, 0o660, "/run/x/mux", daemon).foreign
    assert not resolve(None, None, 0o660, "/run/x/mux", daemon).foreign
    assert not resolve("root", None, 0o660, "/run/x/mux", Ids(0, 0, "root")).foreign


def test_a_directory_that_is_a_file_is_named(place: str) -> None:
    Path(f"{place}/file").write_text("")
    with pytest.raises(ListenError, match=r"file in .* is no directory"):
        bind(spec(f"{place}/file/mux"))


def test_a6_a_link_in_place_of_the_directory_is_refused(place: str) -> None:
    os.mkdir(f"{place}/real")
    os.symlink("real", f"{place}/planted")
    with pytest.raises(ListenError, match=r"planted in .* is a symbolic link to real"):
        bind(spec(f"{place}/planted/mux"))
    assert os.listdir(f"{place}/real") == []


@pytest.mark.parametrize("target", ["real", "{place}/real", "./real/../real"])
def test_a_link_further_up_is_followed_where_nobody_else_could_plant_it(place: str, target: str) -> None:
    os.makedirs(f"{place}/real/below")
    os.symlink(target.format(place=place), f"{place}/link")
    with bound(spec(f"{place}/link/below/mux")):
        assert os.listdir(f"{place}/real/below") == ["mux"]


def test_a6_a_link_further_up_is_refused_where_others_could_plant_it(place: str) -> None:
    os.makedirs(f"{place}/shared/real/below")
    os.symlink("real", f"{place}/shared/link")
    os.chmod(f"{place}/shared", SHARED)
    with pytest.raises(ListenError, match=r"link in .* is a symbolic link"):
        bind(spec(f"{place}/shared/link/below/mux"))
    os.symlink("below", f"{place}/shared/real/link")
    os.mkdir(f"{place}/shared/real/below/deep")
    with pytest.raises(ListenError, match=r"link in .* is a symbolic link"):  # real itself could be another one's by now
        bind(spec(f"{place}/shared/real/link/deep/mux"))
    os.chmod(f"{place}/shared", STICKY)  # sticky: what is ours stays ours
    with bound(spec(f"{place}/shared/link/below/mux")):
        pass


def test_links_in_a_circle_are_refused(place: str) -> None:
    os.symlink("circle", f"{place}/circle")
    with pytest.raises(ListenError, match="symbolic link"):
        bind(spec(f"{place}/circle/below/mux"))


@pytest.mark.parametrize("path", ["mux", "", "run/mux", "/run/", "/run/..", "/run/.", "/run/m\0x"])
def test_a_path_that_names_no_socket_is_refused(path: str) -> None:
    with pytest.raises(ListenError, match="absolute path"):
        spec(path)


def test_the_longest_path_works_and_a_longer_one_is_refused(place: str) -> None:
    longest = f"{place}/{'x' * (107 - len(place) - 1)}"
    with bound(spec(longest)):
        assert answers(longest) == os.getpid()
    with pytest.raises(ListenError, match="108 bytes"):
        spec(longest + "x")
    with pytest.raises(ListenError, match="108 bytes"):
        spec(longest[:-1] + "é")


def test_a6_who_is_not_root_cannot_give_a_socket_away(place: str) -> None:
    def work() -> None:
        with pytest.raises(ListenError, match="only root can give a socket to uid"):
            bind(spec(f"{place}/mux", uid=os.geteuid() + 1))
        with pytest.raises(ListenError, match=f"may not make a socket with gid {A_GROUP}"):
            bind(spec(f"{place}/mux", gid=A_GROUP))
        assert os.listdir(place) == []

    os.chmod(place, STICKY)
    as_somebody(work)


@pytest.mark.root
def test_a6_who_is_not_root_can_give_it_a_group_of_his_own(place: str) -> None:
    def work() -> None:
        with bound(spec(f"{place}/mux", gid=A_GROUP)):
            assert rights(f"{place}/mux") == (SOMEBODY, A_GROUP, 0o660)

    os.chmod(place, STICKY)
    as_somebody(work, groups=(A_GROUP,))


def test_a_directory_in_which_one_may_not_write_is_named() -> None:
    def work() -> None:
        with pytest.raises(ListenError, match=r"may not make a socket with gid \d+ in / \(uid 0, gid 0, mode"):
            bind(spec("/mux"))

    as_somebody(work)
