from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from saslauthd_py import passwords
from saslauthd_py.credential import UNRESTRICTED, Encoding, Kind, Restrictions
from saslauthd_py.identity import Identity, InvalidIdentity, key, split
from saslauthd_py.store.connection import reader
from saslauthd_py.store.counts import common_profile
from saslauthd_py.store.errors import BrokenStore, BusyStore, NameExists, NoSuchUser, StoreError
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.reader import find
from saslauthd_py.store.store import Store

ALICE = split("Alice@Example.org")
BOB = split("bob@example.org")
OLD = NewSecret(Encoding("argon2id", "old"))
NEW = NewSecret(Encoding("argon2id", "new"))
LIMITS = Restrictions(("smtp", "im\nap"), (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")), 1893456000.5)


def sql(store: Store, statement: str, *values: object) -> list[tuple[object, ...]]:
    return store._connection.execute(statement, values).fetchall()


def test_an_account_is_given_back_as_it_was_added(store: Store) -> None:
    added = store.add(ALICE, OLD)
    (main,) = added.credentials
    assert added.identity == ALICE
    assert added.locked is None
    assert added.created == added.changed
    assert main.kind is Kind.MAIN
    assert main.label == ""
    assert main.encodings == (OLD.encoding,)
    assert main.restrictions is UNRESTRICTED
    assert not main.disabled
    assert store.get(split("aLICE@eXAMPLE.ORG")) == added


def test_an_account_needs_no_secret(store: Store) -> None:
    assert store.add(ALICE).credentials == ()
    (main,) = store.set_secret(ALICE, NEW).credentials
    assert main.encodings == (NEW.encoding,)


def test_a_name_without_realm_is_another_account(store: Store) -> None:
    store.add(split("alice@example.org"))
    store.add(split("alice"))
    assert [str(account.identity) for account in store.accounts()] == ["alice", "alice@example.org"]


def test_b5_another_spelling_of_a_name_is_refused_and_names_the_first(store: Store) -> None:
    store.add(ALICE)
    with pytest.raises(NameExists, match=r"^ALICE@example.org: exists already, as Alice@Example.org$"):
        store.add(split("ALICE@example.org"))


def test_b5_realms_in_unicode_and_in_a_labels_are_one(store: Store) -> None:
    store.add(split("user@bücher.example"))
    assert store.get(split("user@xn--bcher-kva.EXAMPLE")).identity.realm == "bücher.example"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(str(tmp_path_factory.mktemp("shelf") / "users.db"), create=True) as store:
        sql(store, "PRAGMA synchronous=OFF")
        yield store


LETTERS = st.characters(exclude_categories=("Cc", "Cf", "Zl", "Zp", "Cs"))
LOCALS = st.text(LETTERS, min_size=1, max_size=60)
REALMS = st.sampled_from(["", "example.org", "Example.ORG", "bücher.example", "xn--bcher-kva.example"])
SPELLINGS: list[Callable[[str], str]] = [str.upper, str.lower, str.swapcase, str.title, lambda name: name + "1"]


@given(LOCALS, REALMS, st.sampled_from(SPELLINGS))
def test_b5_any_name_is_kept_as_given_and_collides_just_with_its_key(
    shelf: Store, local: str, realm: str, respell: Callable[[str], str]
) -> None:
    try:
        name, other = Identity(local, realm), Identity(respell(local), realm.upper())
        same = key(name) == key(other)
    except InvalidIdentity:
        assume(False)
    added = shelf.add(name)
    try:
        assert added.identity == name
        assert shelf.get(name) == added
        if same:
            assert shelf.get(other) == added
            with pytest.raises(NameExists):
                shelf.add(other)
        else:
            with pytest.raises(NoSuchUser):
                shelf.get(other)
            assert shelf.add(other).identity == other
            shelf.remove(other)
        assert list(shelf.accounts()) == [added]
    finally:
        shelf.remove(name)


def test_f2_changing_a_secret_replaces_all_its_encodings_and_raises_its_generation(store: Store) -> None:
    (before,) = store.add(ALICE, OLD).credentials
    sql(store, "INSERT INTO encoding VALUES (?, 'scram-sha-256', NULL, 'old keys')", before.id)
    sql(
        store,
        "INSERT INTO secret (identity, kind, label, services, networks, disabled, generation, created, changed)"
        " VALUES (1, 'app', 'phone', '[]', '[]', 0, 1, 0, 0)",
    )
    sql(store, "INSERT INTO encoding VALUES (2, 'sha512crypt', NULL, 'of the phone')")
    assert len(store.get(ALICE).credentials[0].encodings) == 2
    account = store.set_secret(ALICE, NEW)
    assert account.credentials[0] == replace(before, encodings=(NEW.encoding,), generation=before.generation + 1)
    assert account.credentials[1].label == "phone"
    assert account.credentials[1].encodings == (Encoding("sha512crypt", "of the phone"),)
    assert account.changed > account.created


def test_f2_all_encodings_of_a_secret_are_stored_and_replaced_together(store: Store) -> None:
    keys = (Encoding("scram-sha-1", "one"), Encoding("scram-sha-256", "two"))
    (main,) = store.add(ALICE, replace(OLD, beside=keys)).credentials
    assert set(main.encodings) == {OLD.encoding, *keys}
    (main,) = store.set_secret(ALICE, replace(NEW, beside=(Encoding("scram-sha-1", "three"),))).credentials
    assert set(main.encodings) == {NEW.encoding, Encoding("scram-sha-1", "three")}
    (main,) = store.set_secret(ALICE, NEW).credentials
    assert main.encodings == (NEW.encoding,)


def test_f1_encodings_that_cannot_all_be_stored_are_stored_not_at_all(store: Store) -> None:
    before = store.add(ALICE, OLD)
    with pytest.raises(StoreError):
        store.set_secret(ALICE, replace(NEW, beside=(Encoding("scram-sha-1", None),)))  # type: ignore[arg-type]  # what SQLite refuses
    assert store.get(ALICE) == before


def test_restrictions_stay_unless_new_ones_are_given(store: Store) -> None:
    (main,) = store.add(ALICE, replace(OLD, restrictions=LIMITS)).credentials
    assert main.restrictions == LIMITS
    (main,) = store.set_secret(ALICE, NEW).credentials
    assert main.restrictions == LIMITS
    (main,) = store.set_secret(ALICE, replace(NEW, restrictions=UNRESTRICTED)).credentials
    assert main.restrictions is UNRESTRICTED


def test_an_identity_has_one_main_secret_and_each_label_once(store: Store) -> None:
    store.add(ALICE, OLD)
    insert = (
        "INSERT INTO secret (identity, kind, label, services, networks, disabled, generation, created, changed)"
        " VALUES (1, ?, ?, '[]', '[]', 0, 1, 0, 0)"
    )
    sql(store, insert, "app", "phone")
    for kind, label in (("main", ""), ("main", "second"), ("app", "phone"), ("app", "")):
        with pytest.raises(sqlite3.IntegrityError):
            sql(store, insert, kind, label)


def test_locking_and_unlocking(store: Store) -> None:
    store.add(ALICE, OLD)
    assert store.lock(ALICE, "left").locked == "left"
    assert store.lock(ALICE, "on leave").locked == "on leave"
    assert store.lock(ALICE, "by command", keep=True).locked == "on leave"
    assert store.lock(ALICE, "").locked == ""
    assert store.unlock(ALICE).locked is None
    assert store.lock(ALICE, "by command", keep=True).locked == "by command"
    assert store.unlock(ALICE).locked is None
    before = store.get(ALICE)
    assert store.unlock(ALICE) == before


def test_renaming(store: Store) -> None:
    before = store.add(ALICE, OLD)
    store.add(BOB)
    with pytest.raises(NameExists, match=r"as bob@example\.org$"):
        store.rename(ALICE, split("BOB@example.org"))
    assert store.rename(ALICE, split("alice@EXAMPLE.org")).identity == split("alice@EXAMPLE.org")
    renamed = store.rename(ALICE, split("Carol@example.net"))
    assert renamed.identity == split("Carol@example.net")
    assert renamed.id == before.id
    assert renamed.credentials == before.credentials
    with pytest.raises(NoSuchUser):
        store.get(ALICE)


def test_removing_leaves_nothing_of_the_account(store: Store) -> None:
    added = store.add(ALICE, OLD)
    assert store.remove(ALICE) == added
    assert sql(store, "SELECT (SELECT count(*) FROM identity), (SELECT count(*) FROM secret), (SELECT count(*) FROM encoding)") == [
        (0, 0, 0)
    ]


def test_f4_ids_are_never_given_twice(store: Store) -> None:
    first = store.add(ALICE, OLD)
    store.remove(ALICE)
    second = store.add(ALICE, OLD)
    assert second.id > first.id
    assert second.credentials[0].id > first.credentials[0].id


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.get(BOB),
        lambda store: store.set_secret(BOB, NEW),
        lambda store: store.remove(BOB),
        lambda store: store.rename(BOB, ALICE),
        lambda store: store.lock(BOB, "left"),
        lambda store: store.unlock(BOB),
    ],
)
def test_an_unknown_name_is_said_to_be_one(store: Store, act: Callable[[Store], object]) -> None:
    with pytest.raises(NoSuchUser, match=r"^bob@example.org: no such user$"):
        act(store)


