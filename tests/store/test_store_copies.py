from __future__ import annotations

import io
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from saslauthd_py.credential import Encoding
from saslauthd_py.identity import Identity, split
from saslauthd_py.store import copies, migrations, schema, snapshot, usage
from saslauthd_py.store.copies import Restored
from saslauthd_py.store.errors import BrokenStore, BusyStore, NewerStore, NoBackup, NoSuchStore, StoreError, UnsafeStore
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.rehash import add_encodings
from saslauthd_py.store.store import SETTLE, Store
from saslauthd_py.store.watch import Watch

ALICE, BOB = split("alice@example.org"), split("bob@example.org")
OLD, NEW = Encoding("argon2id", "old"), Encoding("argon2id", "new")
Elsewhere = Callable[..., None]


@pytest.fixture
def full(path: str) -> str:
    with Store.open(path, create=True) as store:
        store.add(ALICE, NewSecret(OLD))
        store.add(BOB, NewSecret(OLD))
    return path


def backed_up(path: str, to: Path) -> str:
    with open(to, "wb") as file:
        assert copies.write_backup(path, file) == names(path)[0]
    return str(to)


def restored(path: str, backup: str, *, dry: bool = False) -> Restored:
    with copies.open_backup(backup, path) as file:
        return copies.restore(path, file, backup, dry=dry)


def names(path: str) -> tuple[int, list[str]]:
    with Store.open(path) as store:
        found = [str(account.identity) for account in store.accounts()]
    return len(found), found


def text(path: str, identity: Identity = ALICE) -> str:
    with Store.open(path) as store:
        return store.get(identity).credentials[0].encodings[0].text


def test_backup_is_a_file_by_itself_that_holds_what_only_the_wal_had(full: str, tmp_path: Path) -> None:
    with Store.open(full) as store:
        store.set_secret(ALICE, NewSecret(NEW))
        assert os.path.getsize(full + "-wal")
        backup = backed_up(full, tmp_path / "backup")
    head = Path(backup).read_bytes()[: copies.HEAD]
    assert copies.is_backup(head)
    assert head[18:20] == b"\1\1", "no -wal belongs to it"
    assert sorted(os.listdir(os.path.dirname(full))) == ["users.db"]
    with closing(sqlite3.connect(f"file:{backup}?mode=ro&immutable=1", uri=True)) as copy:
        assert copy.execute("SELECT text FROM encoding ORDER BY secret").fetchall() == [("new",), ("old",)]


