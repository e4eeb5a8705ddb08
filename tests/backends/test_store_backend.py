"""The store as a backend: verdicts, broken records, rehash, last use, and what an outage of the file is (rules C6, D6 to D8, F2, F5)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from saslauthd_py import passwords
from saslauthd_py.backend import Attempt, BackendBusy
from saslauthd_py.backends.store import StoreBackend, StoreOptions
from saslauthd_py.credential import Encoding, Restrictions
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.store import usage
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.store import Store
from saslauthd_py.store.watch import Watch
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

ALICE = Identity("alice", "example.test")
CHEAP = "sha256crypt"
OPTIONS = StoreOptions(rehash=False)


def encoded(secret: bytes = b"pw1", scheme: str = "sha512crypt") -> NewSecret:
    return NewSecret(passwords.make(scheme, Secret(secret)))


@pytest.fixture
def path(tmp_path: Path) -> str:
    directory = tmp_path / "store"
    directory.mkdir(mode=0o700)
    return str(directory / "users.db")


@pytest.fixture
def store(path: str) -> Store:
    with Store.open(path, create=True) as made:
        made.add(ALICE, encoded())
        return made


@asynccontextmanager
async def backend(path: str, options: StoreOptions = OPTIONS) -> AsyncIterator[StoreBackend]:
    watch = Watch(path)
    try:
        async with trio.open_nursery() as nursery:
            yield StoreBackend(path, watch, Hashing(), nursery, options)
    finally:
        watch.close()


async def ask(it: StoreBackend, name: Identity = ALICE, secret: bytes = b"pw1") -> Verdict:
    return await it.verify_password(Attempt(name, Secret(secret), "smtp"))


def change(path: str, sql: str, *values: object) -> None:
    """What no command of ours does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql, values)


async def test_right_wrong_and_unknown(store: Store, path: str) -> None:
    async with backend(path) as it:
        accepted = await ask(it)
        assert isinstance(accepted, Accepted)
        assert accepted.identity == ALICE
        assert accepted.sole
        assert await ask(it, secret=b"wrong") == Rejected(Reason.WRONG_SECRET)
        assert await ask(it, Identity("bob", "example.test")) == UnknownUser()
        assert await ask(it, Identity("alice", "other.test")) == UnknownUser()


async def test_b1_confirmed_identity_is_the_stored_one_and_case_is_folded_where_told(store: Store, path: str) -> None:
    async with backend(path) as it:
        found = await ask(it, Identity("ALICE", "Example.TEST"))
        assert isinstance(found, Accepted)
        assert found.identity == ALICE
    async with backend(path, replace(OPTIONS, fold_case=False)) as it:
        assert await ask(it, Identity("ALICE", "example.test")) == UnknownUser()
        assert isinstance(await ask(it, Identity("alice", "EXAMPLE.test")), Accepted)


async def test_login_template_makes_the_stored_name(store: Store, path: str) -> None:
    async with backend(path, replace(OPTIONS, login="{local}@example.test")) as it:
        assert isinstance(await ask(it, Identity("alice", "mail.other.test")), Accepted)


async def test_locked_account_is_rejected_for_that_with_the_right_secret(store: Store, path: str) -> None:
    with Store.open(path) as opened:
        opened.lock(ALICE, "spam")
    async with backend(path) as it:
        assert await ask(it) == Rejected(Reason.LOCKED)


async def test_account_without_a_secret_and_with_a_disabled_one(store: Store, path: str) -> None:
    with Store.open(path) as opened:
        opened.add(Identity("empty", "example.test"), None)
    async with backend(path) as it:
        assert await ask(it, Identity("empty", "example.test")) == Rejected(Reason.NO_CREDENTIAL)
        change(path, "UPDATE secret SET disabled = 1")
        assert await ask(it) == Rejected(Reason.DISABLED)


async def test_restrictions_travel_with_the_proof(store: Store, path: str) -> None:
    rules = Restrictions(services=("imap",), expires=2_000_000_000.0)
    with Store.open(path) as opened:
        opened.set_secret(ALICE, replace(encoded(), restrictions=rules))
    async with backend(path) as it:
        accepted = await ask(it)
        assert isinstance(accepted, Accepted)
        assert accepted.restrictions == rules


@pytest.mark.parametrize(("scheme", "text"), [("no-such-scheme", "x"), ("sha512crypt", "garbage"), ("argon2id", ""), ("sha512crypt", "*")])
async def test_d8_broken_record_is_an_outage_for_it_alone_whatever_the_secret(store: Store, path: str, scheme: str, text: str) -> None:
    with Store.open(path) as opened:
        opened.add(Identity("bob", "example.test"), encoded())
    change(path, "UPDATE encoding SET scheme = ?, text = ? WHERE secret = (SELECT min(id) FROM secret)", scheme, text)
    async with backend(path) as it:
        for secret in (b"pw1", b"wrong", text.encode()):
            verdict = await ask(it, secret=secret)
            assert isinstance(verdict, Unavailable)
            assert "user passwd" in verdict.cause
            assert text == "" or text == "*" or text not in verdict.cause
        assert isinstance(await ask(it, Identity("bob", "example.test")), Accepted)


