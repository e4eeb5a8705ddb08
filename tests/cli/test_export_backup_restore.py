from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from saslauthd_py.cli import output_file
from saslauthd_py.cli.exits import CommandFailed
from tests.cli.commands import Outcome, forked, in_child
from tests.cli.sites import OWNER, Site


def command(site: Site, *words: str) -> Outcome:
    return forked(*words, "--config", site.configuration)


@pytest.fixture
def full(site: Site) -> Site:
    site.add("alice@example.org", b"old")
    site.add("bob", b"old")
    return site


@pytest.fixture
def private(site: Site) -> Path:
    """A directory that only who runs the command can enter, not the store's owner."""
    made = site.directory / "private"
    made.mkdir(mode=0o700)
    return made


def names(site: Site) -> list[str]:
    return [json.loads(line)["identity"] for line in site.user("list", "--json").out.splitlines()]


def test_export_is_json_lines_that_an_import_takes_back(full: Site, private: Path) -> None:
    printed = command(full, "export")
    assert (printed.code, printed.err) == (0, "")
    header, *accounts = map(json.loads, printed.out.splitlines())
    assert set(header) == {"saslauthd-py accounts", "decoy_key"}
    assert [(one["name"], one["realm"]) for one in accounts] == [("bob", ""), ("alice", "example.org")]
    written = command(full, "export", "--output", str(private / "users.jsonl"))
    assert (written.code, written.out, written.err) == (0, f"{private}/users.jsonl: 2 accounts\n", "")
    status = os.stat(private / "users.jsonl")
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())
    assert (private / "users.jsonl").read_text() == printed.out
    assert os.listdir(private) == ["users.jsonl"]
    shutil.rmtree(full.store.parent)
    assert command(full, "import", "jsonl", str(private / "users.jsonl")).code == 0
    assert command(full, "export").out == printed.out
    assert full.right("alice@example.org", b"old")


def test_export_of_a_realm_is_its_accounts_alone(full: Site) -> None:
    assert '"bob"' not in command(full, "export", "--realm", "EXAMPLE.org").out
    assert '"alice"' not in command(full, "export", "--realm", "").out
    assert json.loads(command(full, "export", "--realm", "none", "--output", str(full.directory / "x"), "--json").out)["accounts"] == 0
    assert command(full, "export", "--realm", "a..\u00fc").code == 65


def test_backup_is_the_caller_s_and_replaces_an_older_one(full: Site, private: Path) -> None:
    file = private / "users.db"
    for count in (2, 3):
        outcome = command(full, "backup", str(file))
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == f"{file}: {count} accounts of {full.store}\n"
        status = os.stat(file)
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())
        assert os.listdir(private) == ["users.db"]
        assert os.listdir(full.store.parent) == ["users.db"]
        full.add(f"user{count}")
    assert json.loads(command(full, "backup", str(file), "--json").out) == {"store": str(full.store), "file": str(file), "accounts": 4}


def test_backup_replaces_nothing_that_is_no_backup(full: Site, private: Path) -> None:
    (private / "letter").write_text("dear")
    before = full.store.read_bytes()
    for name, line in (
        (str(private / "letter"), "this file is there and no backup; name another, or remove it"),
        (str(full.store), "a store in use; name another file"),
        (str(private), "not a file"),
        ("/dev/null", "not a file"),
    ):
        outcome = command(full, "backup", name)
        assert (outcome.code, outcome.error) == (65, f"{name}: {line}")
    assert (private / "letter").read_text() == "dear"
    assert full.store.read_bytes() == before
    assert command(full, "backup", "/nowhere/backup").error == "/nowhere: no such file or directory"
    assert os.listdir(private) == ["letter"]


def test_f1_restore_puts_the_backup_in_the_place_of_what_is_there(full: Site, private: Path) -> None:
    file = str(private / "users.db")
    assert command(full, "backup", file).code == 0
    full.user("passwd", "alice@example.org", "--password-stdin", stdin=b"new")
    full.add("carl")
    before = os.stat(full.store)
    tried = command(full, "restore", file, "--dry-run")
    assert (tried.code, tried.out) == (0, f"{file}: a good backup, 2 accounts; nothing was changed\n")
    assert full.right("alice@example.org", b"new")
    done = command(full, "restore", file)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"{full.store}: restored from {file}: 2 accounts",
        f"what was there, 3 accounts, is kept: {full.store}.before-restore",
    ]
    assert names(full) == ["bob", "alice@example.org"]
    assert full.right("alice@example.org", b"old")
    assert not full.right("alice@example.org", b"new")
    after = os.stat(full.store)
    assert (after.st_ino, after.st_mode, after.st_uid) == (before.st_ino, before.st_mode, before.st_uid)