def test_f1_what_fails_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.add(ALICE, OLD)

    def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("saslauthd_py.store.rows.add_encodings", fail)
    with pytest.raises(OSError):  # noqa: PT011 - it has no text
        store.set_secret(ALICE, NEW)
    with pytest.raises(OSError):  # noqa: PT011 - it has no text
        store.add(BOB, NEW)
    assert list(store.accounts()) == [before]


def test_c6_a_command_returns_at_the_earliest_5_ms_after_its_commit(path: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[tuple[float, bool]] = []
    with closing(reader(path)) as daemon:

        def sleep(seconds: float) -> None:
            found = find(daemon, key(ALICE))
            slept.append((seconds, found is not None and found.locked == "left"))

        store.add(ALICE)
        monkeypatch.setattr("saslauthd_py.store.store.time.sleep", sleep)
        store.lock(ALICE, "left")
    assert slept == [(0.005, True)]


def test_another_writer_is_waited_for_and_then_named(path: str, store: Store) -> None:
    store._connection.execute("PRAGMA busy_timeout=0")
    with Store.open(path) as other:
        sql(other, "BEGIN IMMEDIATE")
        with pytest.raises(BusyStore, match=r"users\.db: locked by another process; try again$"):
            store.add(ALICE)
        sql(other, "ROLLBACK")
    store.add(ALICE)


def test_accounts_come_in_the_order_of_realm_and_name(store: Store) -> None:
    for name in ("b@y.example", "C@y.example", "a@y.example", "z@x.example", "q", "m@z.example"):
        store.add(split(name), OLD)
    assert [str(account.identity) for account in store.accounts()] == [
        "q",
        "z@x.example",
        "a@y.example",
        "b@y.example",
        "C@y.example",
        "m@z.example",
    ]
    assert [account.identity.local for account in store.accounts("Y.Example")] == ["a", "b", "C"]
    assert [account.identity.local for account in store.accounts("")] == ["q"]
    assert list(store.accounts("none.example")) == []


def fill(store: Store, count: int) -> None:
    sql(
        store,
        "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)"
        " INSERT INTO identity (local, realm, local_key, realm_key, created, changed)"
        " SELECT printf('U%07d', i), printf('r%d', i % 3), printf('u%07d', i), printf('r%d', i % 3), 0, 0 FROM n",
        count,
    )


def test_a_hundred_thousand_accounts_stream_in_the_memory_of_one_page(store: Store) -> None:
    fill(store, 100_000)
    tracemalloc.start()
    try:
        seen, last = 0, ("", "")
        for account in store.accounts():
            at = account.identity.realm, account.identity.local
            assert at > last
            seen, last = seen + 1, at
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == 100_000
    assert peak < 4 << 20


def test_a_list_that_is_read_slowly_keeps_no_writer_waiting(path: str, store: Store) -> None:
    fill(store, 2_500)
    listing = store.accounts()
    next(listing)
    with Store.open(path) as other:
        other.add(split("zoe@zz.example"))
        assert sql(other, "PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]
    store.remove(split("u0000000@r0"))
    rest = list(listing)
    assert len(rest) == 2_500
    assert rest[-1].identity == split("zoe@zz.example")


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE secret SET services = 'smtp'",
        "UPDATE secret SET services = '\"\"'",
        "UPDATE secret SET services = '[5]'",
        "UPDATE secret SET networks = '[\"here\"]'",
        "UPDATE secret SET networks = '[null]'",
        "UPDATE identity SET local = 'al' || char(10) || 'ice'",
    ],
)
def test_d8_a_record_that_cannot_be_read_is_that_records_fault(path: str, store: Store, harm: str) -> None:
    store.add(ALICE, OLD)
    sql(store, harm)
    store.add(BOB, OLD)
    with closing(reader(path)) as daemon:
        with pytest.raises(passwords.BrokenRecord, match=r"^identity 1 of the store: "):
            find(daemon, key(ALICE))
        assert find(daemon, key(BOB)) is not None
    with pytest.raises(BrokenStore, match=r"users\.db: identity 1 of the store: "):
        store.get(ALICE)
    assert store.get(BOB).identity == BOB


