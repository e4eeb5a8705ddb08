from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from saslauthd_py.backend import BackendBusy, BackendUnreadable
from saslauthd_py.credential import Encoding
from saslauthd_py.identity import key, split
from saslauthd_py.store import changes, connection, schema, usage
from saslauthd_py.store.connection import connect
from saslauthd_py.store.errors import BrokenStore, NewerStore, NoSuchStore, UnsafeStore
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.reader import find
from saslauthd_py.store.rehash import replace_encoding
from saslauthd_py.store.store import Store
from saslauthd_py.store.watch import Watch

ALICE, BOB = split("Alice@example.org"), split("bob@example.org")
NOTHING: frozenset[str] = frozenset()
VERSION = len(schema.MIGRATIONS)
Elsewhere = Callable[..., None]


@pytest.fixture
def served(path: str) -> str:
    """A store with two accounts, last written long ago."""
    with Store.open(path, create=True) as store:
        for identity in (ALICE, BOB):
            store.add(identity, NewSecret(Encoding("argon2id", "old")))
    settle(path)
    return path


@pytest.fixture
def watched(served: str) -> Iterator[Watch]:
    with closing(Watch(served)) as opened:
        assert opened.look() == NOTHING
        assert opened._unchanged is not None
        yield opened


def settle(path: str) -> None:
    os.utime(path, (1e9, 1e9))


def content(path: str) -> bytes:
    """What is in the file, read by another process: a descriptor closed here would drop SQLite's locks."""
    return subprocess.run(["cat", path], capture_output=True, check=True).stdout


def text_of(watched: Watch) -> str:
    account = find(watched.connection, key(ALICE))
    assert account is not None
    return account.credentials[0].encodings[0].text


def test_c6_a_change_by_another_process_is_seen_at_the_next_look(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    for number in range(20):
        elsewhere("passwd", served, "alice@example.org", f"new {number}")
        assert watched.look() == frozenset({"alice@example.org"})
        assert text_of(watched) == f"new {number}"
        assert watched.look() == NOTHING


def test_c6_only_the_accounts_that_changed_are_named(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    alice, bob, zoe = (watched.generation(name) for name in ("alice@example.org", "bob@example.org", "zoe@example.org"))
    elsewhere("lock", served, "ALICE@example.org")
    elsewhere("add", served, "Zoe@Example.org")
    assert watched.look() == frozenset({"alice@example.org", "zoe@example.org"})
    assert watched.generation("alice@example.org") != alice
    assert watched.generation("zoe@example.org") != zoe
    assert watched.generation("bob@example.org") == bob


def test_c6_both_names_of_a_rename_and_the_removed_are_named(watched: Watch, served: str) -> None:
    with Store.open(served) as store:
        store.rename(ALICE, split("carol@example.net"))
        assert watched.look() == frozenset({"alice@example.org", "carol@example.net"})
        store.remove(BOB)
        assert watched.look() == frozenset({"bob@example.org"})


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE identity SET locked = 'by hand' WHERE id = 1", {"alice@example.org"}),
        ("UPDATE identity SET local = 'dave', local_key = 'dave' WHERE id = 1", {"alice@example.org", "dave@example.org"}),
        ("DELETE FROM identity WHERE id = 2", {"bob@example.org"}),
        ("UPDATE secret SET disabled = 1 WHERE id = 2", {"bob@example.org"}),
        ("UPDATE secret SET identity = 2, kind = 'app', label = 'x' WHERE id = 1", {"alice@example.org", "bob@example.org"}),
        ("DELETE FROM secret WHERE id = 1", {"alice@example.org"}),
        ("INSERT INTO secret SELECT 9, identity, 'app', 'x', '[]', '[]', NULL, 0, 1, 0, 0 FROM secret WHERE id = 2", {"bob@example.org"}),
        ("UPDATE encoding SET text = 'by hand' WHERE secret = 1", {"alice@example.org"}),
        ("UPDATE encoding SET secret = 2, scheme = 'x' WHERE secret = 1", {"alice@example.org", "bob@example.org"}),
        ("DELETE FROM encoding WHERE secret = 2", {"bob@example.org"}),
        ("INSERT INTO encoding VALUES (2, 'scram-sha-256', NULL, 'keys')", {"bob@example.org"}),
    ],
)
def test_c6_whoever_writes_is_seen(watched: Watch, served: str, elsewhere: Elsewhere, statement: str, named: set[str]) -> None:
    elsewhere("sql", served, statement)
    assert watched.look() == frozenset(named)


