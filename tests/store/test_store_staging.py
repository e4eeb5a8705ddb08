from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from saslauthd_py.credential import Credential, Encoding, Kind, Restrictions
from saslauthd_py.identity import Identity, split
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.store import changes, merging, staging, usage
from saslauthd_py.store.errors import BusyStore, NewerStore, StoreError
from saslauthd_py.store.incoming import Incoming, IncomingSecret, row_list
from saslauthd_py.store.merging import Name, OnConflict, Wanted, Written
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.store import SETTLE, Store
from saslauthd_py.store.watch import Watch

HASH = Encoding("argon2id", "$argon2id$v=19$m=8,t=1,p=1$YmVuY2hpbmdiZW5jaGluZw$E+qBBX3+DI0e+N48K55cfw")
OTHER = Encoding("apr1", "$apr1$RGpBFz2q$WAhYKLRHdEnmTBNNCdzNK0")
KEYS = Encoding("scram-sha-256", "{SCRAM-SHA-256}4096,c2FsdHNhbHQ=," + "QUFB" * 10 + "QUE=," + "QUFB" * 10 + "QUE=")
ALICE, BOB = split("alice@example.org"), split("bob@example.org")
ADD = Wanted()
Tell = Callable[[Name, Identity], None]


def unheard(_: Name, there: Identity) -> None:
    raise AssertionError(there)


def one(name: str | Identity, encoding: Encoding = HASH) -> Incoming:
    return Incoming(split(name) if isinstance(name, str) else name, (IncomingSecret((encoding,)),))


def imported(path: str, *accounts: Incoming, wanted: Wanted = ADD, tell: Tell = unheard, dry: bool = False) -> Written:
    with staging.rehearsed(path) if dry else staging.opened(path) as staged:
        for line, account in enumerate(accounts, 1):
            staged.put(row_list(line, account))
        assert list(staged.repeated()) == []
        return staged.write(wanted, tell, dry=dry)


def main(path: str, identity: Identity = ALICE) -> Credential:
    with Store.open(path) as store:
        return next(credential for credential in store.get(identity).credentials if credential.kind is Kind.MAIN)


