"""The run directory: one saslauthd at a time, files of its own alone, nothing left behind."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from saslauthd_py.cli.called import pid_file
from saslauthd_py.cli.called.pid_file import LOCK_FILE, PID_FILE, AlreadyRunning, RunDirectoryError
from saslauthd_py.listeners import ListenError
from tests.cli.commands import in_child

FREE, TAKEN = 0, 3


def tries(directory: Path) -> int:
    """Another process, that would have the directory."""

    def child() -> int:
        try:
            with pid_file.held(str(directory)):
                return FREE
        except AlreadyRunning:
            return TAKEN

    return in_child(child)


def test_pid_is_there_while_it_is_held_and_nothing_afterwards(tmp_path: Path) -> None:
    (tmp_path / PID_FILE).write_text("123456 and more from a crash\n")
    with pid_file.held(str(tmp_path)):
        assert (tmp_path / PID_FILE).read_text() == f"{os.getpid()}\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == [PID_FILE, LOCK_FILE]
        assert tries(tmp_path) == TAKEN
        assert tries(tmp_path) == TAKEN, "one that was refused took nothing away"
    assert list(tmp_path.iterdir()) == []
    assert tries(tmp_path) == FREE


@pytest.mark.parametrize("name", [PID_FILE, LOCK_FILE])
def test_each_of_the_originals_locks_keeps_us_out(tmp_path: Path, name: str) -> None:
    with open(tmp_path / name, "w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert tries(tmp_path) == TAKEN
        assert (tmp_path / name).exists()
    assert tries(tmp_path) == FREE


def test_file_that_is_replaced_meanwhile_stays_the_others(tmp_path: Path) -> None:
    with pid_file.held(str(tmp_path)):
        (tmp_path / PID_FILE).unlink()
        (tmp_path / PID_FILE).write_text("of another\n")
    assert (tmp_path / PID_FILE).read_text() == "of another\n"


@pytest.mark.parametrize("kind", ["symbolic link", "second name", "directory", "fifo"])
def test_a6_what_somebody_planted_is_never_written_to(tmp_path: Path, kind: str) -> None:
    place, precious = tmp_path / "run", tmp_path / "precious"
    place.mkdir()
    precious.write_text("kept")
    match kind:
        case "symbolic link":
            (place / PID_FILE).symlink_to(precious)
        case "second name":
            (place / PID_FILE).hardlink_to(precious)
        case "directory":
            (place / PID_FILE).mkdir()
        case _:
            os.mkfifo(place / PID_FILE)
    with pytest.raises(RunDirectoryError) as raised, pid_file.held(str(place)):
        pass
    assert str(place / PID_FILE) in str(raised.value)
    assert precious.read_text() == "kept"


def test_lock_of_a_file_that_lost_its_name_meanwhile_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = fcntl.lockf

    def late(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "lockf", taken)
        (tmp_path / LOCK_FILE).unlink()  # as whoever had it until now
        taken(descriptor, how)

    monkeypatch.setattr(fcntl, "lockf", late)
    with pid_file.held(str(tmp_path)):
        assert tries(tmp_path) == TAKEN
        assert (tmp_path / LOCK_FILE).exists()


@pytest.mark.root
def test_a6_file_of_another_user_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / PID_FILE).touch()
    os.chown(tmp_path / PID_FILE, 65534, 65534)
    with pytest.raises(RunDirectoryError), pid_file.held(str(tmp_path)):
        pass


def test_directory_is_made_one_level_deep(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        pid_file.make_directory(str(tmp_path / "run"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o755
    pid_file.make_directory(str(tmp_path / "run"))
    with pytest.raises(ListenError):
        pid_file.make_directory(str(tmp_path / "a" / "b"))
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError):
        pid_file.make_directory(str(tmp_path / "file"))


@pytest.mark.root
def test_a6_root_makes_nothing_where_others_could_have_led_it(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(RunDirectoryError) as raised:
        pid_file.make_directory(str(tmp_path / "run"))
    assert "make it yourself" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_written_file_is_its_owners_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to(tmp_path / "elsewhere")
    with pid_file.held(str(tmp_path)) as directory, pid_file.written(directory, "x", "ä\n") as path:
        assert path == f"{tmp_path}/x"
        assert Path(path).read_text() == "ä\n"
        assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []
