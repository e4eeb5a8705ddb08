"""A sasldb2 read from its file while others may write it: a moment of rest, or one line that says why not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from saslauthd_py import sasldb
from saslauthd_py.sasldb import SasldbError
from saslauthd_py.stamps import Stamp
from tests.sasldb.sasldbs import set_password, small


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "sasldb2"
    path.write_bytes(small())
    return path


def test_a_file_at_rest_is_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stamp, "quiet", True)
    monkeypatch.setattr("saslauthd_py.sasldb.time.sleep", lambda _: pytest.fail("it was at rest"))
    assert [(entry.authid, entry.realm, entry.value) for entry in sasldb.entries(str(path))] == [
        (b"alice", b"example.test", b"pw1"),
        (b"bob", b"example.test", b"v" * 700),
    ]


def test_d8_a_file_that_changes_while_it_is_read_is_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stamp, "quiet", True)
    stat, looks = os.fstat, 0
    path.write_bytes(small().replace(b"pw1", b"old"))

    def written_between(descriptor: int) -> os.stat_result:
        nonlocal looks
        looks += 1
        if looks == 2:  # after the bytes were taken
            path.write_bytes(small())
            os.utime(path, ns=(looks, looks))
        return stat(descriptor)

    monkeypatch.setattr("saslauthd_py.sasldb.os.fstat", written_between)
    assert next(sasldb.entries(str(path))).value == b"pw1"
    assert looks == 4


def test_a_file_that_never_rests_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stamp, "quiet", False)
    monkeypatch.setattr(sasldb, "_PATIENCE", 0.0)
    with pytest.raises(SasldbError, match=f"^{path}: somebody writes it all the time"):
        sasldb.entries(str(path))


def test_what_is_wrong_begins_with_the_path(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stamp, "quiet", True)
    path.write_bytes(b"x" * 100)
    for name, says in ((path, "it is no sasldb2"), (path.parent, "not a file"), (path.parent / "gone", "no such file or directory")):
        with pytest.raises(SasldbError, match=f"^{name}: {says}"):
            sasldb.entries(str(name))
    monkeypatch.setattr(sasldb, "LARGEST", 99)
    with pytest.raises(SasldbError, match=f"^{path}: over 0 MiB"):
        sasldb.entries(str(path))


def test_a_named_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SasldbError, match="not a file"):
        sasldb.entries(str(tmp_path / "pipe"))


@pytest.mark.peer("saslpasswd2")
def test_d8_every_reading_beside_a_writer_is_a_state_that_there_was(tmp_path: Path) -> None:
    """No rest is waited for, so this reads in the midst of writing: what is damaged is told as such, and no user is ever missing."""
    path = tmp_path / "sasldb2"
    for number in range(10):
        set_password(path, f"user{number}", b"p" * 30)
    ended = threading.Event()

    def write() -> None:
        for number in range(60):
            set_password(path, f"user{number % 10}", b"p" * (30 + 37 * number))
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    read = 0
    while not ended.is_set() or not read:
        try:
            found = sasldb.parse(path.read_bytes())
        except SasldbError:
            continue
        read += 1
        assert len(found.entries) == 10
        assert all(set(entry.value) == {ord("p")} for entry in found.entries)
    writer.join()


@pytest.mark.root
def test_where_proc_is_closed_to_it_the_daemon_still_reads_gdbm(tmp_path: Path) -> None:
    """Rule A2: the front is another user and not dumpable, so /proc/self belongs to root."""
    pytest.importorskip("dbm.gnu")
    program = """
import ctypes, dbm.gnu, os, sys
with dbm.gnu.open(sys.argv[1], "n") as database:
    database[b"alice\\0example.test\\0userPassword"] = b"pw1"
file = open(sys.argv[1], "rb").read()
from saslauthd_py import sasldb
sasldb.preload()
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
print(len(sasldb.parse(file).entries))
"""
    root = Path(sasldb.__file__).parent.parent.parent
    ran = subprocess.run([sys.executable, "-c", program, tmp_path / "g"], cwd=root, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("1\n", "")
