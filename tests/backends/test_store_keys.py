"""SCRAM by the store: keys of accounts, decoys of the others, keys that a password login leaves, and who is without."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from saslauthd_py import identity, keying, passwords
from saslauthd_py.backend import Attempt, Backend, Keyed, KeysFound, Watched
from saslauthd_py.backends.store import StoreBackend, StoreOptions, census
from saslauthd_py.backends.store.census import Census
from saslauthd_py.credential import Encoding, Restrictions
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity
from saslauthd_py.keying import Salts
from saslauthd_py.keys import Hash, Keys
from saslauthd_py.mechanisms.exchange import Disproved, Proved
from saslauthd_py.mechanisms.scram.keys import derive
from saslauthd_py.secret import Secret
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.store import Store
from saslauthd_py.store.watch import Watch
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser
from tests.mechanisms.scram_samples import BOTH, PENCIL, SHA256, Sample, offered

USER, BOB = Identity("user", "example.test"), Identity("bob", "example.test")
OPTIONS = StoreOptions(scheme="sha512crypt", scram_upgrade=True, scram_rounds=4096)
HASHED = passwords.make("sha512crypt", PENCIL)
CLEAR = passwords.recognise("{PLAIN}pencil")


def of_rfc(sample: Sample) -> Encoding:
    return keying.encoded(sample.function, sample.keys)


@pytest.fixture
def path(tmp_path: Path) -> str:
    directory = tmp_path / "store"
    directory.mkdir(mode=0o700)
    return str(directory / "users.db")


@pytest.fixture
def store(path: str) -> Store:
    with Store.open(path, create=True) as made:
        return made


@asynccontextmanager
async def backend(path: str, options: StoreOptions = OPTIONS) -> AsyncIterator[StoreBackend]:
    """Ended when its renewals are."""
    watch = Watch(path)
    try:
        async with trio.open_nursery() as nursery:
            yield StoreBackend(path, watch, Hashing(), nursery, options)
    finally:
        watch.close()


def add(path: str, name: Identity, *encodings: Encoding, restrictions: Restrictions | None = None) -> None:
    with Store.open(path) as store:
        store.add(name, NewSecret(encodings[0], restrictions, encodings[1:]))


def change(path: str, sql: str, *values: object) -> None:
    """What no command of ours does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql, values)