def test_c6_a_change_that_names_nobody_may_be_of_anybody(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    before = watched.generation("bob@example.org")
    elsewhere("sql", served, "CREATE TABLE by_hand (one)")
    assert watched.look() is None
    assert watched.generation("bob@example.org") != before
    elsewhere("sql", served, "INSERT INTO change (local, realm) VALUES (char(10), '')")
    assert watched.look() is None
    elsewhere("sql", served, "INSERT INTO change (local, realm) VALUES (char(10), '')", "PRAGMA wal_checkpoint(TRUNCATE)")
    assert watched.look() is None
    settle(served)
    assert watched.look() == NOTHING


def test_c6_changes_that_were_trimmed_may_be_of_anybody(watched: Watch, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "CHANGES_KEPT", 10)
    with Store.open(served) as store:
        store.lock(ALICE, "left")
        assert watched.look() == frozenset({"alice@example.org"})
        for _ in range(3):
            store.set_secret(BOB, NewSecret(Encoding("argon2id", "new")))
        assert store._connection.execute("SELECT count(*) FROM change").fetchone() == (10,)
    assert watched.look() is None
    assert watched.look() == NOTHING


def test_c6_a_change_table_emptied_by_hand_may_be_of_anybody(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    elsewhere("sql", served, "DELETE FROM change")
    assert watched.look() is None
    elsewhere("passwd", served, "alice@example.org", "new")
    assert watched.look() is None
    elsewhere("passwd", served, "bob@example.org", "new")
    assert watched.look() == frozenset({"bob@example.org"})


def test_c6_more_changes_than_are_read_in_one_look_may_be_of_anybody(watched: Watch, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_NAMED", 4)
    with Store.open(served) as store:
        store.lock(ALICE, "left")
        store.lock(BOB, "left")
        store.unlock(BOB)
        store.unlock(ALICE)
        assert watched.look() == frozenset({"alice@example.org", "bob@example.org"})
        for identity in (ALICE, BOB, ALICE, BOB, ALICE):
            store.rename(identity, identity)
    assert watched.look() is None


class Interrupted:
    """A connection during whose reading something else happens, just before one statement."""

    def __init__(self, inner: sqlite3.Connection, before: str, happens: Callable[[], None]) -> None:
        self._inner, self._before, self._happens = inner, before, happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement.startswith(self._before):
            self._happens()
        return self._inner.execute(statement, *values)


@pytest.mark.parametrize("before", ["PRAGMA application_id", "SELECT id, mark, local", "PRAGMA data_version"])
def test_c6_a_commit_while_the_changes_are_read_is_named_now_or_next(
    watched: Watch, served: str, elsewhere: Elsewhere, before: str
) -> None:
    elsewhere("lock", served, "alice@example.org")
    watched.connection = cast(
        sqlite3.Connection, Interrupted(watched.connection, before, lambda: elsewhere("lock", served, "bob@example.org"))
    )
    named = watched.look()
    watched.connection = cast(Interrupted, watched.connection)._inner
    assert named is not None
    assert watched.look() == frozenset({"alice@example.org", "bob@example.org"}) - named


def test_c6_a_checkpoint_keeps_serving_on_a_new_connection(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    elsewhere("passwd", served, "alice@example.org", "new")
    before = watched.connection
    elsewhere("sql", served, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert watched.look() == frozenset({"alice@example.org"})
    assert watched.connection is not before
    with pytest.raises(sqlite3.ProgrammingError):
        before.execute("SELECT 1")
    assert text_of(watched) == "new"
    elsewhere("sql", served, "PRAGMA wal_checkpoint(TRUNCATE)")
    settle(served)
    assert watched.look() == NOTHING
    elsewhere("lock", served, "bob@example.org")
    assert watched.look() == frozenset({"bob@example.org"})


def test_c6_a_file_written_just_now_is_opened_anew_until_its_mtime_can_tell(watched: Watch, served: str) -> None:
    os.utime(served)
    assert watched.look() == NOTHING
    between = watched.connection
    assert watched.look() == NOTHING
    assert watched.connection is not between
    settle(served)
    assert watched.look() == NOTHING
    after = watched.connection
    assert watched.look() == NOTHING
    assert watched.connection is after


def test_c6_a_file_that_is_gone_is_unreadable_until_it_is_back(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    elsewhere("passwd", served, "alice@example.org", "new")
    os.rename(served, served + ".away")
    for _ in range(2):
        with pytest.raises(BackendUnreadable, match=r"users\.db: the file is gone; put it back, or restore it from a backup: "):
            watched.look()
    os.rename(served + ".away", served)
    before = watched.generation("bob@example.org")
    assert watched.look() is None
    assert watched.generation("bob@example.org") != before
    assert text_of(watched) == "new"
    assert watched.look() == NOTHING


@pytest.mark.parametrize("mode", [0o400, 0o444, 0o000])
def test_a7_a_mode_that_keeps_the_daemon_out_is_unreadable_until_mended(watched: Watch, served: str, mode: int) -> None:
    os.chmod(served, mode)
    for _ in range(2):
        with pytest.raises(BackendUnreadable, match=rf"users\.db: mode {mode:04o} .*; run: chmod 0600 .*users\.db$"):
            watched.look()
    os.chmod(served, 0o600)
    assert watched.look() is None
    assert text_of(watched) == "old"


def test_a7_a_daemon_does_not_start_on_a_store_it_cannot_write(served: str) -> None:
    os.chmod(served, 0o400)
    with pytest.raises(UnsafeStore, match=r"users\.db: mode 0400 keeps its owner from writing; run: chmod 0600 "):
        Watch(served)
    assert os.listdir(os.path.dirname(served)) == ["users.db"]
    os.chmod(served, 0o600)
    Watch(served).close()


def test_a7_a_directory_that_became_closed_is_told_with_its_mode(watched: Watch, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, lstat = os.path.dirname(served), os.lstat

    def as_its_owner(name: str) -> os.stat_result:
        if name.startswith(directory + "/"):  # root would be let in
            raise PermissionError(13, "Permission denied")
        return lstat(name)

    os.chmod(directory, 0o600)
    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", as_its_owner)
        with pytest.raises(BackendUnreadable, match=r"/store: mode 0600 keeps its owner from entering; run: chmod 0700 .*/store$"):
            watched.look()
    os.chmod(directory, 0o700)
    assert watched.look() is None


def test_c6_a_directory_that_is_gone_is_unreadable(watched: Watch, served: str) -> None:
    directory = os.path.dirname(served)
    os.rename(directory, directory + ".away")
    with pytest.raises(BackendUnreadable, match="the file is gone"):
        watched.look()
    Path(directory).touch()
    with pytest.raises(BackendUnreadable, match=r"users\.db: Not a directory$"):
        watched.look()
    os.unlink(directory)
    os.rename(directory + ".away", directory)
    assert watched.look() is None


def test_c6_another_file_of_the_same_size_and_mtime_is_noticed(watched: Watch, served: str) -> None:
    shutil.copy2(served, served + ".copy")
    os.rename(served, served + ".away")
    os.rename(served + ".copy", served)
    assert os.lstat(served)[6:9] == os.lstat(served + ".away")[6:9]
    for _ in range(2):
        with pytest.raises(BackendUnreadable, match=r"users\.db: another file is in its place; put the old one back; or, to restore "):
            watched.look()
    os.rename(served + ".away", served)
    assert watched.look() is None


def test_c6_a_link_to_the_very_file_is_another_file(watched: Watch, served: str) -> None:
    os.rename(served, served + ".away")
    os.symlink(served + ".away", served)
    with pytest.raises(BackendUnreadable, match="another file"):
        watched.look()


def test_c6_a_store_renamed_over_this_one_is_never_mixed_with_the_old_wal(
    watched: Watch, served: str, tmp_path: Path, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = str(tmp_path / "other" / "users.db")
    elsewhere("add", other, "mallory@example.org")
    settle(other)
    elsewhere("passwd", served, "alice@example.org", "in the wal only")
    before = Path(other).read_bytes()
    os.link(served, served + ".old")
    os.rename(other, served)
    for _ in range(2):
        with pytest.raises(BackendUnreadable, match="another file"):
            watched.look()
    watched.close()
    assert Path(served).read_bytes() == before
    os.unlink(served + "-wal")
    os.unlink(served + "-shm")
    monkeypatch.setattr(connection, "_held", Counter())  # as in a new process
    with closing(Watch(served)) as restarted:
        assert find(restarted.connection, key(split("mallory@example.org"))) is not None
        assert find(restarted.connection, key(ALICE)) is None


def test_c6_no_other_part_of_the_daemon_opens_a_file_that_took_the_stores_place(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    elsewhere("passwd", served, "alice@example.org", "in the wal only")
    shutil.copy2(served, served + ".copy")
    os.rename(served, served + ".away")
    with pytest.raises(NoSuchStore):
        usage.read(served, range(10))
    os.rename(served + ".copy", served)
    before = Path(served).read_bytes()
    old, new = Encoding("argon2id", "old"), Encoding("argon2id", "new")
    acts: list[Callable[[], object]] = [
        lambda: usage.write(served, {1: 1.0}),
        lambda: usage.read(served, range(10)),
        lambda: replace_encoding(served, 1, 1, old, new),
        lambda: connection.reader(served, 1.0),
        lambda: Watch(served),
    ]
    for act in acts:
        with pytest.raises(UnsafeStore, match="another file is in its place"):
            act()
    assert Path(served).read_bytes() == before
    os.rename(served + ".away", served)
    usage.write(served, {1: 1.0})
    assert watched.look() == frozenset({"alice@example.org"})


def test_c6_a_file_that_no_watch_holds_any_more_may_be_another(served: str) -> None:
    with closing(Watch(served)) as first:
        with closing(Watch(served)) as other:
            other.close()
        os.rename(served, served + ".away")
        shutil.copy2(served + ".away", served)
        with pytest.raises(UnsafeStore):
            connection.reader(served)
        os.rename(served + ".away", served)
        assert first.look() == NOTHING
    shutil.copy2(served, served + ".copy")
    os.rename(served + ".copy", served)
    with closing(Watch(served)) as second:
        assert find(second.connection, key(ALICE)) is not None


def test_c6_a_file_replaced_while_it_is_opened_is_not_closed_into_the_new_one(
    watched: Watch, served: str, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere("passwd", served, "alice@example.org", "in the wal only")
    shutil.copy2(served, served + ".copy")
    before = Path(served + ".copy").read_bytes()

    def replaced(path: str, how: str, wait: float) -> sqlite3.Connection:
        if how == "mode=rw":
            os.rename(path, path + ".away")
            os.rename(path + ".copy", path)
        return connect(path, how, wait)

    monkeypatch.setattr(connection, "connect", replaced)
    os.utime(served, (2e9, 2e9))
    with pytest.raises(BackendUnreadable, match="another file"):
        watched.look()
    assert Path(served).read_bytes() == before
    assert os.path.exists(served + "-wal")


def test_c6_garbage_over_the_file_is_noticed_left_alone_and_mended(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    elsewhere("copy", served, served + ".good")
    elsewhere("passwd", served, "alice@example.org", "in the wal only")
    old = watched.connection
    elsewhere("garbage", served)
    damaged = content(served)
    for _ in range(2):
        with pytest.raises(BackendUnreadable, match=r"users\.db: damaged \(file is not a database\); restore it from a backup: "):
            watched.look()
    assert watched.connection is old
    assert content(served) == damaged
    elsewhere("write over", served, served + ".good")
    assert watched.look() is None
    assert text_of(watched) == "in the wal only"


def test_c6_garbage_under_a_wal_that_holds_every_page_is_noticed(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    elsewhere("sql", served, "VACUUM")
    assert watched.look() is not NOTHING
    elsewhere("garbage", served)
    with closing(sqlite3.connect(served)) as unsuspecting:
        assert unsuspecting.execute("SELECT count(*) FROM identity").fetchone() == (2,)
        with pytest.raises(BackendUnreadable, match="damaged"):
            watched.look()


@pytest.mark.parametrize("size", [0, 100, 4096, 20_000])
def test_c6_a_truncated_file_is_noticed_and_mended(watched: Watch, served: str, elsewhere: Elsewhere, size: int) -> None:
    elsewhere("copy", served, served + ".good")
    elsewhere("truncate", served, str(size))
    with pytest.raises(BackendUnreadable):
        watched.look()
    settle(served)
    with pytest.raises(BackendUnreadable, match=r"restore it from a backup: "):
        watched.look()
    elsewhere("write over", served, served + ".good")
    assert watched.look() is None
    assert text_of(watched) == "old"


def test_c6_a_file_that_may_be_half_checkpointed_is_busy(
    watched: Watch, served: str, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere("truncate", served, "20000")
    os.utime(served, (4e9, 4e9))
    with pytest.raises(BackendUnreadable, match="damaged"):
        watched.look()
    settle(served)
    monkeypatch.setattr(connection, "UNSETTLED", 10**19)
    with pytest.raises(BackendBusy, match=r"users\.db: being written$"):
        watched.look()


def test_c6_a_damaged_file_is_left_as_it_is_at_the_end(served: str, environment: dict[str, str], elsewhere: Elsewhere) -> None:
    script = """
import sys
from saslauthd_py.backend import BackendBusy, BackendUnreadable
from saslauthd_py.store.watch import Watch
watch = Watch(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
try:
    watch.look()
except BackendUnreadable:
    watch.close()
    print("damaged", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, served], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as daemon:
        assert daemon.stdin is not None
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "open\n"
        elsewhere("passwd", served, "alice@example.org", "in the wal only")
        elsewhere("garbage", served)
        before = Path(served).read_bytes(), Path(served + "-wal").read_bytes()
        daemon.stdin.close()
        assert daemon.stdout.read() == "damaged\n"
    assert daemon.returncode == 0
    assert (Path(served).read_bytes(), Path(served + "-wal").read_bytes()) == before


def test_c6_a_wal_that_was_removed_is_never_taken_for_no_change(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    elsewhere("passwd", served, "alice@example.org", "lost with the wal")
    assert watched.look() == frozenset({"alice@example.org"})
    os.unlink(served + "-wal")
    os.unlink(served + "-shm")
    elsewhere("passwd", served, "alice@example.org", "new")
    try:
        assert watched.look() is None
    except BackendUnreadable:
        return
    assert text_of(watched) == "new"


@pytest.mark.parametrize(("mode", "line"), [(0o640, "chmod 0600"), (0o606, "chmod 0600")])
def test_c6_a_file_opened_to_others_is_unreadable_until_it_is_closed(watched: Watch, served: str, mode: int, line: str) -> None:
    os.chmod(served, mode)
    with pytest.raises(BackendUnreadable, match=line):
        watched.look()
    os.chmod(served, 0o600)
    assert watched.look() is None


@pytest.mark.root
def test_c6_a_file_given_to_another_user_is_unreadable(watched: Watch, served: str) -> None:
    os.chown(served, 65534, -1)
    with pytest.raises(BackendUnreadable, match=r"users\.db: belongs to "):
        watched.look()
    os.chown(served, os.geteuid(), -1)
    assert watched.look() is None


def test_c6_a_locked_store_is_busy_and_then_looked_at_again(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    elsewhere("passwd", served, "alice@example.org", "new")
    inner, watched._cursor = watched._cursor, Locked()  # type: ignore[assignment]  # stands in for a cursor
    with pytest.raises(BackendBusy, match="locked by another process"):
        watched.look()
    watched._cursor = inner
    assert watched.look() == frozenset({"alice@example.org"})


class Locked:
    def execute(self, _: str) -> None:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error


def test_c6_a_store_put_back_from_a_copy_and_changed_since_may_be_of_anybody(
    watched: Watch, served: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    copy = str(tmp_path / "copy")
    with closing(sqlite3.connect(served)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    elsewhere("passwd", served, "alice@example.org", "new")
    elsewhere("lock", served, "bob@example.org")
    assert watched.look() == frozenset({"alice@example.org", "bob@example.org"})
    with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(served)) as target:
        source.backup(target)
    for _ in range(3):
        elsewhere("lock", served, "bob@example.org")
        elsewhere("passwd", served, "bob@example.org", "x")
    assert watched.look() is None
    assert text_of(watched) == "old"


def test_f4_a_schema_that_became_newer_is_unreadable_and_says_restart(watched: Watch, served: str, elsewhere: Elsewhere) -> None:
    elsewhere("sql", served, f"PRAGMA user_version={VERSION + 1}")
    for _ in range(2):
        with pytest.raises(BackendUnreadable, match=rf"schema {VERSION + 1} is newer than this program's {VERSION}: restart the daemon"):
            watched.look()
    elsewhere("sql", served, "PRAGMA user_version=0")
    with pytest.raises(BackendUnreadable, match=r"older than this program's.*restart the daemon"):
        watched.look()
    elsewhere("sql", served, f"PRAGMA user_version={VERSION}")
    assert watched.look() is None


def test_f4_an_older_store_is_migrated_when_the_daemon_opens_it(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("ALTER TABLE identity ADD COLUMN note TEXT",)))
    with closing(Watch(served)) as opened:
        assert opened.connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
        assert opened.look() == NOTHING
    assert os.path.exists(f"{served}.before-{VERSION + 1}")


def test_a_store_that_cannot_be_opened_says_why(path: str, served: str, elsewhere: Elsewhere) -> None:
    with pytest.raises(NoSuchStore):
        Watch(path + ".none")
    os.chmod(path, 0o644)
    with pytest.raises(UnsafeStore):
        Watch(path)
    os.chmod(path, 0o600)
    elsewhere("sql", path, f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(NewerStore):
        Watch(path)
    elsewhere("garbage", path)
    with pytest.raises(BrokenStore):
        Watch(path)


def test_the_daemon_cannot_write_by_its_connection(watched: Watch) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        watched.connection.execute("DELETE FROM identity")