def test_restore_makes_a_store_that_is_lost_and_says_that_a_daemon_wants_a_restart(
    full: Site, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (full.directory / "tmp").mkdir()
    (full.directory / "tmp").chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(full.directory / "tmp"))
    file = str(private / "users.db")
    assert command(full, "backup", file).code == 0
    shutil.rmtree(full.store.parent)
    assert command(full, "restore", file, "--dry-run").code == 0
    assert not full.store.parent.exists()
    assert os.listdir(full.directory / "tmp") == []
    done = command(full, "restore", file)
    assert (done.code, done.out) == (0, f"{full.store}: made from {file}: 2 accounts\n")
    assert done.error == f"warning: {full.store} was not there: a daemon that runs has to be restarted"
    assert full.right("alice@example.org", b"old")
    assert os.stat(full.store).st_uid == OWNER.pw_uid
    shutil.rmtree(full.store.parent)
    told = json.loads(command(full, "restore", file, "--json").out)
    assert told.pop("warnings") == [done.error.removeprefix("warning: ")]
    assert told == {"store": str(full.store), "file": file, "dry_run": False, "made": True, "accounts": 2, "before": ""}


def test_restore_refuses_what_is_no_backup(full: Site, private: Path) -> None:
    (private / "letter").write_text("dear")
    for name, code, line in (
        (str(private / "letter"), 65, "not a backup of saslauthd-py"),
        (str(full.store), 65, "this is the store itself"),
        ("/nowhere/backup", 66, "no such file or directory"),
    ):
        outcome = command(full, "restore", name)
        assert (outcome.code, outcome.error) == (code, f"{name}: {line}")
    assert names(full) == ["bob", "alice@example.org"]


def test_store_that_is_not_there_or_open_to_others_is_told(site: Site) -> None:
    for words in (("export",), ("export", "--output", str(site.directory / "x")), ("backup", str(site.directory / "x"))):
        outcome = command(site, *words)
        assert outcome.code == 66
        assert "no such directory; put it back or restore it" in outcome.error
    assert not (site.directory / "x").exists()
    site.add("alice")
    site.store.chmod(0o644)
    for words in (("export",), ("export", "--output", str(site.directory / "x")), ("backup", str(site.directory / "x"))):
        assert command(site, *words).code == 77
    assert not (site.directory / "x").exists()


@pytest.mark.root
def test_a7_output_file_is_written_by_the_owner_of_the_store_and_named_by_root(full: Site, private: Path) -> None:
    def child() -> int:
        def content(file: object) -> int:
            assert os.geteuid() == OWNER.pw_uid
            return os.geteuid()

        assert output_file.write(str(private / "x"), str(full.store), content) == OWNER.pw_uid
        assert os.geteuid() == 0
        return 7

    assert in_child(child) == 7


def test_export_replaces_an_older_export_and_nothing_else(full: Site, private: Path) -> None:
    (private / "letter").write_text("dear")
    (private / "empty").touch()
    before = full.store.read_bytes()
    for name in (str(private / "letter"), str(full.store)):
        outcome = command(full, "export", "--output", name)
        assert (outcome.code, outcome.error) == (65, f"{name}: this file is there and no export; name another, or remove it")
    assert (private / "letter").read_text() == "dear"
    assert full.store.read_bytes() == before
    for name in ("empty", "new", "new"):
        assert command(full, "export", "--output", str(private / name)).code == 0


@pytest.mark.parametrize("words", [("export", "--output"), ("backup",)])
def test_output_is_no_link_and_nothing_of_the_store(words: tuple[str, ...], full: Site, private: Path) -> None:
    link = private / "link"  # as /dev/stdout is one
    for target in (private / "made", private / "gone"):
        (private / "made").touch()
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        outcome = command(full, *words, str(link))
        assert outcome.code == 65
        assert link.is_symlink()
        assert (private / "made").read_bytes() == b""
    assert outcome.error == f"{link}: a symbolic link; name the file itself"
    outcome = command(full, *words, f"{full.store}-wal")
    assert (outcome.code, outcome.error) == (65, f"{full.store}-wal: a store in use; name another file")
    assert os.listdir(full.store.parent) == ["users.db"]


@pytest.mark.root
def test_writer_that_dies_or_fails_leaves_no_file(full: Site, private: Path) -> None:
    def child() -> int:
        def dies(_: object) -> int:
            os._exit(1)

        def fails(_: object) -> int:
            raise OSError(28, "No space left on device")

        for content, line in ((dies, "the process that wrote it was killed"), (fails, "no space left on device")):
            with pytest.raises(CommandFailed, match=f"^{private}/x: {line}"):
                output_file.write(str(private / "x"), str(full.store), content)
        return 7

    assert in_child(child) == 7
    assert os.listdir(private) == []


def test_backup_on_a_full_disk_says_so_and_keeps_the_older_one(full: Site, private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = private / "users.db"
    command(full, "backup", str(file))
    before = file.read_bytes()

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", no_room)
    outcome = command(full, "backup", str(file))
    assert outcome.code == 75
    assert outcome.error.endswith("no space left on device")
    assert file.read_bytes() == before
    assert os.listdir(private) == ["users.db"]