def add_app(path: str, name: Identity, *encodings: Encoding) -> int:
    """An app secret of the account; its number."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        local, realm = identity.key(name)
        [(number,)] = connection.execute(
            "INSERT INTO secret (identity, kind, label, services, networks, expires, disabled, generation, created, changed)"
            """ SELECT id, 'app', 'phone', '["imap"]', '[]', NULL, 0, 1, 0, 0 FROM identity WHERE local_key = ? AND realm_key = ?"""
            " RETURNING id",
            (local, realm),
        ).fetchall()
        for encoding in encodings:
            connection.execute("INSERT INTO encoding (secret, scheme, text) VALUES (?, ?, ?)", (number, encoding.scheme, encoding.text))
        return int(number)


async def login(it: StoreBackend, secret: Secret = PENCIL, name: Identity = USER) -> object:
    return await it.verify_password(Attempt(name, secret, "smtp"))


async def keys(it: StoreBackend, function: Hash = Hash.SHA256, name: Identity = USER) -> KeysFound:
    found = await it.find_keys(name, function)
    assert isinstance(found, KeysFound)
    return found


def kept(path: str, name: Identity = USER) -> dict[str, str]:
    with Store.open(path) as store:
        return {encoding.scheme: encoding.text for encoding in store.get(name).credentials[0].encodings}


async def test_it_is_all_that_a_route_may_ask_for(store: Store, path: str) -> None:
    async with backend(path) as it:
        roles: tuple[Backend, Keyed, Watched] = (it, it, it)
        assert len(roles) == 3


@pytest.mark.parametrize("sample", BOTH)
async def test_login_of_the_rfc_is_proved_by_what_the_store_keeps(store: Store, path: str, sample: Sample) -> None:
    add(path, USER, HASHED, of_rfc(sample))
    async with backend(path) as it:
        found = await keys(it, sample.function)
        challenge = offered(sample.server(), sample.client_first, found.keys)
        proved = challenge.receive(sample.client_final)
    assert challenge.message == sample.server_first
    assert isinstance(proved, Proved)
    assert proved.message == sample.server_final
    assert proved.credential in found.restrictions
    assert found.identity == USER


async def test_b1_confirmed_identity_is_the_stored_one(store: Store, path: str) -> None:
    add(path, USER, HASHED, of_rfc(SHA256))
    async with backend(path) as it:
        assert (await keys(it, name=Identity("USER", "Example.TEST"))).identity == USER
    async with backend(path, replace(OPTIONS, fold_case=False)) as it:
        assert await it.find_keys(Identity("USER", "example.test"), Hash.SHA256) == UnknownUser()
    async with backend(path, replace(OPTIONS, login="{local}@example.test")) as it:
        assert (await keys(it, name=Identity("user", "other.test"))).identity == USER


async def test_keys_of_app_secrets_are_found_with_their_restrictions(store: Store, path: str) -> None:
    limits = Restrictions(services=("smtp",))
    add(path, USER, HASHED, of_rfc(SHA256), restrictions=limits)
    app = keying.encoded(Hash.SHA256, derive(Hash.SHA256, Secret(b"app"), SHA256.keys.salt, SHA256.keys.rounds))
    number = add_app(path, USER, app)
    alone = add_app_with_another_salt(path)
    async with backend(path) as it:
        found = await keys(it)
        assert found.restrictions == {1: limits, number: Restrictions(services=("imap",))}
        assert [one for one, _ in found.keys.secrets] == [1, number]
        assert alone not in found.restrictions
        change(path, "UPDATE secret SET disabled = 1 WHERE id IN (1, ?)", alone)
        assert [one for one, _ in (await keys(it)).keys.secrets] == [number]


def add_app_with_another_salt(path: str) -> int:
    change(path, "UPDATE secret SET label = 'tablet' WHERE kind = 'app'")
    return add_app(path, USER, keying.encoded(Hash.SHA256, Keys(b"another", 4096, bytes(32), bytes(32))))


async def test_account_that_may_not_log_in_is_refused_for_that(store: Store, path: str) -> None:
    add(path, USER, HASHED, of_rfc(SHA256))
    with Store.open(path) as opened:
        opened.add(Identity("empty", "example.test"))
    async with backend(path) as it:
        for ask in (lambda name: it.find_keys(name, Hash.SHA256), it.find_account):
            assert await ask(Identity("nobody", "example.test")) == UnknownUser()
            assert await ask(Identity("x" * 255, "y" * 250)) == UnknownUser()
            assert await ask(Identity("empty", "example.test")) == Rejected(Reason.NO_CREDENTIAL)
        assert await it.find_keys(USER, Hash.SHA1) == Rejected(Reason.NO_CREDENTIAL)
        change(path, "UPDATE secret SET disabled = 1")
        assert await it.find_keys(USER, Hash.SHA256) == await it.find_account(USER) == Rejected(Reason.DISABLED)
        with Store.open(path) as opened:
            opened.lock(USER, "spam")
        assert await it.find_keys(USER, Hash.SHA256) == await it.find_account(USER) == Rejected(Reason.LOCKED)


async def test_account_that_is_vouched_for_has_the_restrictions_of_its_main_secret(store: Store, path: str) -> None:
    limits = Restrictions(services=("smtp",), expires=2_000_000_000.0)
    add(path, USER, HASHED, restrictions=limits)
    async with backend(path) as it:
        found = await it.find_account(Identity("USER", "example.test"))
        assert found == Accepted(USER, limits, 1, sole=True, replayable=False)
        add_app(path, USER, HASHED)
        change(path, "UPDATE secret SET disabled = 1 WHERE kind = 'main'")
        assert await it.find_account(USER) == Rejected(Reason.DISABLED)
        change(path, "DELETE FROM secret WHERE kind = 'main'")
        assert await it.find_account(USER) == Rejected(Reason.NO_CREDENTIAL)


async def test_d8_broken_keys_are_an_outage_for_their_account_alone(store: Store, path: str) -> None:
    add(path, USER, HASHED, Encoding("scram-sha-256", "{SCRAM-SHA-256}4096,tea,bag,x"), of_rfc(BOTH[0]))
    add(path, BOB, HASHED, of_rfc(SHA256))
    async with backend(path, replace(OPTIONS, scram_upgrade=False)) as it:
        found = await it.find_keys(USER, Hash.SHA256)
        assert isinstance(found, Unavailable)
        assert found.cause == f"{path}: record 1: malformed scram-sha-256 record; set the password anew with `saslauthd-py user passwd`"
        assert not found.judged
        await keys(it, Hash.SHA1)
        await keys(it, name=BOB)
        assert isinstance(await login(it), Accepted)


async def test_c6_store_that_is_gone_is_an_outage_for_keys_too(store: Store, path: str) -> None:
    add(path, USER, HASHED, of_rfc(SHA256))
    async with backend(path) as it:
        os.rename(path, path + ".away")
        for found in (await it.find_keys(USER, Hash.SHA256), await it.find_account(USER)):
            assert isinstance(found, Unavailable)
            assert "restore" in found.cause
        os.rename(path + ".away", path)
        await keys(it)


async def test_keys_are_those_of_a_password_that_was_changed_a_moment_ago(store: Store, path: str) -> None:
    add(path, USER, HASHED, of_rfc(SHA256))
    async with backend(path) as it:
        before = await keys(it)
        with Store.open(path) as opened:
            opened.set_secret(USER, NewSecret(HASHED, None, (keying.encoded(Hash.SHA256, Keys(b"new", 4096, bytes(32), bytes(32))),)))
        after = await keys(it)
        assert after != before
        assert after.keys.salt == b"new"


async def test_keys_of_a_clear_text_are_derived(store: Store, path: str) -> None:
    add(path, USER, CLEAR)
    async with backend(path) as it:
        found = await keys(it)
        decoy = it.decoy(USER, Hash.SHA256)
        assert (found.keys.salt, found.keys.rounds) == (decoy.salt, decoy.rounds)
        assert found.keys.secrets == ((1, derive(Hash.SHA256, PENCIL, decoy.salt, 4096)),)


async def test_d6_nobody_costs_a_derivation_where_most_accounts_do(store: Store, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    derived: list[tuple[bytes, int]] = []
    original = Hashing.derive

    async def watched(self: Hashing, function: Hash, secret: Secret, salt: bytes, rounds: int) -> Keys:
        derived.append((salt, rounds))
        return await original(self, function, secret, salt, rounds)

    monkeypatch.setattr(Hashing, "derive", watched)
    add(path, USER, CLEAR)
    with Store.open(path) as opened:
        opened.add(Identity("empty", "example.test"))
    async with backend(path) as it:
        await it.count_keys()
        for name in (BOB, Identity("empty", "example.test"), USER):
            await it.find_keys(name, Hash.SHA256)
        assert derived == [(it.decoy(name, Hash.SHA256).salt, 4096) for name in (BOB, Identity("empty", "example.test"), USER)]
        for local in ("one", "two"):
            add(path, Identity(local, "example.test"), HASHED, of_rfc(SHA256))
        await it.count_keys()
        await it.find_keys(BOB, Hash.SHA256)
        assert len(derived) == 3


# Decoys


async def test_f3_nobody_has_a_salt_that_is_the_same_after_a_restart_and_the_rounds_of_most(store: Store, path: str) -> None:
    async with backend(path) as it:
        first = it.decoy(BOB, Hash.SHA256)
        assert first.rounds == OPTIONS.scram_rounds
        assert first.secrets == ()
        assert it.decoy(Identity("BOB", "Example.test"), Hash.SHA256) == first
        assert it.decoy(USER, Hash.SHA256).salt != first.salt
        assert it.decoy(BOB, Hash.SHA1).salt != first.salt
    add(path, USER, HASHED, keying.encoded(Hash.SHA256, Keys(b"salt", 7777, bytes(32), bytes(32))))
    async with backend(path) as it:
        assert it.decoy(BOB, Hash.SHA256) == first
        await it.count_keys()
        assert it.decoy(BOB, Hash.SHA256) == replace(first, rounds=7777)
        assert it.decoy(BOB, Hash.SHA1).rounds == OPTIONS.scram_rounds
        assert it.decoy(Identity("x" * 255, "y" * 250), Hash.SHA1) != it.decoy(Identity("z" * 255, "y" * 250), Hash.SHA1)


async def test_f3_neither_creation_nor_upgrade_of_an_account_shows_in_its_salt(store: Store, path: str) -> None:
    async with backend(path) as it:
        nobody = {function: it.decoy(USER, function) for function in Hash}
        add(path, USER, HASHED)
        assert await it.find_keys(USER, Hash.SHA256) == Rejected(Reason.NO_CREDENTIAL)
        assert {function: it.decoy(USER, function) for function in Hash} == nobody
        assert isinstance(await login(it), Accepted)
    async with backend(path) as it:
        for function in Hash:
            found = await keys(it, function)
            assert (found.keys.salt, found.keys.rounds) == (nobody[function].salt, nobody[function].rounds)


async def test_f3_restored_store_brings_its_own_decoy_key(store: Store, path: str) -> None:
    async with backend(path) as it:
        before = it.decoy(BOB, Hash.SHA256)
        change(path, "UPDATE decoy SET key = randomblob(32)")
        change(path, "INSERT INTO change (local, realm) VALUES ('', '')")
        await it.count_keys()
        assert it.decoy(BOB, Hash.SHA256).salt != before.salt


async def test_f3_unknown_name_fails_at_the_proof_as_a_wrong_password_does(store: Store, path: str) -> None:
    async with backend(path) as it:
        challenge = offered(SHA256.server(), SHA256.client_first, it.decoy(USER, Hash.SHA256))
        assert isinstance(challenge.receive(SHA256.client_final), Disproved)


# What a password login leaves


@pytest.mark.parametrize("hashed", [HASHED, passwords.make("sha256crypt", PENCIL), CLEAR])
async def test_f2_login_leaves_keys_and_the_password_is_the_same(store: Store, path: str, hashed: Encoding) -> None:
    add(path, USER, hashed)
    async with backend(path) as it:
        assert isinstance(await login(it), Accepted)
    assert set(kept(path)) == {"sha512crypt", "scram-sha-1", "scram-sha-256"}
    async with backend(path) as it:
        for function in Hash:
            found = await keys(it, function)
            assert found.keys.secrets == ((1, derive(function, PENCIL, found.keys.salt, 4096)),)
        assert isinstance(await login(it), Accepted)
        assert await login(it, Secret(b"pen")) == Rejected(Reason.WRONG_SECRET)


async def test_wrong_password_and_an_option_that_is_off_leave_nothing(store: Store, path: str) -> None:
    add(path, USER, HASHED)
    async with backend(path) as it:
        assert await login(it, Secret(b"pen")) == Rejected(Reason.WRONG_SECRET)
    async with backend(path, replace(OPTIONS, scram_upgrade=False)) as it:
        assert isinstance(await login(it), Accepted)
    assert kept(path) == {"sha512crypt": HASHED.text}


async def test_rehash_of_a_clear_text_keeps_scram_going_though_no_upgrade_was_asked_for(store: Store, path: str) -> None:
    add(path, USER, CLEAR)
    async with backend(path, replace(OPTIONS, scram_upgrade=False)) as it:
        before = await keys(it)
        assert isinstance(await login(it), Accepted)
    assert set(kept(path)) == {"sha512crypt", "scram-sha-1", "scram-sha-256"}
    async with backend(path) as it:
        assert await keys(it) == before


async def test_rehash_of_a_record_that_is_keys_alone_keeps_them(store: Store, path: str) -> None:
    add(path, USER, of_rfc(SHA256))
    async with backend(path, replace(OPTIONS, scram_upgrade=False)) as it:
        assert isinstance(await login(it), Accepted)
    found = kept(path)
    assert set(found) == {"sha512crypt", "scram-sha-256"}
    assert found["scram-sha-256"] == of_rfc(SHA256).text


async def test_password_login_is_decided_by_the_hash_and_never_by_keys_beside_it(store: Store, path: str) -> None:
    other = keying.encoded(Hash.SHA256, derive(Hash.SHA256, Secret(b"other"), b"salt", 4096))
    hashed = passwords.make("yescrypt", PENCIL)  # by name it stands behind the keys
    add(path, USER, hashed, other)
    async with backend(path, replace(OPTIONS, rehash=False, scram_upgrade=False)) as it:
        assert isinstance(await login(it), Accepted)
        assert await login(it, Secret(b"other")) == Rejected(Reason.WRONG_SECRET)


async def test_f3_upgraded_secret_takes_the_salt_that_its_account_has(store: Store, path: str) -> None:
    add(path, USER, HASHED, of_rfc(SHA256))
    add_app(path, USER, passwords.make("sha512crypt", Secret(b"app")))
    async with backend(path) as it:
        assert isinstance(await login(it, Secret(b"app")), Accepted)
    async with backend(path) as it:
        found = await keys(it)
        assert (found.keys.salt, found.keys.rounds, len(found.keys.secrets)) == (SHA256.keys.salt, SHA256.keys.rounds, 2)
        assert found.keys.secrets[1][1] == derive(Hash.SHA256, Secret(b"app"), SHA256.keys.salt, SHA256.keys.rounds)


async def test_password_without_keys_logs_in_all_the_same_and_without_a_complaint(
    store: Store, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = Secret(b"tab\there")
    add(path, USER, passwords.make("sha256crypt", secret))
    async with backend(path) as it:
        assert isinstance(await login(it, secret), Accepted)
    assert set(kept(path)) == {"sha512crypt"}
    assert caplog.text == ""


async def test_f6_rehash_stores_the_form_that_was_stored_and_keys_are_those_of_every_form(store: Store, path: str) -> None:
    composed, decomposed = Secret("café".encode()), Secret("cafe\u0301".encode())
    add(path, USER, passwords.make("sha256crypt", composed))
    async with backend(path) as it:
        assert isinstance(await login(it, decomposed), Accepted)
    async with backend(path) as it:
        assert isinstance(await login(it, composed), Accepted)
        assert isinstance(await login(it, decomposed), Accepted)
        found = await keys(it)
        assert found.keys.secrets[0][1] == derive(Hash.SHA256, composed, found.keys.salt, 4096)


Late = Callable[[str, Callable[[], object]], trio.Event]


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Late:
    """Do something when `Hashing.NAME` has ended the first time, before its caller goes on; the event: it has."""

    def set_up(name: str, act: Callable[[], object]) -> trio.Event:
        original: Callable[..., Awaitable[object]] = getattr(Hashing, name)
        done = trio.Event()

        async def disturbed(self: Hashing, *arguments: object) -> object:
            made = await original(self, *arguments)
            if not done.is_set():
                act()
                done.set()
            return made

        monkeypatch.setattr(Hashing, name, disturbed)
        return done

    return set_up


async def test_f2_upgrade_that_comes_late_never_brings_an_old_password_back(store: Store, path: str, after: Late) -> None:
    add(path, USER, HASHED)
    new = passwords.make("sha512crypt", Secret(b"pw2"))

    def changed() -> None:
        with Store.open(path) as opened:
            opened.set_secret(USER, NewSecret(new))

    done = after("derive", changed)
    async with backend(path) as it:
        assert isinstance(await login(it), Accepted)
        await done.wait()
    assert kept(path) == {"sha512crypt": new.text}


async def test_f2_rehash_by_another_daemon_while_keys_are_made_loses_neither(store: Store, path: str, after: Late) -> None:
    weak = passwords.make("sha256crypt", PENCIL)
    add(path, USER, weak)

    def rehashed() -> None:
        assert passwords.verify(weak, PENCIL)
        change(path, "DELETE FROM encoding")
        change(path, "INSERT INTO encoding (secret, scheme, text) VALUES (1, ?, ?)", HASHED.scheme, HASHED.text)

    after("derive", rehashed)
    async with backend(path) as it:
        assert isinstance(await login(it), Accepted)
    found = kept(path)
    assert set(found) == {"sha512crypt", "scram-sha-1", "scram-sha-256"}
    assert found["sha512crypt"] == HASHED.text


async def test_f2_keys_by_another_daemon_while_a_hash_is_made_lose_neither(store: Store, path: str, after: Late) -> None:
    add(path, USER, passwords.make("sha256crypt", PENCIL))
    insert = "INSERT INTO encoding (secret, scheme, text) VALUES (1, 'scram-sha-256', ?)"
    after("make", lambda: change(path, insert, of_rfc(SHA256).text))
    async with backend(path, replace(OPTIONS, scram_upgrade=False)) as it:
        assert isinstance(await login(it), Accepted)
    found = kept(path)
    assert set(found) == {"sha512crypt", "scram-sha-256"}


async def test_upgrade_is_never_waited_for_and_made_once_at_a_time(store: Store, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    add(path, USER, HASHED)
    add(path, BOB, HASHED)
    begun: list[Hash] = []
    gate = trio.Event()
    original = Hashing.derive

    async def gated(self: Hashing, function: Hash, secret: Secret, salt: bytes, rounds: int) -> Keys:
        begun.append(function)
        await gate.wait()
        return await original(self, function, secret, salt, rounds)

    monkeypatch.setattr(Hashing, "derive", gated)
    async with backend(path) as it:
        for _ in range(3):
            assert isinstance(await login(it), Accepted)
        assert isinstance(await login(it, name=BOB), Accepted)
        await trio.testing.wait_all_tasks_blocked()
        assert begun == [Hash.SHA256, Hash.SHA256]
        gate.set()
    assert len(begun) == 4
    assert len(kept(path)) == 3


async def test_upgrade_that_fails_costs_nobody_a_login_and_is_tried_again(
    store: Store, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add(path, USER, HASHED)
    with monkeypatch.context() as patch:
        patch.setattr("saslauthd_py.store.rehash.add_encodings", lambda *_: 1 / 0)
        async with backend(path) as it:
            assert isinstance(await login(it), Accepted)
    assert it._renewal._under_way == set()
    async with backend(path) as it:
        assert isinstance(await login(it), Accepted)
    assert caplog.text.count("a password keeps its old encodings for now") == 1
    assert "pencil" not in caplog.text
    assert len(kept(path)) == 3


# Who is without


async def test_lack_says_how_many_are_without_and_names_one(store: Store, path: str) -> None:
    async with backend(path, replace(OPTIONS, scram_upgrade=False)) as it:
        assert it.lack(Hash.SHA256) == "its accounts are not counted yet"
        await it.count_keys()
        assert it.lack(Hash.SHA256) == it.lack(Hash.SHA1) == "no accounts yet"
        for name in ("bob", "carol", "dave"):
            add(path, Identity(name, "example.test"), HASHED)
        add(path, USER, HASHED, of_rfc(SHA256))
        await it.count_keys()
        advice = "saslauthd-py user passwd --scram, or scram_upgrade = true"
        assert it.lack(Hash.SHA256) == f"3 accounts have no scram-sha-256 keys, bob@example.test among them; {advice}"
        assert it.lack(Hash.SHA1) == f"4 accounts have no scram-sha-1 keys, bob@example.test among them; {advice}"
        with Store.open(path) as opened:
            for name in ("bob", "carol", "dave"):
                opened.set_secret(Identity(name, "example.test"), NewSecret(HASHED, None, (of_rfc(SHA256),)))
        await it.count_keys()
        assert it.lack(Hash.SHA256) == ""
        assert it.lack(Hash.SHA1).startswith("4 accounts")


async def test_lack_with_upgrades_says_how_it_will_end(store: Store, path: str) -> None:
    add(path, BOB, HASHED)
    async with backend(path) as it:
        await it.count_keys()
        advice = "saslauthd-py user passwd --scram, or a PLAIN or LOGIN login makes them"
        assert it.lack(Hash.SHA1) == f"1 account has no scram-sha-1 keys, bob@example.test; {advice}"
        assert isinstance(await login(it, name=BOB), Accepted)
    async with backend(path) as it:
        await it.count_keys()
        assert it.lack(Hash.SHA1) == it.lack(Hash.SHA256) == ""


async def test_clear_text_lacks_nothing_but_where_no_keys_can_be_made_of_it(store: Store, path: str) -> None:
    add(path, USER, CLEAR)
    async with backend(path) as it:
        await it.count_keys()
        assert it.lack(Hash.SHA256) == it.lack(Hash.SHA1) == ""
        add(path, BOB, passwords.recognise("{PLAIN.B64}YQli"))
        await it.count_keys()
        assert it.lack(Hash.SHA256).startswith("1 account has no scram-sha-256 keys, bob@example.test;")


async def test_accounts_are_counted_only_when_they_have_changed(store: Store, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    count = census.count

    def watched(path: str) -> Census:
        counted.append(path)
        return count(path)

    monkeypatch.setattr(census, "count", watched)
    add(path, USER, HASHED)
    async with backend(path) as it:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(it.count_keys)
        assert it.lack(Hash.SHA256) != ""
        assert len(counted) == 1
        with Store.open(path) as opened:
            opened.lock(USER, "left")
        await it.count_keys()
        await it.count_keys()
        assert len(counted) == 2


async def test_d8_one_text_that_is_not_utf8_does_not_hide_the_others_from_the_count(store: Store, path: str) -> None:
    add(path, USER, CLEAR)
    add(path, BOB, HASHED)
    change(path, "UPDATE encoding SET text = CAST(CAST(text AS BLOB) || x'ff' AS TEXT) WHERE scheme = 'plain'")
    change(path, "UPDATE identity SET local = CAST(x'ff' AS TEXT) WHERE id = 2")
    async with backend(path) as it:
        await it.count_keys()
        assert it.lack(Hash.SHA256).startswith("2 accounts have no scram-sha-256 keys, user@example.test among them;")


async def test_count_that_fails_leaves_what_was_counted_and_is_tried_again(
    store: Store, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    add(path, USER, HASHED, of_rfc(SHA256))
    async with backend(path) as it:
        await it.count_keys()
        assert it.lack(Hash.SHA256) == ""
        os.rename(path, path + ".away")
        it._stale = True
        await it.count_keys()
        assert it.lack(Hash.SHA256) == ""
        assert caplog.text.count("its accounts are not counted") == 1
        os.rename(path + ".away", path)
        add(path, BOB, HASHED)
        await it.count_keys()
        assert "bob@example.test" in it.lack(Hash.SHA256)


async def test_options_rounds_are_those_of_new_keys_alone(store: Store, path: str) -> None:
    add(path, USER, HASHED, of_rfc(SHA256))
    async with backend(path, replace(OPTIONS, scram_rounds=5000)) as it:
        assert isinstance(await login(it), Accepted)
    async with backend(path) as it:
        assert (await keys(it)).keys.rounds == 4096
        assert (await keys(it, Hash.SHA1)).keys.rounds == 5000


def test_salts_of_the_store_are_made_by_its_own_key(store: Store, path: str) -> None:
    with Store.open(path) as opened:
        assert Salts(opened.decoy_key()).decoy("a", Hash.SHA256).rounds == keying.ROUNDS == StoreOptions().scram_rounds


async def test_f3_nobody_shows_the_rounds_of_most_where_most_keys_are_derived(store: Store, path: str) -> None:
    add(path, BOB, HASHED, keying.encoded(Hash.SHA256, Keys(b"salt", 7777, bytes(32), bytes(32))))
    add(path, USER, CLEAR)
    add(path, Identity("carol", "example.test"), CLEAR)
    async with backend(path) as it:
        await it.count_keys()
        shown = (await keys(it)).keys.rounds
        assert it.decoy(Identity("nobody", "example.test"), Hash.SHA256).rounds == shown
