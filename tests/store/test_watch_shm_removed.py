"""The -shm taken away under a daemon: other processes' commits are not seen any more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from saslauthd_py.backend import BackendUnreadable
from saslauthd_py.identity import Identity
from saslauthd_py.store.store import Store
from saslauthd_py.store.watch import Watch


def test_c6_a_removed_shm_is_an_outage(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    path = str(tmp_path / "users.db")
    with Store.open(path, create=True) as store:
        store.add(Identity("alice"))
    watch = Watch(path)
    watch.look()
    os.unlink(path + "-shm")
    with pytest.raises(BackendUnreadable, match="restart the daemon"):
        watch.look()
    watch.close()
