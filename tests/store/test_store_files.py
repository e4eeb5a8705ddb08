from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from saslauthd_py.credential import Encoding
from saslauthd_py.identity import split
from saslauthd_py.store import access, migrations, schema
from saslauthd_py.store.connection import check_file, reader, store_error, writer
from saslauthd_py.store.errors import BrokenStore, BusyStore, NewerStore, NoSuchStore, StoreError, UnsafeStore
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.store import Store

ALICE = split("alice@example.org")
VERSION = len(schema.MIGRATIONS)
NEXT_VERSION = VERSION + 1
NEXT = ("ALTER TABLE identity ADD COLUMN note TEXT", "UPDATE identity SET note = 'migrated'")


@pytest.fixture
def closed(path: str) -> str:
    with Store.open(path, create=True) as store:
        store.add(ALICE, NewSecret(Encoding("argon2id", "old")))
    return path


def modes(directory: str) -> dict[str, str]:
    return {name: f"{stat.S_IMODE(os.lstat(os.path.join(directory, name)).st_mode):04o}" for name in os.listdir(directory)}


def test_a7_all_files_are_closed_to_others_whatever_the_umask(path: str) -> None:
    umask = os.umask(0)
    try:
        with Store.open(path, create=True) as store:
            store.add(ALICE)
            assert modes(os.path.dirname(path)) == {"users.db": "0600", "users.db-wal": "0600", "users.db-shm": "0600"}
    finally:
        os.umask(umask)
    assert stat.S_IMODE(os.lstat(os.path.dirname(path)).st_mode) == 0o700
    assert os.listdir(os.path.dirname(path)) == ["users.db"]


def test_reading_never_makes_a_store(path: str) -> None:
    with pytest.raises(
        NoSuchStore, match=r"/store: no such directory; put it back or restore it; for a first user: `saslauthd-py user add`$"
    ):
        Store.open(path)
    os.mkdir(os.path.dirname(path), 0o700)
    with pytest.raises(
        NoSuchStore, match=r"users\.db: no such store; put it back or restore it; for a first user: `saslauthd-py user add`$"
    ):
        Store.open(path)
    assert os.listdir(os.path.dirname(path)) == []


def test_a_directory_that_user_add_would_not_make_either_is_only_missing(tmp_path: Path) -> None:
    with pytest.raises(NoSuchStore, match=r"/no/place: no such directory; is its file system mounted\?$"):
        Store.open(str(tmp_path / "no" / "place" / "users.db"))


def test_a_store_without_a_place_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be made: No such file or directory$"):
        Store.open(str(tmp_path / "no" / "place" / "users.db"), create=True)


def test_f1_a_store_is_made_whole_or_not_at_all(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (("CREATE TABLE one (two)", "no statement"),))
    with pytest.raises(StoreError, match="syntax error"):
        Store.open(path, create=True)
    assert os.listdir(os.path.dirname(path)) == []


def test_a_store_that_another_process_makes_meanwhile_stays(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrations.create(closed)
    assert os.listdir(os.path.dirname(closed)) == ["users.db"]
    with Store.open(closed, create=True) as store:
        assert store.get(ALICE).identity == ALICE


def test_c6_a_new_store_is_not_made_beside_an_old_wal(closed: str) -> None:
    with Store.open(closed) as store:
        store.lock(ALICE, "left")
        os.rename(closed, closed + ".away")
        with pytest.raises(BrokenStore, match=r"users\.db is gone, but .*users\.db-wal is here: put the store back, or restore it") as told:
            Store.open(closed, create=True)
        assert str(told.value).endswith(f"the changes that only {closed}-wal holds are lost then")
        os.rename(closed + ".away", closed)
    assert sorted(os.listdir(os.path.dirname(closed))) == ["users.db"]


@pytest.mark.parametrize("opened", [reader, writer])
def test_f4_every_connection_keeps_foreign_keys_and_trusts_nothing(closed: str, opened: Callable[[str], sqlite3.Connection]) -> None:
    with closing(opened(closed)) as connection:
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)


