"""What most secrets are like, and which lack keys: right, and by queries that sort nothing."""

from __future__ import annotations

from contextlib import closing

import pytest

from saslauthd_py import keying, passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.identity import split
from saslauthd_py.keys import Hash, Keys
from saslauthd_py.store import counts
from saslauthd_py.store.connection import reader
from saslauthd_py.store.counts import Kept
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.store import Store

ARGON2 = passwords.decoy("argon2id m=19456,t=2,p=1")
CRYPT = passwords.decoy("sha512crypt rounds=5000")
CLEAR = passwords.recognise("{PLAIN}pencil")


def keys(rounds: int = 4096, function: Hash = Hash.SHA256) -> Encoding:
    return keying.encoded(function, Keys(b"salt", rounds, bytes(function.size), bytes(function.size)))


def add_all(store: Store, *secrets: tuple[Encoding, ...]) -> None:
    first = len(list(store.accounts()))
    for number, (one, *more) in enumerate(secrets, first):
        store.add(split(f"user{number}@example.org"), NewSecret(one, beside=tuple(more)))


def without(path: str, function: Hash = Hash.SHA256) -> list[str]:
    with closing(reader(path)) as daemon:
        return [name for name, _ in counts.without(daemon, keying.scheme(function))]


def test_d6_scram_keys_beside_a_hash_do_not_sway_the_common_profile(path: str, store: Store) -> None:
    add_all(store, (ARGON2, keys(), keys(function=Hash.SHA1)), (CRYPT, keys(), keys(function=Hash.SHA1)), (CRYPT, keys()))
    with closing(reader(path)) as daemon:
        assert counts.common_profile(daemon) == "sha512crypt rounds=5000"
        add_all(store, (keys(),), (keys(),))
        assert counts.common_profile(daemon) == "scram-sha-256 rounds=4096", "of a tie the first by name"
        add_all(store, (CRYPT,))
        assert counts.common_profile(daemon) == "sha512crypt rounds=5000"


def test_f3_kept_keys_are_counted_with_the_rounds_of_most(path: str, store: Store) -> None:
    with closing(reader(path)) as daemon:
        assert counts.kept(daemon, Hash.SHA256) == Kept()
        add_all(store, (ARGON2, keys(5000)), (ARGON2, keys(6000)), (CRYPT, keys(6000), keys(7000, Hash.SHA1)), (CLEAR,))
        store.add(split("md4"), NewSecret(passwords.recognise("{PLAIN-MD4}" + "0" * 32)))
        assert counts.kept(daemon, Hash.SHA256) == Kept({5000: 1, 6000: 2}, 1)
        assert counts.kept(daemon, Hash.SHA1) == Kept({7000: 1}, 1)


def test_who_has_no_keys_is_found_whatever_else_they_have(path: str, store: Store) -> None:
    add_all(store, (ARGON2, keys()), (ARGON2,), (keys(function=Hash.SHA1),), (CLEAR,))
    assert without(path) == ["user1@example.org", "user2@example.org", "user3@example.org"]
    assert without(path, Hash.SHA1) == ["user0@example.org", "user1@example.org", "user3@example.org"]
    with closing(reader(path)) as daemon:
        assert dict(counts.without(daemon, "scram-sha-256"))["user3@example.org"] == CLEAR


def test_locked_accounts_count_and_disabled_or_app_secrets_do_not(path: str, store: Store) -> None:
    add_all(store, (ARGON2,), (ARGON2,), (ARGON2, keys()))
    store.lock(split("user0@example.org"), "left")
    store._connection.execute("UPDATE secret SET disabled = 1 WHERE id = 2")
    store._connection.execute("INSERT INTO secret VALUES (9, 3, 'app', 'phone', '[]', '[]', NULL, 0, 1, 0, 0)")
    store.add(split("nobody"))
    assert without(path) == ["user0@example.org"]


@pytest.mark.parametrize("one", [(ARGON2, keys(function=Hash.SHA1)), (keys(),), (CLEAR,)])
def test_somebody_is_keyed_who_has_stored_keys_or_clear_text(store: Store, one: tuple[Encoding, ...]) -> None:
    add_all(store, (ARGON2,), (CRYPT,))
    store.add(split("md4"), NewSecret(passwords.recognise("{PLAIN-MD4}" + "0" * 32)))
    assert not store.any_keyed()
    add_all(store, one)
    assert store.any_keyed()


def test_a_store_is_empty_as_long_as_nobody_can_log_in(path: str, store: Store) -> None:
    with closing(reader(path)) as daemon:
        store.add(split("nobody"))
        assert not counts.any_enabled(daemon)
        add_all(store, (ARGON2,))
        assert counts.any_enabled(daemon)
        store._connection.execute("UPDATE secret SET disabled = 1")
        assert not counts.any_enabled(daemon)


@pytest.mark.parametrize(
    ("query", "values", "reads"),
    [
        (counts.PROFILES, (), "encoding_profile"),
        (counts.KEPT, ("scram-sha-1 ", "scram-sha-1!"), "encoding_profile"),
        (counts.WITHOUT, ("scram-sha-1",), "SCAN secret"),
    ],
)
def test_no_query_sorts_and_each_probe_is_by_a_key(store: Store, query: str, values: tuple[str, ...], reads: str) -> None:
    plan = [row[3] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    assert reads in plan[0]
    assert not [step for step in plan if "TEMP B-TREE" in step or "AUTOMATIC" in step]
    assert all("USING" in step for step in plan[1:] if step.startswith(("SCAN", "SEARCH")))


def test_a_name_that_none_may_have_does_not_end_the_count(path: str, store: Store) -> None:
    add_all(store, (ARGON2,), (ARGON2,))
    store._connection.execute("UPDATE identity SET local = 'a' || char(10) WHERE id = 1")
    assert without(path) == ["one with a broken name", "user1@example.org"]