def schema_of(path: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    return found


@pytest.fixture
def there(path: str) -> str:
    """A store with alice, who has an app password, a rule, a lock and SCRAM keys."""
    with Store.open(path, create=True) as store:
        limits = Restrictions(("smtp",), expires=4e9)
        store.add(ALICE, NewSecret(HASH, limits, (KEYS,)))
        store.lock(ALICE, "because")
        store._connection.execute("INSERT INTO secret VALUES (NULL, 1, 'app', 'phone', '[]', '[]', NULL, 0, 1, 5.0, 6.0)")
        store._connection.execute("INSERT INTO encoding VALUES (2, 'argon2id', NULL, ?)", (HASH.text,))
    return path


def test_accounts_are_as_if_they_had_been_added_one_by_one(path: str, store: Store) -> None:
    limits = Restrictions(("smtp", "imap"), expires=4e9)
    app = IncomingSecret((OTHER,), Kind.APP, "phone", limits, disabled=True, created=1.5, changed=2.5)
    whole = Incoming(ALICE, (IncomingSecret((HASH, KEYS), created=3.5), app), "why", 10.5, 11.5)
    begun = time.time()
    assert imported(path, whole, Incoming(BOB, ()), one("Zoë")) == Written(3, 0, 0)
    alice = store.get(ALICE)
    assert (alice.locked, alice.created, alice.changed) == ("why", 10.5, 11.5)
    first, second = alice.credentials
    assert (first.kind, first.label, first.encodings, first.generation, first.disabled) == (Kind.MAIN, "", (HASH, KEYS), 1, False)
    assert (second.kind, second.label, second.encodings, second.disabled) == (Kind.APP, "phone", (OTHER,), True)
    assert (first.restrictions.none, second.restrictions) == (True, limits)
    bob = store.get(BOB)
    assert bob.credentials == ()
    assert begun <= bob.created == bob.changed <= time.time()
    assert store.get(split("ZOË")).identity == Identity("Zoë")
    times = store._connection.execute("SELECT created, changed FROM secret ORDER BY id").fetchall()
    assert times[0][0] == 3.5
    assert times[0][1] >= begun
    assert times[1] == (1.5, 2.5)
    profiles = store._connection.execute("SELECT scheme, profile FROM encoding ORDER BY secret, scheme").fetchall()
    assert profiles[:3] == [("argon2id", "argon2id m=8,t=1,p=1"), ("scram-sha-256", "scram-sha-256 rounds=4096"), ("apr1", None)]


def test_import_leaves_the_schema_with_its_triggers_as_it_was(path: str, store: Store) -> None:
    before = schema_of(path)
    assert [name for kind, name, *_ in before if kind == "trigger"]
    imported(path, one("alice"))
    imported(path, one("alice", OTHER), wanted=Wanted(OnConflict.REPLACE), tell=lambda *_: None)
    assert schema_of(path) == before
    with closing(sqlite3.connect(path)) as by_hand:
        by_hand.execute("UPDATE identity SET locked = 'by hand'")
        assert by_hand.execute("SELECT local FROM change ORDER BY id DESC LIMIT 1").fetchone() == ("alice",)


def test_trigger_that_is_not_ours_stays_and_works(path: str, store: Store) -> None:
    store._connection.execute("CREATE TABLE seen (local TEXT) STRICT")
    store._connection.execute("CREATE TRIGGER theirs AFTER INSERT ON identity BEGIN INSERT INTO seen VALUES (NEW.local); END")
    imported(path, one("alice"))
    assert store._connection.execute("SELECT local FROM seen").fetchall() == [("alice",)]


def test_b5_names_that_fold_to_one_are_told_and_the_first_line_counts(path: str, store: Store) -> None:
    names = ["Alice@example.org", "bob@example.org", "alice@EXAMPLE.org", "alice@example.org", "BOB@example.org", "zoe"]
    with staging.opened(path) as staged:
        for line in (5, 3, 1, 6, 2, 4):  # as processes are done with them
            staged.put(row_list(line, one(names[line - 1])))
        found = [(later.line, str(later.identity), first.line, str(first.identity)) for later, first in staged.repeated()]
        assert found == [
            (3, "alice@EXAMPLE.org", 1, "Alice@example.org"),
            (4, "alice@example.org", 1, "Alice@example.org"),
            (5, "BOB@example.org", 2, "bob@example.org"),
        ]
        assert staged.write(Wanted(), unheard) == Written(3, 0, 0)
    assert sorted(str(account.identity) for account in store.accounts()) == ["Alice@example.org", "bob@example.org", "zoe"]


def test_f1_with_fail_a_name_that_is_there_keeps_all_out(there: str) -> None:
    before = schema_of(there), main(there)
    told: list[tuple[Name, Identity]] = []
    written = imported(there, one("bob"), one("ALICE@example.org", OTHER), tell=lambda *what: told.append(what))
    assert written == Written(0, 0, 1)
    assert told == [(Name(split("ALICE@example.org"), 2), ALICE)]
    assert (schema_of(there), main(there)) == before
    with Store.open(there) as store:
        assert [account.identity for account in store.accounts()] == [ALICE]


def test_with_skip_a_name_that_is_there_stays_as_it_is(there: str) -> None:
    before = main(there)
    assert imported(there, one("bob"), one(ALICE, OTHER), wanted=Wanted(OnConflict.SKIP), tell=lambda *_: None) == Written(1, 0, 1)
    assert main(there) == before
    with Store.open(there) as store:
        assert store.get(Identity("bob")).credentials[0].encodings == (HASH,)


def test_f2_with_replace_no_encoding_of_the_old_password_stays_and_its_rules_do(there: str) -> None:
    written = imported(there, one(ALICE, OTHER), one("new"), wanted=Wanted(OnConflict.REPLACE), tell=lambda *_: None)
    assert written == Written(1, 1, 1)
    with Store.open(there) as store:
        alice = store.get(ALICE)
        kept, app = alice.credentials
        assert kept.encodings == (OTHER,)
        assert kept.restrictions == Restrictions(("smtp",), expires=4e9)
        assert kept.id > 2, "what was on its way for the old password finds no other one"
        assert (app.id, app.label, app.encodings) == (2, "phone", (HASH,))
        assert (alice.id, alice.locked) == (1, "because")
        assert len(store.get(Identity("new")).credentials) == 1
        assert store._connection.execute("SELECT count(*) FROM secret").fetchone() == (3,)


def test_with_replace_what_the_file_says_of_rules_and_locks_counts(there: str) -> None:
    secret = IncomingSecret((OTHER,), restrictions=Restrictions(expires=3e9))
    imported(there, Incoming(ALICE, (secret,), "told"), wanted=Wanted(OnConflict.REPLACE), tell=lambda *_: None)
    with Store.open(there) as store:
        alice = store.get(ALICE)
    assert alice.locked == "told"
    assert alice.credentials[0].restrictions == Restrictions(("smtp",), expires=3e9)


def test_with_replace_of_whole_accounts_nothing_of_the_old_one_stays(there: str) -> None:
    imported(there, one(ALICE, OTHER), wanted=Wanted(OnConflict.REPLACE, whole=True), tell=lambda *_: None)
    with Store.open(there) as store:
        alice = store.get(ALICE)
        (only,) = alice.credentials
        assert (alice.locked, only.encodings, only.restrictions.none) == (None, (OTHER,), True)
        assert alice.id > 1
        assert only.id > 2
        assert store._connection.execute("SELECT count(*) FROM encoding").fetchone() == (1,)


def test_f4_ids_of_removed_accounts_are_not_given_to_imported_ones(path: str, store: Store) -> None:
    for _ in range(3):
        imported(path, one("alice"), one("bob"))
        ids = {credential.id for account in store.accounts() for credential in account.credentials}
        last = store._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'secret'").fetchone()[0]
        assert max(ids) == last
        for name in ("alice", "bob"):
            store.remove(Identity(name))
        with Store.open(path) as again:
            assert again.add(Identity("x"), NewSecret(HASH)).credentials[0].id == last + 1
            again.remove(Identity("x"))


def test_last_uses_are_noted_for_the_ids_that_the_secrets_got(path: str, store: Store) -> None:
    imported(path, one("bob"))
    used = IncomingSecret((HASH, KEYS), last_use=77.5)
    app = IncomingSecret((OTHER,), Kind.APP, "phone", last_use=88.5)
    imported(path, one("carl"), Incoming(ALICE, (used, app)), one("dora"))
    first, second = store.get(ALICE).credentials
    everything = [credential.id for account in store.accounts() for credential in account.credentials]
    assert usage.read(path, everything) == {first.id: 77.5, second.id: 88.5}


def test_last_uses_that_cannot_be_noted_are_told_and_the_accounts_are_there(path: str, store: Store) -> None:
    Path(path).with_name("usage.db").write_bytes(b"garbage" * 1000)
    written = imported(path, Incoming(ALICE, (IncomingSecret((HASH,), last_use=77.5),)))
    assert written.added == 1
    assert written.unnoted.endswith("usage.db: damaged; remove it, it holds only when secrets were last used")
    assert store.get(ALICE).credentials[0].encodings == (HASH,)


def test_f3_decoy_key_is_taken_over_by_a_store_without_accounts_alone(path: str, store: Store) -> None:
    own, first, second = store.decoy_key(), Secret(b"1" * 32), Secret(b"2" * 32)
    imported(path, one("alice"), wanted=Wanted(decoy_key=first))
    assert store.decoy_key() == first != own
    imported(path, one("bob"), wanted=Wanted(decoy_key=second))
    assert store.decoy_key() == first


def test_dry_run_tells_the_same_and_changes_nothing(there: str) -> None:
    before = schema_of(there), Path(there).read_bytes(), sorted(os.listdir(os.path.dirname(there)))
    for how, expected in ((OnConflict.FAIL, (0, 0, 1)), (OnConflict.SKIP, (1, 0, 1)), (OnConflict.REPLACE, (1, 1, 1))):
        told: list[Identity] = []
        accounts = (one(ALICE, OTHER), one("bob"))
        written = imported(there, *accounts, wanted=Wanted(how), tell=lambda _, spelt, told=told: told.append(spelt), dry=True)  # type: ignore[misc]  # a default binds it
        assert written == Written(*expected)
        assert told == [ALICE]
    assert (schema_of(there), Path(there).read_bytes(), sorted(os.listdir(os.path.dirname(there)))) == before


def test_dry_run_without_a_store_counts_what_is_in_the_file() -> None:
    with staging.rehearsed(None) as staged:
        for line, name in enumerate(("alice", "ALICE", "bob"), 1):
            staged.put(row_list(line, one(name)))
        assert [later.line for later, _ in staged.repeated()] == [2]
        assert staged.write(Wanted(), unheard, dry=True) == Written(2, 0, 0)


def test_c6_few_imported_accounts_are_named_and_others_stay_known(there: str) -> None:
    with closing(Watch(there)) as watch:
        watch.look()
        alice, bob = watch.generation("alice@example.org"), watch.generation("bob@example.org")
        imported(there, one("ALICE@example.org", OTHER), one("new"), wanted=Wanted(OnConflict.REPLACE), tell=lambda *_: None)
        assert watch.look() == frozenset({"alice@example.org", "new@"})
        assert watch.generation("alice@example.org") != alice
        assert watch.generation("bob@example.org") == bob


def test_c6_after_many_imported_accounts_anybody_may_have_changed(path: str, store: Store) -> None:
    store.add(ALICE, NewSecret(HASH))
    with closing(Watch(path)) as watch:
        watch.look()
        many = [one(f"user{number}") for number in range(changes.MOST_NAMED)]
        imported(path, *many, one(ALICE, OTHER), wanted=Wanted(OnConflict.REPLACE), tell=lambda *_: None)
        assert watch.look() is None
        rows = store._connection.execute("SELECT count(*) FROM change").fetchone()[0]
        assert rows < 10


def test_c6_import_returns_at_the_earliest_5_ms_after_its_commit(path: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("saslauthd_py.store.staging.time.sleep", slept.append)
    imported(path, one("alice"))
    assert slept == [SETTLE]


def test_what_others_wrote_while_it_was_put_aside_counts(path: str, store: Store) -> None:
    with staging.opened(path) as staged:
        staged.put(row_list(1, one(ALICE)))
        with Store.open(path) as other:
            other.add(ALICE, NewSecret(OTHER))
        list(staged.repeated())
        assert staged.write(Wanted(), lambda *_: None) == Written(0, 0, 1)
    assert main(path).encodings == (OTHER,)


def test_locked_store_is_told_and_left_as_it_was(path: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with staging.opened(path) as staged, closing(sqlite3.connect(path, isolation_level=None)) as other:
        staged._connection.execute("PRAGMA busy_timeout=0")
        staged.put(row_list(1, one(ALICE)))
        list(staged.repeated())
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyStore, match="locked by another process"):
            staged.write(Wanted(), unheard)
        other.execute("ROLLBACK")
    assert list(store.accounts()) == []


def test_f4_newer_schema_is_left_alone(path: str, store: Store) -> None:
    with staging.opened(path) as staged:
        staged.put(row_list(1, one(ALICE)))
        list(staged.repeated())
        store._connection.execute("PRAGMA user_version=99")
        with pytest.raises(NewerStore):
            staged.write(Wanted(), unheard)
    with pytest.raises(NewerStore), staging.rehearsed(path):
        pass


def test_f1_failure_in_the_middle_rolls_everything_back(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = schema_of(there), main(there)
    monkeypatch.setattr(merging, "_ADD_ENCODINGS", "INSERT INTO nowhere VALUES (1)")
    with pytest.raises(StoreError, match="no such table"):
        imported(there, one(ALICE, OTHER), one("bob"), wanted=Wanted(OnConflict.REPLACE, whole=True), tell=lambda *_: None)
    assert (schema_of(there), main(there)) == before


def test_nothing_is_left_beside_the_store_and_hashes_have_no_name(path: str, store: Store) -> None:
    with staging.opened(path) as staged:
        staged.put(row_list(1, one(ALICE)))
        assert sorted(os.listdir(os.path.dirname(path))) == ["users.db", "users.db-shm", "users.db-wal"]


@pytest.mark.parametrize(
    ("secrets", "fault"),
    [
        ((IncomingSecret((HASH,)), IncomingSecret((OTHER,))), "two passwords of one kind and label"),
        ((IncomingSecret((HASH,), label="phone"),), "a main one with a label"),
        ((IncomingSecret((HASH,), Kind.APP),), "an app password without a label"),
        ((IncomingSecret((HASH, HASH)),), "two encodings of one password by one scheme"),
        ((IncomingSecret((Encoding("nobody's", "x"),)),), "unknown scheme"),
        ((IncomingSecret((Encoding("argon2id", HASH.text.replace("m=8", "m=9999999")),)),), "over 128 MiB is refused"),
        ((IncomingSecret((Encoding("apr1", "$apr1$"),)),), "malformed apr1 record"),
    ],
)
def test_what_the_store_could_not_hold_or_nobody_verify_is_refused(secrets: tuple[IncomingSecret, ...], fault: str) -> None:
    with pytest.raises(BrokenRecord, match=fault):
        row_list(1, Incoming(ALICE, secrets))


def test_f1_kill_9_of_an_import_leaves_the_store_as_it_was_or_with_all_of_it(there: str, environment: dict[str, str]) -> None:
    script = str(Path(__file__).with_name("import_trials.py"))
    chance = random.Random(4711)  # noqa: S311 - where to kill, not a secret
    for trial in range(8):
        steps = chance.randrange(1, 300) if trial % 2 else 0  # of the 370 thousand that the writing takes
        with subprocess.Popen([sys.executable, script, there, str(steps)], env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            if not steps:
                time.sleep(chance.uniform(0, 0.05))  # at its end too, and after it
                process.kill()
        with Store.open(there) as store:
            names = [account.identity.local for account in store.accounts()]
        assert schema_of(there)
        assert len(names) in ((1,) if steps else (1, 2001))
        if len(names) > 1:
            assert names.count("alice") == 1
            with closing(sqlite3.connect(there, isolation_level=None)) as by_hand:
                by_hand.execute("PRAGMA foreign_keys=ON")
                by_hand.execute("DELETE FROM identity WHERE local != 'alice'")
