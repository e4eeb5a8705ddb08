"""The keys `user` and `group` of a [[listen]]."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from saslauthd_py.listeners import ListenError, ListenerSpec, resolve
from saslauthd_py.privileges import Ids

DAEMON = Ids(4711, 4712, "daemon")


def groups_are(monkeypatch: pytest.MonkeyPatch, **gids: int) -> None:
    def getgrnam(name: str) -> grp.struct_group:
        return grp.struct_group((name, "x", gids[name], []))

    monkeypatch.setattr(grp, "getgrnam", getgrnam)


def test_named_user_and_group_become_ids() -> None:
    somebody = pwd.getpwall()[-1]
    group = grp.getgrall()[-1]
    assert resolve(somebody.pw_name, group.gr_name, 0o600, "/run/mux", DAEMON) == ListenerSpec(
        "/run/mux", somebody.pw_uid, group.gr_gid, 0o600, foreign=True
    )


@pytest.mark.parametrize(("gids", "gid"), [({}, 4712), ({"saslauth": 7}, 7), ({"sasl": 45, "saslauth": 7}, 45)])
def test_the_default_group_is_the_first_that_exists_else_the_daemons(
    monkeypatch: pytest.MonkeyPatch, gids: dict[str, int], gid: int
) -> None:
    groups_are(monkeypatch, **gids)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert resolve(None, None, 0o660, "/run/mux", DAEMON) == ListenerSpec("/run/mux", 4711, gid, 0o660)


def test_without_root_the_default_group_is_one_that_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    groups_are(monkeypatch, sasl=45, saslauth=7)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(os, "getgroups", lambda: [100])
    assert resolve(None, None, 0o660, "/run/mux", DAEMON).gid == 4712
    monkeypatch.setattr(os, "getgroups", lambda: [100, 7])
    assert resolve(None, None, 0o660, "/run/mux", DAEMON).gid == 7


def test_an_unknown_user_or_group_is_named_with_its_key() -> None:
    with pytest.raises(ListenError, match='/run/mux: user = "no-such": there is no such user'):
        resolve("no-such", None, 0o660, "/run/mux", DAEMON)
    with pytest.raises(ListenError, match='/run/mux: group = "no-such": there is no such group'):
        resolve(None, "no-such", 0o660, "/run/mux", DAEMON)
