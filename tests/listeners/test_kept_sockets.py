"""Sockets that a service manager handed over are its own: a reload cannot take one of them away (rule H2)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from saslauthd_py import listeners
from saslauthd_py.config.load import parse
from saslauthd_py.config.settings import Settings
from saslauthd_py.listeners import Bound, ListenError


def settings(*paths: Path) -> Settings:
    tables = "".join(f'[[listen]]\nprotocol = "saslauthd"\npath = "{path}"\n' for path in paths)
    backend = (
        '[backend.users]\ntype = "store"\n[[route]]\nrealm = "*"\nbackends = ["users"]\n[server]\nuser = "nobody"\ngroup = "nogroup"\n'
    )
    return parse(tables + backend, "saslauthd-py.toml")


def test_h2_an_inherited_socket_is_not_taken_away_by_a_reload(tmp_path: Path) -> None:
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    with socket.socket(socket.AF_UNIX) as inherited, socket.socket(socket.AF_UNIX) as ours:
        before = [Bound(listen, one) for listen, one in zip(settings(kept, gone).listen, (inherited, ours), strict=True)]
        listeners.check_all(settings(gone, kept), before)
        with pytest.raises(ListenError, match=rf"^{gone}: the service manager listens there: stop its socket unit, then restart"):
            listeners.check_all(settings(kept), before)