async def test_d11_record_that_costs_too_much_is_a_broken_one(store: Store, path: str) -> None:
    change(path, "UPDATE encoding SET scheme = 'argon2id', text = ?", "$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHRzb21l$" + "A" * 43)
    async with backend(path) as it:
        assert isinstance(await ask(it), Unavailable)


async def test_d7_secret_too_long_for_the_scheme_is_rejected_and_not_cut(path: str) -> None:
    with Store.open(path, create=True) as opened:
        opened.add(ALICE, encoded(b"x" * 72, "bcrypt"))
    async with backend(path) as it:
        assert isinstance(await ask(it, secret=b"x" * 72), Accepted)
        assert await ask(it, secret=b"x" * 73) == Rejected(Reason.WRONG_SECRET)


async def test_d6_pretending_uses_the_scheme_that_most_secrets_have(store: Store, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    verify = Hashing.verify

    async def watched(self: Hashing, encoding: Encoding, secret: Secret) -> bool:
        tried.append(encoding.scheme)
        return await verify(self, encoding, secret)

    monkeypatch.setattr(Hashing, "verify", watched)
    async with backend(path) as it:
        await it.count_keys()
        await it.pretend(Secret(b"x"))
        with Store.open(path) as opened:
            for number in range(2):
                opened.add(Identity(f"u{number}", "example.test"), encoded(scheme=CHEAP))
        it.changes()
        await it.count_keys()
        await it.pretend(Secret(b"x"))
    assert tried == ["sha512crypt", CHEAP]


async def test_c6_change_by_another_process_is_reported_with_its_account(store: Store, path: str) -> None:
    async with backend(path) as it:
        assert list(it.changes() or ()) == []
        before = it.generation(ALICE)
        with Store.open(path) as opened:
            opened.set_secret(ALICE, encoded(b"pw2"))
        assert list(it.changes() or ()) == ["alice@example.test"]
        assert it.generation(ALICE) != before
        assert it.generation(Identity("ALICE", "EXAMPLE.TEST")) == it.generation(ALICE)
        assert await ask(it) == Rejected(Reason.WRONG_SECRET)
        assert isinstance(await ask(it, secret=b"pw2"), Accepted)


async def test_c6_change_seen_by_a_login_is_not_lost_to_the_cache(store: Store, path: str) -> None:
    async with backend(path) as it:
        it.changes()
        with Store.open(path) as opened:
            opened.set_secret(ALICE, encoded(b"pw2"))
        await ask(it)
        assert list(it.changes() or ()) == ["alice@example.test"]
        assert list(it.changes() or ()) == []


async def test_c6_store_that_is_gone_is_an_outage_until_it_is_back(store: Store, path: str) -> None:
    async with backend(path) as it:
        os.rename(path, path + ".away")
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        assert "restore" in verdict.cause
        os.rename(path + ".away", path)
        assert isinstance(await ask(it), Accepted)


async def test_store_that_another_process_holds_is_waited_for_in_a_thread(store: Store, path: str) -> None:
    async with backend(path) as it:
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE identity SET locked = 'in the making'")
            assert isinstance(await ask(it), Accepted), "a WAL reader does not wait for a writer"
            writer.execute("ROLLBACK")


async def test_f2_login_renews_an_old_hash_and_keeps_the_password(path: str) -> None:
    with Store.open(path, create=True) as opened:
        opened.add(ALICE, encoded(scheme=CHEAP))
    async with backend(path, StoreOptions(scheme="sha512crypt")) as it:
        assert isinstance(await ask(it), Accepted)
    async with backend(path) as it:
        assert isinstance(await ask(it), Accepted)
    with Store.open(path) as opened:
        (credential,) = opened.get(ALICE).credentials
        assert [one.scheme for one in credential.encodings] == ["sha512crypt"]


async def test_f2_rehash_that_comes_late_never_brings_an_old_password_back(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(path, create=True) as opened:
        opened.add(ALICE, encoded(scheme=CHEAP))
    made = trio.Event()
    make = Hashing.make

    async def late(self: Hashing, scheme: str, secret: Secret) -> Encoding:
        encoding = await make(self, scheme, secret)
        with Store.open(path) as opened:
            opened.set_secret(ALICE, encoded(b"pw2"))
        made.set()
        return encoding

    monkeypatch.setattr(Hashing, "make", late)
    async with backend(path, StoreOptions(scheme="sha512crypt")) as it:
        assert isinstance(await ask(it), Accepted)
        await made.wait()
    async with backend(path) as it:
        assert await ask(it) == Rejected(Reason.WRONG_SECRET)
        assert isinstance(await ask(it, secret=b"pw2"), Accepted)


async def test_failed_rehash_costs_nobody_a_login(path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with Store.open(path, create=True) as opened:
        opened.add(ALICE, encoded(scheme=CHEAP))

    async def fail(self: Hashing, scheme: str, secret: Secret) -> Encoding:
        raise passwords.UnknownScheme("no sha512crypt on this system")

    monkeypatch.setattr(Hashing, "make", fail)
    async with backend(path, StoreOptions(scheme="sha512crypt")) as it:
        assert isinstance(await ask(it), Accepted)
    assert "keeps its old encodings" in caplog.text


async def test_f5_last_use_is_written_when_housekeeping_ends_and_not_within_a_login(store: Store, path: str) -> None:
    async with backend(path) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.keep_house)
        accepted = await ask(it)
        assert isinstance(accepted, Accepted)
        it.used[accepted.credential] = 1234.5
        assert not os.path.exists(os.path.join(os.path.dirname(path), "usage.db"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert usage.read(path, range(10)) == {accepted.credential: 1234.5}
    assert it.used == {}


async def test_f5_uses_that_cannot_be_written_are_kept_for_the_next_time(store: Store, path: str, caplog: pytest.LogCaptureFixture) -> None:
    async with backend(path) as it:
        it.used.update({1: 100.0, 2: 200.0})
        os.rename(path, path + ".away")
        await it._write_uses()
        assert it.used == {1: 100.0, 2: 200.0}
        assert "last use is not written yet" in caplog.text
        os.rename(path + ".away", path)
        await it._write_uses()
        assert it.used == {}
    assert usage.read(path, [1, 2]) == {1: 100.0, 2: 200.0}


async def test_housekeeping_survives_whatever_the_machine_refuses(
    store: Store, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    async with backend(path) as it:
        it.used[1] = 5.0
        monkeypatch.setattr(trio.to_thread, "run_sync", refuse)
        await it._write_uses()
        await it.count_keys()
        assert it.used == {1: 5.0}
    assert caplog.text.count("can't start new thread") == 2


async def test_profile_that_nobody_knows_is_a_line_in_the_log(store: Store, path: str, caplog: pytest.LogCaptureFixture) -> None:
    change(path, "UPDATE encoding SET profile = 'no-such x=1'")
    async with backend(path) as it:
        await it.count_keys()
        await it.pretend(Secret(b"x"))
    assert "no-such" in caplog.text


async def test_d8_record_that_is_not_utf8_shows_nothing_of_its_hash(store: Store, path: str) -> None:
    change(path, "UPDATE encoding SET text = CAST(CAST(text AS BLOB) || x'ff' AS TEXT)")
    async with backend(path) as it:
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        assert "$6$" not in verdict.cause


async def test_c6_change_that_names_nobody_is_not_lost_to_the_cache(store: Store, path: str) -> None:
    async with backend(path) as it:
        it.changes()
        it._watch.look = lambda: None  # type: ignore[method-assign]
        it._look()
        it._watch.look = lambda: frozenset({"bob@"})  # type: ignore[method-assign]
        assert it.changes() is None
        assert it.changes() == ["bob@"]


async def test_e3_store_that_is_busy_is_read_by_a_thread(store: Store, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[object] = []
    run_sync = trio.to_thread.run_sync

    async def watched(call: object, *arguments: object, **more: object) -> object:
        threads.append(call)
        return await run_sync(call, *arguments, **more)  # type: ignore[arg-type]

    def busy() -> None:
        raise BackendBusy("locked")

    async with backend(path) as it:
        it._watch.look = busy  # type: ignore[method-assign]
        monkeypatch.setattr(trio.to_thread, "run_sync", watched)
        assert isinstance(await ask(it), Accepted)
        assert threads[0] == it._find_waiting


async def test_c5_account_with_an_app_secret_too_has_no_sole_one(store: Store, path: str) -> None:
    change(
        path,
        "INSERT INTO secret (identity, kind, label, services, networks, expires, disabled, generation, created, changed)"
        " SELECT id, 'app', 'phone', '[]', '[]', NULL, 0, 1, 0, 0 FROM identity",
    )
    app = passwords.make("sha256crypt", Secret(b"app1"))
    change(path, "INSERT INTO encoding (secret, scheme, text) SELECT id, ?, ? FROM secret WHERE kind = 'app'", app.scheme, app.text)
    async with backend(path) as it:
        for secret in (b"pw1", b"app1"):
            accepted = await ask(it, secret=secret)
            assert isinstance(accepted, Accepted)
            assert not accepted.sole
        assert await ask(it, secret=b"wrong") == Rejected(Reason.WRONG_SECRET)


async def test_d6_pretending_falls_back_where_the_common_hash_cannot_be_made(
    store: Store, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with backend(path) as it:
        it._decoy = Encoding("no-such", "x")
        await it.pretend(Secret(b"x"))
        assert it._decoy.scheme == OPTIONS.scheme
    assert caplog.text.count("no work like that") == 1