def test_backup_is_of_one_moment_while_others_write(full: str, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom saslauthd_py.store.store import Store\nfrom saslauthd_py.identity import Identity\n"
        "store = Store.open(sys.argv[1])\nprint('ready', flush=True)\n"
        "for number in range(1000): store.add(Identity(f'user{number}'))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, full], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.getcwd()}
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        counts = []
        for number in range(5):
            with open(tmp_path / str(number), "wb") as file:
                counts.append(copies.write_backup(full, file))
        other.kill()
    assert counts == sorted(counts)
    for number, count in enumerate(counts):
        assert restored(full, str(tmp_path / str(number)), dry=True) == Restored(count)


def test_backup_of_a_damaged_store_is_none(full: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(full)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("DELETE FROM secret")
        connection.commit()
    with open(tmp_path / "backup", "wb") as file, pytest.raises(BrokenStore, match=r"users\.db: damaged; restore it from a backup"):
        copies.write_backup(full, file)
    assert os.path.getsize(tmp_path / "backup") == 0


def test_backup_of_no_store_says_so(path: str, tmp_path: Path) -> None:
    with pytest.raises(NoSuchStore):
        copies.write_backup(path, io.BytesIO())
    os.mkdir(os.path.dirname(path), 0o700)
    Path(path).touch(0o644)
    with pytest.raises(UnsafeStore):
        copies.write_backup(path, io.BytesIO())


def test_f1_restore_brings_the_old_accounts_into_the_very_file_and_keeps_a_copy_of_the_new(full: str, tmp_path: Path) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with Store.open(full) as store:
        store.set_secret(ALICE, NewSecret(NEW))
        store.remove(BOB)
        store.add(Identity("carl"), NewSecret(NEW))
        store.add(Identity("dora"), NewSecret(NEW))
    before = os.stat(full)
    assert restored(full, backup, dry=True) == Restored(2)
    assert names(full)[0] == 3
    assert restored(full, backup) == Restored(2, 3, f"{full}.before-restore")
    after = os.stat(full)
    assert (after.st_ino, after.st_uid, after.st_gid, after.st_mode) == (before.st_ino, before.st_uid, before.st_gid, before.st_mode)
    assert names(full) == (2, ["alice@example.org", "bob@example.org"])
    assert text(full) == "old"
    assert stat.S_IMODE(os.stat(f"{full}.before-restore").st_mode) == 0o600
    assert sorted(os.listdir(os.path.dirname(full))) == ["users.db", "users.db.before-restore"]
    restored(full, f"{full}.before-restore")
    assert names(full)[0] == 3
    assert text(full) == "new"


def test_c6_daemon_sees_a_restored_store_at_once_and_takes_every_account_as_changed(
    full: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with closing(Watch(full)) as watch:
        for change in ("new", "newer"):
            elsewhere("passwd", full, "alice@example.org", change)
            assert watch.look() == frozenset({"alice@example.org"})
            bob = watch.generation("bob@example.org")
            restored(full, backup)
            assert watch.look() is None
            assert watch.generation("bob@example.org") != bob
            assert watch.connection.execute("SELECT text FROM encoding").fetchall() == [("old",), ("old",)]
        elsewhere("lock", full, "bob@example.org")
        assert watch.look() == frozenset({"bob@example.org"}), "and what comes after it"


def test_c6_store_restored_to_what_it_is_already_may_be_of_anybody(full: str, tmp_path: Path) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with closing(Watch(full)) as watch:
        watch.look()
        restored(full, backup)
        assert watch.look() is None


def test_c6_restore_returns_at_the_earliest_5_ms_after_its_commit(full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = backed_up(full, tmp_path / "backup")
    slept: list[float] = []
    monkeypatch.setattr("saslauthd_py.store.copies.time.sleep", slept.append)
    restored(full, backup)
    assert slept == [SETTLE]


def test_f4_ids_that_the_store_has_given_are_not_given_again_after_a_restore(full: str, tmp_path: Path) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with Store.open(full) as store:
        carl = store.add(Identity("carl"), NewSecret(NEW))
        usage.write(full, {carl.credentials[0].id: 5.0})
    restored(full, backup)
    with Store.open(full) as store:
        dora = store.add(Identity("dora"), NewSecret(OLD))
    assert dora.id > carl.id
    (secret,) = dora.credentials
    assert usage.read(full, [secret.id]) == {}
    assert not add_encodings(full, carl.credentials[0].id, 1, (NEW,)), "what was on its way for carl is nobody's"


def test_backup_of_an_older_schema_is_brought_to_this_one(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        with Store.open(path, create=True) as old:
            old.add(ALICE, NewSecret(OLD))
        backup = backed_up(path, tmp_path / "backup")
    shutil.rmtree(os.path.dirname(path))
    Store.open(path, create=True).close()
    assert restored(path, backup) == Restored(1, 0, f"{path}.before-restore")
    with Store.open(path) as store:
        assert len(store.decoy_key()) == 32
    restored(path, backup)


def test_where_there_is_no_store_one_is_made_and_nothing_of_the_lost_one_is_mixed_in(full: str, tmp_path: Path) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with Store.open(full) as store:
        store.set_secret(ALICE, NewSecret(NEW))
        os.unlink(full)
        assert os.path.getsize(full + "-wal")
        assert restored(full, backup, dry=True) == Restored(2)
        assert not os.path.exists(full)
        assert restored(full, backup) == Restored(2)
        assert text(full) == "old"
        assert stat.S_IMODE(os.stat(full).st_mode) == 0o600
    shutil.rmtree(os.path.dirname(full))
    assert restored(full, backup, dry=True) == Restored(2)
    assert not os.path.exists(os.path.dirname(full))
    assert restored(full, backup) == Restored(2)
    assert stat.S_IMODE(os.stat(os.path.dirname(full)).st_mode) == 0o700
    assert os.listdir(os.path.dirname(full)) == ["users.db"]


def test_c6_daemon_whose_store_was_lost_says_restart_once_it_is_restored(full: str, tmp_path: Path) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with closing(Watch(full)) as watch:
        watch.look()
        pid = os.fork()  # the process that restores is another one
        if pid == 0:
            os.unlink(full)
            restored(full, backup)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        with pytest.raises(Exception, match="another file is in its place"):
            watch.look()


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE identity (id)")


def empty(path: Path) -> None:
    path.touch()


def words(path: Path) -> None:
    path.write_text("SQLite format 3\0" + "x" * 300)


def half(path: Path) -> None:
    os.truncate(path, os.path.getsize(path) // 2)


def overwritten(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(12288))


def bare(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE encoding")


def without_trigger(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER secret_update")


def keyless(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM decoy")
        connection.commit()


def orphaned(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM identity")
        connection.commit()


def numberless(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM store")
        connection.commit()


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (foreign, "not a backup of saslauthd-py"),
        (empty, "not a backup of saslauthd-py"),
        (words, "not a backup of saslauthd-py"),
        (half, "damaged"),
        (overwritten, "damaged"),
        (bare, "lacks what a store has"),
        (without_trigger, "lacks what a store has"),
        (keyless, "its key for the salts of unknown names is gone"),
        (orphaned, "damaged; take another backup"),
        (numberless, "the store's own number is gone"),
        (newer, r"a backup of schema 99, and this program has \d: upgrade it"),
    ],
)
def test_what_is_no_good_backup_is_refused_and_the_store_stays(spoil: Callable[[Path], None], line: str, full: str, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    if spoil not in (foreign, empty, words):
        backed_up(full, backup)
    spoil(backup)
    for dry in (True, False):
        with pytest.raises(NoBackup, match=f"^{backup}: .*{line}"):
            restored(full, str(backup), dry=dry)
    assert text(full) == "old"
    assert os.listdir(os.path.dirname(full)) == ["users.db"]


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ("CREATE TRIGGER again AFTER UPDATE ON secret BEGIN UPDATE encoding SET text = 'old'; END", "the trigger 'again'"),
        ("CREATE VIEW seen AS SELECT text FROM encoding", "the view 'seen'"),
        ("CREATE TABLE more (a)", "the table 'more'"),
        ("CREATE INDEX texts ON encoding (text)", "the index 'texts'"),
    ],
)
def test_f2_what_no_store_has_is_not_brought_in_by_a_restore(planted: str, told: str, full: str, tmp_path: Path) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute(planted)
    with pytest.raises(NoBackup, match=f"^{backup}: holds {told}, which no store has"):
        restored(full, backup)


def test_backup_of_a_store_that_was_analyzed_is_one(full: str, tmp_path: Path) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute("ANALYZE")
    assert restored(full, backup).accounts == names(full)[0]


def test_store_in_use_is_no_backup(full: str, tmp_path: Path) -> None:
    with pytest.raises(NoBackup, match=r"users\.db: this is the store itself$"):
        restored(full, full)
    other = str(tmp_path / "other" / "users.db")
    with Store.open(other, create=True) as store:
        store.add(ALICE)
        with pytest.raises(NoBackup, match="a store in use, whose last changes are in"):
            restored(full, other)
    with pytest.raises(NoBackup, match="not a backup"):
        restored(full, os.devnull)
    with pytest.raises(IsADirectoryError):
        restored(full, str(tmp_path))


def test_restore_waits_for_other_writers_and_then_gives_up(full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with closing(sqlite3.connect(full, isolation_level=None)) as other, copies.open_backup(backup, full) as file:
        opened = migrations.open_current

        def impatient(path: str) -> sqlite3.Connection:
            connection = opened(path)
            connection.execute("PRAGMA busy_timeout=0")
            return connection

        monkeypatch.setattr(copies, "open_current", impatient)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyStore, match="locked by another process; try again"):
            copies.restore(full, file, backup)
        other.execute("ROLLBACK")
    assert text(full) == "old"


def test_f4_store_of_a_newer_program_is_not_overwritten(full: str, tmp_path: Path) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with closing(sqlite3.connect(full)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(NewerStore):
        restored(full, backup)


def test_damaged_store_is_not_written_into(full: str, tmp_path: Path) -> None:
    backup = backed_up(full, tmp_path / "backup")
    Path(full).write_bytes(os.urandom(8192))
    with pytest.raises(BrokenStore, match=r"move .*users\.db, .* away, saslauthd-py restore BACKUP, start it"):
        restored(full, backup)


def test_backup_with_other_pages_is_restored_too(full: str, tmp_path: Path) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute("PRAGMA page_size=8192")
        connection.execute("VACUUM")
    with Store.open(full) as store:
        store.set_secret(ALICE, NewSecret(NEW))
    restored(full, backup)
    assert text(full) == "old"


def test_f1_kill_9_of_a_restore_leaves_the_old_or_the_restored_store_whole(full: str, tmp_path: Path, environment: dict[str, str]) -> None:
    backup = backed_up(full, tmp_path / "backup")
    with Store.open(full) as store:
        for number in range(200):
            store._connection.execute("INSERT INTO identity VALUES (NULL, ?, '', ?, '', NULL, 1, 1)", (f"user{number}", f"user{number}"))
    big = backed_up(full, tmp_path / "big")
    script = (
        "import sys\nfrom saslauthd_py.store import copies\nbackup = copies.open_backup(sys.argv[2], sys.argv[1])\n"
        "print('ready', flush=True)\ncopies.restore(sys.argv[1], backup, 'backup')\n"
    )
    chance = random.Random(4711)  # noqa: S311 - where to kill, not a secret
    for trial in range(8):
        wanted = (backup, big)[trial % 2]
        command = [sys.executable, "-c", script, full, wanted]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0, 0.05))  # where in the restore it dies is for chance
            process.kill()
        assert names(full)[0] in (2, 202)
        with closing(sqlite3.connect(full)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_snapshot_is_of_one_moment_however_long_its_reader_takes(full: str) -> None:
    usage.write(full, {1: 7.5})
    found = snapshot.accounts(full)
    next(found)
    first = next(found)
    with Store.open(full) as store:
        store.remove(BOB)
        store.add(Identity("zoe"))
    rest = list(found)
    accounts = [one for one in (first, *rest) if isinstance(one, snapshot.Whole)]
    assert [one.account.identity for one in accounts] == [ALICE, BOB]
    assert accounts[0].times[1].last_use == 7.5
    assert accounts[1].times[2].last_use is None
    assert [one.account.identity for one in snapshot.accounts(full, "EXAMPLE.org") if isinstance(one, snapshot.Whole)] == [ALICE]


def test_snapshot_of_a_store_with_a_broken_record_says_which(full: str) -> None:
    with Store.open(full) as store:
        store._connection.execute("UPDATE secret SET services = 'no list' WHERE id = 2")
    with pytest.raises(StoreError, match="identity 2 of the store"):
        list(snapshot.accounts(full))