def test_d6_the_common_profile_is_that_of_most_main_secrets(path: str, store: Store) -> None:
    with closing(reader(path)) as daemon:
        assert common_profile(daemon) is None
        store.add(split("nobody"))
        store.add(split("broken"), NewSecret(Encoding("no-such-scheme", "x")))
        assert common_profile(daemon) is None
        few, most = "argon2id m=19456,t=2,p=1", "sha512crypt rounds=5000"
        for number, profile in enumerate((few, most, most)):
            store.add(split(f"user{number}"), NewSecret(passwords.decoy(profile)))
        assert common_profile(daemon) == most
        for number in (1, 2):
            store.set_secret(split(f"user{number}"), NewSecret(passwords.decoy(few)))
        assert common_profile(daemon) == few


def test_find_knows_no_stranger(path: str, store: Store) -> None:
    added = store.add(ALICE, OLD)
    with closing(reader(path)) as daemon:
        assert find(daemon, key(ALICE)) == added
        assert find(daemon, key(BOB)) is None
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            daemon.execute("DELETE FROM identity")


def test_paths_hold_any_letters(tmp_path: Path) -> None:
    path = f"/{tmp_path}/a?b#c%20d é/users.db"
    with Store.open(path, create=True) as store:
        store.add(ALICE)
    with Store.open(path) as store:
        assert store.get(ALICE).identity == ALICE
    assert [entry.name for entry in tmp_path.iterdir()] == ["a?b#c%20d é"]


def test_a_text_that_is_not_utf8_is_told_without_showing_it(store: Store, path: str) -> None:
    store.add(Identity("alice", "example.test"), NewSecret(Encoding("sha512crypt", "$6$secretsalt$digest")))
    with closing(sqlite3.connect(path, isolation_level=None)) as behind:
        behind.execute("UPDATE encoding SET text = CAST(CAST(text AS BLOB) || x'ff' AS TEXT)")
    for ask in (lambda: store.get(Identity("alice", "example.test")), lambda: list(store.accounts())):
        with pytest.raises(StoreError) as caught:
            ask()
        assert "$6$" not in str(caught.value)
