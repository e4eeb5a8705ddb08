"""Files under another name that a killed process leaves beside a store: the next one removes them, and none that somebody works on."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saslauthd_py.store import migrations

HOLD = """
import sys
from saslauthd_py.store.migrations import created
with created(sys.argv[1]) as fresh:
    open(fresh + "-journal", "w").close()
    print(fresh, flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(path: str, environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that makes a store there, and the file that it does it in."""
    command = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def beside(path: str) -> list[str]:
    return sorted(os.listdir(os.path.dirname(path)))


def test_what_a_killed_process_left_goes_and_what_a_living_one_works_on_stays(path: str, environment: dict[str, str]) -> None:
    with held(path, environment) as (killed, left), held(path, environment) as (_, alive):
        assert beside(path) == sorted(os.path.basename(name) for one in (left, alive) for name in (one, f"{one}-journal"))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        migrations.create(path)
        assert beside(path) == ["users.db", *sorted(os.path.basename(name) for name in (alive, f"{alive}-journal"))]
    with migrations.empty_file(path):
        assert not os.path.lexists(alive)
    assert beside(path) == ["users.db"]


def test_only_files_of_ours_are_removed(path: str, tmp_path: Path) -> None:
    store = Path(path)
    store.parent.mkdir(mode=0o700)
    (tmp_path / "letter").write_text("dear")
    kept = ["users.db.new-1", "users.db.new-abcdefgh.bak", "users.db.before-restore", "users.db.new-aaaaaaaa", "users.db.new-bbbbbbbb"]
    for name in kept[:3]:
        (store.parent / name).touch()
    (store.parent / kept[3]).symlink_to(tmp_path / "letter")
    os.mkfifo(store.parent / kept[4])
    (store.parent / "users.db.new-cccccccc").touch()
    with migrations.empty_file(path) as fresh:
        assert beside(path) == sorted([*kept, os.path.basename(fresh)])
    assert beside(path) == sorted(kept)
    assert (tmp_path / "letter").read_text() == "dear"


@pytest.mark.root
def test_a_file_of_another_user_stays(path: str) -> None:
    store = Path(path)
    store.parent.mkdir(mode=0o700)
    theirs = store.parent / "users.db.new-cccccccc"
    theirs.touch()
    os.chown(theirs, 65534, 65534)
    with migrations.empty_file(path):
        assert theirs.exists()


def test_a_file_that_was_taken_for_left_before_it_was_locked_is_made_anew(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(path).parent.mkdir(mode=0o700)
    lock = fcntl.flock
    gone: list[str] = []

    def late(descriptor: int, how: int) -> None:
        if not gone:
            gone.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            os.unlink(gone[0])
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with migrations.empty_file(path) as fresh:
        assert [os.path.join(os.path.dirname(path), name) for name in beside(path)] == [fresh]
        assert gone != [fresh]