def test_f1_a_writer_waits_for_the_disk(closed: str) -> None:
    with Store.open(closed) as store:
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_f4_every_table_is_strict(closed: str) -> None:
    with closing(reader(closed)) as connection:
        tables = connection.execute(
            "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
    assert sorted(tables) == [("change", 1), ("decoy", 1), ("encoding", 1), ("identity", 1), ("secret", 1), ("store", 1)]


def test_every_store_has_an_id_of_its_own(closed: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other" / "users.db")
    Store.open(other, create=True).close()
    ids = set()
    for path in (closed, other):
        with closing(reader(path)) as connection:
            ids.add(connection.execute("SELECT id FROM store").fetchone()[0])
    assert len(ids) == 2
    assert {len(number) for number in ids} == {32}


def foreign(path: str) -> None:
    os.unlink(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE identity (id)")
    os.chmod(path, 0o600)


def garbage(path: str) -> None:
    Path(path).write_bytes(os.urandom(os.path.getsize(path)))


def half(path: str) -> None:
    os.truncate(path, os.path.getsize(path) // 2)


def empty(path: str) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (foreign, r"users\.db: not a store of saslauthd-py; name another path, or restore it from a backup: .*, start it$"),
        (empty, r"users\.db: not a store of saslauthd-py; name another path, or restore it from a backup: .*, start it$"),
        (garbage, r"users\.db: damaged \(file is not a database\); restore it from a backup: .*, start it$"),
        (half, r"users\.db: damaged \(database disk image is malformed\); restore it from a backup: .*, start it$"),
    ],
)
def test_what_is_no_store_is_refused_and_left_alone(closed: str, harm: Callable[[str], None], line: str) -> None:
    harm(closed)
    os.utime(closed, (0, 0))
    before = Path(closed).read_bytes()
    for create in (False, True):
        with pytest.raises(BrokenStore, match=line):
            Store.open(closed, create=create)
    assert Path(closed).read_bytes() == before
    assert os.listdir(os.path.dirname(closed)) == ["users.db"]


def test_c6_a_file_that_may_be_half_checkpointed_is_looked_at_again(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path(closed).read_bytes()
    half(closed)
    with pytest.raises(BusyStore, match=r"users\.db: being written$"):
        check_file(closed)
    monkeypatch.setattr("saslauthd_py.store.migrations.time.sleep", lambda _: Path(closed).write_bytes(whole))
    connection = migrations.open_current(closed)
    connection.close()


def test_c6_a_page_in_the_wal_does_not_hide_a_damaged_file(closed: str) -> None:
    with Store.open(closed) as store:
        store._connection.execute("CREATE TABLE more (one)")
        with closing(reader(closed)) as connection:
            garbage(closed)  # closing that file drops the locks of `store`: nobody else is here
            assert connection.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)
        with pytest.raises(BrokenStore, match="not a database"):
            check_file(closed)


def test_looking_at_the_file_keeps_the_locks_of_other_connections(closed: str) -> None:
    with closing(reader(closed)) as connection:
        connection.execute("SELECT * FROM identity").fetchall()
        number = os.lstat(closed).st_ino
        before = [line.split()[1:] for line in Path("/proc/locks").read_text().splitlines() if f":{number} " in line]
        check_file(closed)
        after = [line.split()[1:] for line in Path("/proc/locks").read_text().splitlines() if f":{number} " in line]
    assert before
    assert after == before


def test_f4_a_migration_first_puts_a_copy_aside_and_then_writes_into_the_live_file(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(closed) as keeps_a_wal:
        keeps_a_wal.lock(ALICE, "left")
        inode = os.lstat(closed).st_ino
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT))
            for _ in range(2):
                with Store.open(closed) as store:
                    assert store._connection.execute("PRAGMA user_version").fetchone() == (NEXT_VERSION,)
                    assert store._connection.execute("SELECT note FROM identity").fetchall() == [("migrated",)]
                    assert store.get(ALICE).locked == "left"
    assert os.lstat(closed).st_ino == inode
    assert modes(os.path.dirname(closed)) == {"users.db": "0600", f"users.db.before-{NEXT_VERSION}": "0600"}
    with Store.open(f"{closed}.before-{NEXT_VERSION}") as before:
        assert before.get(ALICE).locked == "left"
        assert before._connection.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_f3_f4_a_store_of_the_first_schema_gets_its_decoy_key_and_keeps_a_copy_without(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        with Store.open(path, create=True) as old:
            old.add(ALICE, NewSecret(Encoding("argon2id", "old")))
    with Store.open(path) as store:
        key = store.decoy_key()
        assert store.get(ALICE).credentials[0].encodings == (Encoding("argon2id", "old"),)
    with closing(sqlite3.connect(f"{path}.before-2")) as before:
        assert before.execute("PRAGMA user_version").fetchone() == (1,)
        assert before.execute("SELECT name FROM sqlite_schema WHERE name = 'decoy'").fetchall() == []
    with Store.open(path) as store:
        assert store.decoy_key() == key, "it lasts"


def test_f3_every_store_has_a_random_decoy_key_of_its_own_that_goes_with_a_copy(closed: str, tmp_path: Path) -> None:
    other, copy = str(tmp_path / "other" / "users.db"), str(tmp_path / "other" / "copy.db")
    Store.open(other, create=True).close()
    with closing(reader(closed)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    os.chmod(copy, 0o600)
    keys = []
    for name in (closed, other, copy):
        with Store.open(name) as store:
            keys.append(store.decoy_key().reveal())
    assert keys[0] == keys[2] != keys[1]
    assert {len(key) for key in keys} == {32}


def test_f3_a_store_whose_decoy_key_is_gone_says_so(closed: str) -> None:
    with Store.open(closed) as store:
        store._connection.execute("DELETE FROM decoy")
        with pytest.raises(BrokenStore, match=r"users\.db: its key for the salts of unknown names is gone$"):
            store.decoy_key()


def test_f1_a_migration_that_fails_leaves_the_store_as_it_was(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, (*NEXT, "no statement")))
        with pytest.raises(StoreError, match="syntax error"):
            Store.open(closed)
    with Store.open(closed) as store:
        assert store.get(ALICE).identity == ALICE
        assert "note" not in [row[1] for row in store._connection.execute("PRAGMA table_info(identity)")]


def test_f4_a_migration_without_room_for_the_copy_is_not_begun(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT))
    monkeypatch.setattr("saslauthd_py.store.migrations.os.replace", no_room)
    with pytest.raises(StoreError, match=rf"users\.db\.before-{NEXT_VERSION}: cannot be written: No space left on device$"):
        Store.open(closed)
    assert os.listdir(os.path.dirname(closed)) == ["users.db"]
    with closing(reader(closed)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_f4_a_newer_store_is_refused_also_by_whoever_had_it_open(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line = rf"users\.db: schema {NEXT_VERSION} is newer than this program's {VERSION}: restart the daemon, or upgrade this program$"
    with Store.open(closed) as store:
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT))
            Store.open(closed).close()
        with pytest.raises(NewerStore, match=line):
            store.lock(ALICE, "left")
        assert store.get(ALICE).locked is None
    with pytest.raises(NewerStore, match=line):
        Store.open(closed)


@pytest.mark.parametrize("side", access.SIDE_FILES)
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a7_a_store_that_others_can_reach_is_refused(closed: str, side: str, mode: int) -> None:
    with Store.open(closed) as store:
        store.lock(ALICE, "left")
        for name, right in ((closed, 0o600), (closed + side, 0o600), (os.path.dirname(closed), 0o700)):
            os.chmod(name, mode | (right & 0o100))
            with pytest.raises(UnsafeStore, match=rf"{name}: mode 0[67][04][04] lets others in; run: chmod 0{right:o} {name}$"):
                access.check(closed)
            os.chmod(name, right)
        access.check(closed)


@pytest.mark.parametrize(("wrong", "what"), [(0o400, "writing"), (0o200, "reading"), (0o000, "reading and writing")])
def test_a7_a_file_that_its_owner_cannot_use_is_refused(closed: str, wrong: int, what: str) -> None:
    with Store.open(closed) as store:
        store.lock(ALICE, "left")
        for name in (closed, *(closed + side for side in access.SIDE_FILES)):
            os.chmod(name, wrong)
            with pytest.raises(UnsafeStore) as refused:
                Store.open(closed)
            assert str(refused.value) == f"{name}: mode {wrong:04o} keeps its owner from {what}; run: chmod 0600 {name}"
            os.chmod(name, 0o600)
    Store.open(closed).close()


@pytest.mark.parametrize(("wrong", "what"), [(0o500, "writing"), (0o600, "entering"), (0o300, "reading")])
def test_a7_a_directory_that_its_owner_cannot_use_is_refused(closed: str, wrong: int, what: str) -> None:
    directory = os.path.dirname(closed)
    os.chmod(directory, wrong)
    try:
        with pytest.raises(UnsafeStore) as refused:
            access.check(closed)
    finally:
        os.chmod(directory, 0o700)
    assert str(refused.value) == f"{directory}: mode {wrong:04o} keeps its owner from {what}; run: chmod 0700 {directory}"


@pytest.mark.parametrize("linked", ["users.db", "users.db-wal", ""])
def test_a7_a_symbolic_link_is_refused(closed: str, tmp_path: Path, linked: str) -> None:
    name = os.path.join(os.path.dirname(closed), linked).rstrip("/")
    away = str(tmp_path / "away")
    if os.path.lexists(name):
        os.rename(name, away)
    os.symlink(away, name)
    with pytest.raises(UnsafeStore, match=rf"{name}: a symbolic link; "):
        Store.open(closed)
    assert linked != "users.db-wal" or not os.path.exists(away)


def test_a_place_that_cannot_be_looked_at_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"/file/store: Not a directory$"):
        Store.open(str(tmp_path / "file" / "store" / "users.db"))


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (sqlite3.SQLITE_BUSY | 1 << 8, "locked by another process; try again"),
        (sqlite3.SQLITE_LOCKED, "locked by another process; try again"),
        (sqlite3.SQLITE_FULL, "said; is the disk full? Make room there"),
        (sqlite3.SQLITE_IOERR | 2 << 8, "said; is the disk full? If not: look at the kernel's log; then restart the daemon"),
        (sqlite3.SQLITE_READONLY, "said; is its file system mounted read-only?"),
        (sqlite3.SQLITE_CANTOPEN, "no such store; put it back or restore it; for a first user: `saslauthd-py user add`"),
        (sqlite3.SQLITE_ERROR, "said"),
    ],
)
def test_what_sqlite_says_becomes_one_line_with_advice(path: str, code: int, line: str) -> None:
    error = sqlite3.OperationalError("said")
    error.sqlite_errorcode = code
    assert str(store_error(path, error)) == f"{path}: {line}"


def test_a_store_that_is_there_and_cannot_be_opened_says_where_to_look(closed: str) -> None:
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    assert str(store_error(closed, error)) == (
        f"{closed}: unable to open database file; is its file system mounted read-only? "
        "If not: look at its permissions, and how many files this process has open"
    )


def test_c6_a_damaged_store_is_told_with_all_that_restores_it(path: str) -> None:
    error = sqlite3.DatabaseError("said")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    assert str(store_error(path, error)) == (
        f"{path}: damaged (said); restore it from a backup: stop the daemon, move {path}, {path}-wal and {path}-shm away, "
        "saslauthd-py restore BACKUP, start it"
    )
