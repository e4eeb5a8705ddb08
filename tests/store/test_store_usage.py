from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from saslauthd_py.identity import split
from saslauthd_py.store import usage
from saslauthd_py.store.errors import BrokenStore, BusyStore, NoSuchStore
from saslauthd_py.store.store import Store
from saslauthd_py.store.watch import Watch


def beside(path: str) -> str:
    return os.path.join(os.path.dirname(path), "usage.db")


def test_f5_last_use_is_noted_beside_the_store(path: str, store: Store) -> None:
    assert usage.read(path, range(10)) == {}
    assert not os.path.exists(beside(path))
    usage.write(path, {1: 100.5, 7: 200.0})
    usage.write(path, {})
    usage.write(path, {7: 300.25})
    assert usage.read(path, range(10)) == {1: 100.5, 7: 300.25}
    assert stat.S_IMODE(os.lstat(beside(path)).st_mode) == 0o600


def test_f5_an_earlier_time_is_ignored(path: str, store: Store) -> None:
    usage.write(path, {1: 200.0})
    usage.write(path, {1: 100.0})
    assert usage.read(path, range(10)) == {1: 200.0}


def test_f5_noting_a_use_is_no_change_of_the_store(path: str, store: Store) -> None:
    store.add(split("alice"))
    os.utime(path, (1e9, 1e9))
    with closing(Watch(path)) as watch:
        assert watch.look() == frozenset()
        connection = watch.connection
        usage.write(path, {1: 100.0})
        assert watch.look() == frozenset()
        assert watch.connection is connection


def test_f5_uses_belong_to_one_store_even_when_another_takes_its_place(path: str) -> None:
    with Store.open(path, create=True):
        usage.write(path, {1: 100.0})
    os.rename(path, path + ".old")
    with Store.open(path, create=True):
        assert usage.read(path, range(10)) == {}
        usage.write(path, {1: 200.0})
    assert usage.read(path, range(10)) == {1: 200.0}
    assert usage.read(path + ".old", range(10)) == {1: 100.0}


def test_uses_without_a_store_are_refused(path: str, tmp_path: Path) -> None:
    for ask in (lambda asked: usage.read(asked, [1]), lambda missing: usage.write(missing, {})):
        with pytest.raises(
            NoSuchStore, match=r"users\.db: no such store; put it back or restore it; for a first user: `saslauthd-py user add`$"
        ):
            ask(path)
    assert os.listdir(tmp_path) == []


def test_a_damaged_file_of_uses_may_be_removed(path: str, store: Store) -> None:
    Path(beside(path)).write_bytes(b"garbage" * 1000)
    for ask in (lambda asked: usage.read(asked, [1]), lambda damaged: usage.write(damaged, {})):
        with pytest.raises(BrokenStore, match=r"usage\.db: damaged; remove it, it holds only when secrets were last used$"):
            ask(path)
    os.unlink(beside(path))
    usage.write(path, {1: 100.0})


def test_a_locked_file_of_uses_is_said_to_be_locked(path: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    usage.write(path, {1: 100.0})
    monkeypatch.setattr(usage, "COMMAND_WAIT", 0.0)
    with closing(sqlite3.connect(beside(path), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BusyStore, match=r"usage\.db: locked by another process"):
            usage.write(path, {1: 200.0})
    assert usage.read(path, range(10)) == {1: 100.0}
