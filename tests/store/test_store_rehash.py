from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from saslauthd_py.credential import Encoding
from saslauthd_py.identity import split
from saslauthd_py.store.connection import reader
from saslauthd_py.store.counts import common_profile
from saslauthd_py.store.errors import BrokenStore, NoSuchStore
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.rehash import add_encodings, replace_encoding
from saslauthd_py.store.store import Store
from saslauthd_py.store.watch import Watch

ALICE = split("alice@example.org")
KEYS = (Encoding("scram-sha-1", "one"), Encoding("scram-sha-256", "two"))
OLD = Encoding("md5crypt", "$1$abcdefgh$G//4keteveJp0qb8z2DxG/")
BETTER = Encoding("argon2id", "better")


@pytest.fixture
def secret(store: Store) -> int:
    return store.add(ALICE, NewSecret(OLD)).credentials[0].id


def test_f2_rehash_puts_the_new_encoding_in_the_place_of_the_old(path: str, store: Store, secret: int) -> None:
    (before,) = store.get(ALICE).credentials
    assert replace_encoding(path, secret, 1, OLD, BETTER)
    (after,) = store.get(ALICE).credentials
    assert after.encodings == (BETTER,)
    assert after.generation == before.generation == 1
    assert replace_encoding(path, secret, 1, BETTER, Encoding("argon2id", "best"))
    assert store.get(ALICE).credentials[0].encodings == (Encoding("argon2id", "best"),)


def test_f2_rehash_never_brings_an_old_password_back(path: str, store: Store, secret: int) -> None:
    changed = Encoding("argon2id", "of another password")
    store.set_secret(ALICE, NewSecret(changed))
    assert not replace_encoding(path, secret, 1, OLD, BETTER)
    assert store.get(ALICE).credentials[0].encodings == (changed,)


def test_f2_rehash_compares_the_generation_even_where_the_text_is_the_same(path: str, store: Store, secret: int) -> None:
    store.set_secret(ALICE, NewSecret(OLD))
    assert not replace_encoding(path, secret, 1, OLD, BETTER)
    assert replace_encoding(path, secret, 2, OLD, BETTER)


def test_f2_rehash_compares_the_text_even_in_the_same_generation(path: str, store: Store, secret: int) -> None:
    assert replace_encoding(path, secret, 1, OLD, BETTER)
    assert not replace_encoding(path, secret, 1, OLD, Encoding("argon2id", "too late"))
    assert not replace_encoding(path, secret, 1, Encoding("argon2id", OLD.text), Encoding("argon2id", "too late"))
    assert store.get(ALICE).credentials[0].encodings == (BETTER,)


def test_f2_rehash_of_a_secret_that_is_gone_writes_nothing(path: str, store: Store, secret: int) -> None:
    store.remove(ALICE)
    store.add(ALICE, NewSecret(OLD))
    assert not replace_encoding(path, secret, 1, OLD, BETTER)
    assert store.get(ALICE).credentials[0].encodings == (OLD,)


def test_f2_rehash_leaves_one_encoding_where_the_better_scheme_was_there_already(path: str, store: Store, secret: int) -> None:
    store._connection.execute("INSERT INTO encoding VALUES (?, 'argon2id', NULL, 'cheap')", (secret,))
    assert replace_encoding(path, secret, 1, OLD, BETTER)
    assert store.get(ALICE).credentials[0].encodings == (BETTER,)


def test_f2_rehash_that_loses_is_no_change_and_one_that_wins_names_its_account(path: str, store: Store, secret: int) -> None:
    with closing(Watch(path)) as watch:
        watch.look()
        assert not replace_encoding(path, secret, 7, OLD, BETTER)
        assert watch.look() == frozenset()
        assert replace_encoding(path, secret, 1, OLD, BETTER)
        assert watch.look() == frozenset({"alice@example.org"})


def encodings(store: Store) -> set[Encoding]:
    return set(store.get(ALICE).credentials[0].encodings)


def test_f2_keys_are_added_beside_the_hash_and_the_secret_stays_the_same(path: str, store: Store, secret: int) -> None:
    assert add_encodings(path, secret, 1, KEYS)
    assert encodings(store) == {OLD, *KEYS}
    assert store.get(ALICE).credentials[0].generation == 1
    assert add_encodings(path, secret, 1, (Encoding("scram-sha-1", "another salt"),))
    assert encodings(store) == {OLD, Encoding("scram-sha-1", "another salt"), KEYS[1]}


def test_f2_keys_that_come_late_never_bring_an_old_password_back(path: str, store: Store, secret: int) -> None:
    store.set_secret(ALICE, NewSecret(OLD))
    assert not add_encodings(path, secret, 1, KEYS)
    assert encodings(store) == {OLD}
    store.remove(ALICE)
    store.add(ALICE, NewSecret(OLD))
    assert not add_encodings(path, secret, 2, KEYS)
    assert encodings(store) == {OLD}


@pytest.mark.parametrize("keys_first", [True, False])
def test_f2_a_rehash_and_keys_at_the_same_time_lose_neither(path: str, store: Store, secret: int, keys_first: bool) -> None:
    changes: list[Callable[[], bool]] = [
        lambda: add_encodings(path, secret, 1, KEYS),
        lambda: replace_encoding(path, secret, 1, OLD, BETTER),
    ]
    for change in changes if keys_first else reversed(changes):
        assert change()
    assert encodings(store) == {BETTER, *KEYS}


def test_f2_adding_that_loses_is_no_change_and_one_that_wins_names_its_account(path: str, store: Store, secret: int) -> None:
    with closing(Watch(path)) as watch:
        watch.look()
        assert not add_encodings(path, secret, 7, KEYS)
        assert not add_encodings(path, secret, 1, ())
        assert watch.look() == frozenset()
        assert add_encodings(path, secret, 1, KEYS)
        assert watch.look() == frozenset({"alice@example.org"})


def test_d6_a_rehash_moves_the_common_profile(path: str, store: Store, secret: int) -> None:
    text = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    with closing(reader(path)) as connection:
        assert common_profile(connection) == "md5crypt"
        assert replace_encoding(path, secret, 1, OLD, Encoding("argon2id", text))
        assert common_profile(connection) == "argon2id m=19456,t=2,p=1"


def test_d6_app_secrets_do_not_count_for_the_common_profile(path: str, store: Store) -> None:
    store.add(ALICE)
    store._connection.execute("INSERT INTO secret VALUES (1, 1, 'app', 'phone', '[]', '[]', NULL, 0, 1, 0, 0)")
    store._connection.execute("INSERT INTO encoding VALUES (1, 'sha512crypt', NULL, 'old')")
    assert replace_encoding(path, 1, 1, Encoding("sha512crypt", "old"), OLD)
    with closing(reader(path)) as connection:
        assert common_profile(connection) is None


def test_a_rehash_without_a_whole_store_says_so(path: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(NoSuchStore):
        replace_encoding(path, 1, 1, OLD, BETTER)
    Store.open(path, create=True).close()
    with open(path, "r+b") as file:
        file.write(bytes(100))
    with pytest.raises(BrokenStore):
        replace_encoding(path, 1, 1, OLD, BETTER)
