"""What `undo` leaves alone, what it refuses to believe, and that a record is on the disk before the first change."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from saslauthd_py.setup import journal
from saslauthd_py.setup.journal import JournalError, NothingApplied
from saslauthd_py.setup.reloading import Master, Reload
from saslauthd_py.setup.steps import Joined, State, written
from saslauthd_py.setup.undoing import undo
from tests.setup.changed_files import Machine, applied, new_machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """With everything applied."""
    made = new_machine(tmp_path)
    applied(made, monkeypatch)
    return made


def edit(path: Path) -> None:
    path.write_text("mine\n")


def take_away(path: Path) -> None:
    path.unlink()


def open_up(path: Path) -> None:
    path.chmod(0o666)


@pytest.mark.parametrize("change", [edit, take_away, open_up])
def test_a_file_edited_since_is_named_and_left_alone(machine: Machine, change: Callable[[Path], None]) -> None:
    change(machine.tree / "main.cf")
    edited = machine.seen().get("main.cf")
    undone = undo(machine.record)
    [left] = undone.left
    assert (left.what, left.why) == (str(machine.tree / "main.cf"), "edited since")
    assert Path(left.copy).read_text() == "a = 1\n"
    assert machine.seen().get("main.cf") == edited
    assert set(undone.restored) == {str(machine.tree / name) for name in ("sasl/smtpd.conf", "sasl", "elsewhere/real.cf", "ours.toml")}
    assert (machine.tree / "ours.toml").read_text() == "x = 1\n"
    assert [note for note in undone.notes if "may ask a socket that the daemon no longer has" in note] == list(undone.notes) != []
    assert not (machine.tree / "sasl").exists()


def test_what_was_left_and_is_put_back_by_hand_ends_the_record(machine: Machine) -> None:
    edit(machine.tree / "main.cf")
    [left] = undo(machine.record).left
    (machine.tree / "main.cf").chmod(0o600)
    subprocess.run(left.command, shell=True, check=True)  # noqa: S602 - as the admin does, who reads it
    assert undo(machine.record).left == ()
    with pytest.raises(NothingApplied):
        undo(machine.record)


def test_a_directory_that_somebody_uses_stays(machine: Machine) -> None:
    (machine.tree / "sasl" / "other.conf").write_text("")
    undone = undo(machine.record)
    assert [left.what for left in undone.left] == [str(machine.tree / "sasl")]
    assert [path.name for path in (machine.tree / "sasl").iterdir()] == ["other.conf"]


def test_a_damaged_copy_restores_nothing(machine: Machine) -> None:
    after = machine.seen()
    copy = next(path for path in Path(machine.record.path).glob("*.copy") if path.read_text() == "a = 1\n")
    copy.write_text("a = 0\n")
    with pytest.raises(JournalError, match=r"this copy of .*main\.cf is damaged"):
        undo(machine.record)
    assert machine.seen() == after


def test_a_record_of_another_version_restores_nothing(machine: Machine) -> None:
    after = machine.seen()
    manifest = Path(machine.record.path) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(JournalError, match="written by another version of this program"):
        undo(machine.record)
    assert machine.seen() == after


def test_a_second_change_is_refused_before_the_first_is_taken_back(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine.tree / "main.cf").write_text("a = 3\n")
    monkeypatch.setattr(Machine, "change", _only_main)
    with pytest.raises(JournalError, match="take it back with --undo first"):
        applied(machine, monkeypatch)
    assert (machine.tree / "main.cf").read_text() == "a = 3\n"


def _only_main(machine: Machine) -> journal.Change:
    return journal.Change((), (machine.step("main.cf", b"a = 4\n"),), Reload((), Master(str(machine.state / "master.pid"))), "", None)


def test_a_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o770)
    with pytest.raises(JournalError, match="others than root can write here"), journal.opened(str(tmp_path / "state"), "x"):
        pass


@pytest.mark.root
def test_a_directory_below_another_users_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 33, 33)
    with pytest.raises(JournalError, match="others than root can write here"), journal.opened(str(tmp_path / "state"), "x"):
        pass


def test_one_setup_at_a_time(tmp_path: Path) -> None:
    with (
        journal.opened(str(tmp_path), "x"),
        pytest.raises(JournalError, match="another setup is at work"),
        journal.opened(str(tmp_path), "x"),
    ):
        pass


def test_the_copies_are_readable_by_nobody_else(machine: Machine) -> None:
    assert Path(machine.record.path).stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in Path(machine.record.path).iterdir())


def test_the_record_is_on_the_disk_before_the_first_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system calls come: each copy and the manifest, their directory, the name of that; then the first file."""
    machine = new_machine(tmp_path)
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def seen_fsync(descriptor: int) -> None:
        calls.append("fsync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def seen_rename(old: str, new: str) -> None:
        calls.append("rename " + os.path.basename(new))
        rename(old, new)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "rename", seen_rename)
    applied(machine, monkeypatch)
    first = calls.index("rename ours.toml")
    record = ["fsync manifest.json", "fsync server.new", "rename server", "fsync state"]
    assert [call for call in calls[:first] if call in record] == record
    assert [call for call in calls[:first] if call.endswith(".copy")] == ["fsync 0.copy", "fsync 3.copy", "fsync 4.copy"]
    assert calls[first - 1] == "fsync .ours.toml.saslauthd-py-setup", "the new content before its name"


def test_an_access_list_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "main.cf"
    file.write_text("a = 1\n")
    try:
        os.setxattr(file, "user.kept", b"yes")
    except OSError:
        pytest.skip("a file system without extended attributes")
    step = written(str(file), b"a = 2\n")
    assert step is not None
    step.make()
    assert os.getxattr(file, "user.kept") == b"yes"
    step.take_back()
    assert os.getxattr(file, "user.kept") == b"yes"


def test_an_access_list_that_cannot_be_kept_is_an_error_and_leaves_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "main.cf"
    file.write_text("a = 1\n")
    step = written(str(file), b"a = 2\n")
    assert step is not None

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(os, "listxattr", lambda _: ["security.label", "system.posix_acl_access"])
    monkeypatch.setattr(os, "getxattr", lambda *_: b"")
    monkeypatch.setattr(os, "setxattr", refused)
    with pytest.raises(PermissionError):
        step.make()
    assert [path.name for path in tmp_path.iterdir()] == ["main.cf"]
    assert step.state() is State.BEFORE
    monkeypatch.setattr(os, "listxattr", lambda _: ["security.label"])
    step.make()
    assert step.state() is State.MADE, "a label is the security module's to give"


@pytest.mark.root
def test_a_user_joins_a_group_and_leaves_it(tmp_path: Path) -> None:
    name = f"sapy{os.getpid()}"
    before = _groups()
    subprocess.run(["groupadd", "--system", name], check=True)
    subprocess.run(["useradd", "--system", "--no-create-home", "--gid", "nogroup", name], check=True)
    try:
        step = Joined(name, name)
        assert step.state() is State.BEFORE
        step.make()
        assert step.state() is State.MADE
        assert any(line.startswith(f"{name}:") and line.endswith(f":{name}") for line in _groups())
        step.take_back()
        assert step.state() is State.BEFORE
    finally:
        subprocess.run(["userdel", name], check=True)
        subprocess.run(["groupdel", name], check=False)
    assert [line for line in _groups() if line.startswith("sapy")] == [line for line in before if line.startswith("sapy")]


def _groups() -> list[str]:
    return Path("/etc/group").read_text().splitlines()
