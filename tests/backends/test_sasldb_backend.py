"""A sasldb2 as a backend: verdicts, names and realms as Cyrus has them, faults of the file, SCRAM, and changes under our hands."""

from __future__ import annotations

import grp
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from saslauthd_py import sasldb
from saslauthd_py.app.composition import Shared, composed, opened
from saslauthd_py.backend import Attempt, Backend, BackendBusy, Keyed, KeysFound, Watched
from saslauthd_py.backends.sasldb import SasldbBackend, index
from saslauthd_py.config.load import parse
from saslauthd_py.config.settings import SasldbSettings
from saslauthd_py.credential import Encoding
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity
from saslauthd_py.keys import Hash, Keys
from saslauthd_py.mechanisms.scram.keys import derive
from saslauthd_py.secret import Secret
from saslauthd_py.stamps import Stamp
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.watching import reading, watched
from tests.backends.settling import settled
from tests.interop.daemon import searchable
from tests.sasldb.sasldbs import PAGE, Record, hash_page, key, meta, remove_user, set_password

ALICE = Identity("alice", "example.test")
BOB = Identity("bob", "example.test")
KEY = "0123456789abcdef"
WRONG = Rejected(Reason.WRONG_SECRET)


def database(*records: Record) -> bytes:
    """A file of one page with these records."""
    return meta("<", 1, len(records)) + hash_page("<", 1, [item for record in records for item in record])


def written(path: Path, *records: Record) -> Path:
    path.touch(mode=0o640)
    path.write_bytes(database(*records))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "sasldb2", (key("alice"), b"pw1"), (key("bob"), b"pw2"))


@asynccontextmanager
async def backend(path: Path | str, **keys: Any) -> AsyncIterator[SasldbBackend]:
    async with trio.open_nursery() as nursery:
        yield SasldbBackend(SasldbSettings(type="sasldb", path=str(path), **keys), Hashing(), nursery, "old")
        nursery.cancel_scope.cancel()


async def ask(it: SasldbBackend, secret: bytes = b"pw1", name: Identity = ALICE) -> Verdict:
    return await it.verify_password(Attempt(name, Secret(secret), "smtp"))


async def test_right_wrong_and_unknown(path: Path) -> None:
    async with backend(path) as it:
        promised: tuple[Backend, Keyed, Watched] = (it, it, it)
        assert len(promised) == 3
        assert await ask(it) == Accepted(ALICE)
        assert await ask(it, b"wrong") == WRONG
        assert await ask(it, b"pw1", BOB) == WRONG
        assert await ask(it, b"") == WRONG
        for nobody in (Identity("carol", "example.test"), Identity("alice", "other.test"), Identity("alice", "a..\u0378")):
            assert await ask(it, b"pw1", nobody) == UnknownUser()
            assert isinstance(await it.find_account(nobody), UnknownUser)
        assert await it.find_account(ALICE) == Accepted(ALICE, replayable=False)
        await it.pretend(Secret(b"x"))


async def test_b1_local_part_is_told_by_case_and_realm_is_not(path: Path) -> None:
    async with backend(path) as it:
        assert await ask(it, b"pw1", Identity("alice", "EXAMPLE.test")) == Accepted(ALICE)
        assert await ask(it, b"pw1", Identity("Alice", "example.test")) == UnknownUser()
    async with backend(path, fold_case=True) as it:
        assert await ask(it, b"pw1", Identity("ALICE", "example.test")) == Accepted(ALICE)


async def test_of_names_that_fold_to_one_each_counts_as_it_is_spelled(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(path, (key("alice", "A.test"), b"pw1"), (key("alice", "a.test"), b"pw2"))
    upper, lower = Identity("alice", "A.test"), Identity("alice", "a.test")
    async with backend(path) as it:
        assert await ask(it, b"pw1", upper) == Accepted(upper)
        assert await ask(it, b"pw1", lower) == WRONG
        assert await ask(it, b"pw2", lower) == Accepted(lower)
    assert "1 names are there in several spellings" in caplog.text
    assert "alice" not in caplog.text


async def test_a_name_without_realm_has_the_host_s_or_the_configured_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "mail")
    at_host, nowhere = Identity("alice", "mail"), Identity("alice")
    written(path, (key("alice", "mail"), b"pw1"), (key("alice", ""), b"pw2"), (key("alice"), b"pw3"))
    async with backend(path) as it:
        assert await ask(it, b"pw1", nowhere) == Accepted(at_host)
        assert it.account(nowhere) == it.account(at_host)
    async with backend(path, default_realm="example.test") as it:
        assert await ask(it, b"pw3", nowhere) == Accepted(ALICE)
    async with backend(path, default_realm="") as it:
        assert await ask(it, b"pw2", nowhere) == Accepted(nowhere)


async def test_only_user_password_is_clear_text(path: Path) -> None:
    secrets = [(key("alice", prop=f"cmusaslsecret{name}"), b"pw1") for name in ("PLAIN", "OTP", "CRAM-MD5")]
    written(path, *secrets, (key("alice", prop="userpassword"), b"pw1"), (key("bob"), b""))
    async with backend(path, decoy_key=KEY) as it:
        for name, secret in ((ALICE, b"pw1"), (BOB, b"")):
            assert await ask(it, secret, name) == Rejected(Reason.NO_CREDENTIAL)
            assert await it.find_keys(name, Hash.SHA256) == Rejected(Reason.NO_CREDENTIAL)
            assert await it.find_account(name) == Rejected(Reason.NO_CREDENTIAL)
        assert it.lack(Hash.SHA256) == "no accounts yet"


async def test_any_bytes_may_be_a_password_and_none_is_cut(path: Path) -> None:
    odd, long = bytes(range(1, 256)), b"x" * 150 + b"\0" + b"y"
    written(path, (key("alice"), odd), (key("bob"), long))
    async with backend(path) as it:
        assert await ask(it, odd) == Accepted(ALICE)
        assert await ask(it, long, BOB) == Accepted(BOB)
        assert await ask(it, b"x" * 150, BOB) == WRONG


async def test_f6_a_prepared_form_is_tried_too(path: Path) -> None:
    written(path, (key("alice"), "caf\u00e9".encode()))
    async with backend(path) as it:
        assert await ask(it, "cafe\u0301".encode()) == Accepted(ALICE)


async def test_b5_records_that_nobody_can_name_are_passed_over(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(path, (b"\xff\0example.test\0userPassword", b"pw1"), (b"odd", b"pw1"), (key("", "x"), b"pw1"), (key("alice"), b"pw1"))
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
    assert "3 records have names that no account can have" in caplog.text


def missing(path: Path) -> None:
    path.unlink()


def halved(path: Path) -> None:
    path.write_bytes(database((key("alice"), b"pw1"))[: PAGE + 100])


def uncounted(path: Path) -> None:
    path.write_bytes(meta("<", 1, 2) + hash_page("<", 1, [key("bob"), b"pw2"]))


def foreign(path: Path) -> None:
    path.write_bytes(b"alice:x\n" * 100)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o640)


def grown(path: Path) -> None:
    os.truncate(path, sasldb.LARGEST + 1)


def open_to_all(path: Path) -> None:
    path.chmod(0o666)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (missing, "no such file"),
        (halved, "half written"),
        (uncounted, "1 records are there, and its first page counts 2"),
        (foreign, "it is no sasldb2"),
        (emptied, "it is empty"),
        (piped, "not a file"),
        (grown, "over 256 MiB"),
        (open_to_all, "everybody on this machine can write it"),
    ],
)
async def test_d8_a_file_that_cannot_be_read_is_an_outage_and_c6_takes_its_accounts_back(
    fault: Callable[[Path], None], says: str, path: Path
) -> None:
    async with backend(path, decoy_key=KEY) as it:
        assert await ask(it) == Accepted(ALICE)
        assert await settled(it) == []
        before = it.generation(ALICE)
        fault(path)
        for secret in (b"pw1", b"wrong"):
            verdict = await ask(it, secret)
            assert isinstance(verdict, Unavailable)
            assert verdict.cause.startswith(f"{path}: ")
            assert says in verdict.cause
        assert isinstance(await it.find_keys(ALICE, Hash.SHA256), Unavailable)
        assert says in it.lack(Hash.SHA256)
        assert await settled(it) is None
        assert it.generation(ALICE) != before
        if fault is open_to_all:
            path.chmod(0o640)
        else:
            path.unlink(missing_ok=True)
            written(path, (key("alice"), b"pw1"))
        assert await ask(it) == Accepted(ALICE)


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o640, 0o600])
async def test_advice_for_a_file_that_we_may_not_read_takes_it_from_nobody(path: Path, mode: int) -> None:
    os.chown(path, 0, 1)
    path.chmod(mode)
    before = os.geteuid()
    with searchable() as directory:
        path = path.rename(directory / "sasldb2")
        try:
            os.seteuid(65534)
            async with backend(path) as it:
                verdict = await ask(it)
        finally:
            os.seteuid(before)
    assert isinstance(verdict, Unavailable)
    joins, changes = f"usermod -aG {grp.getgrgid(1).gr_name} ", f"chgrp {grp.getgrgid(os.getegid()).gr_name} {path}"
    assert ((joins in verdict.cause), (changes in verdict.cause)) == ((mode == 0o640), (mode == 0o600))


def test_file_that_is_longer_than_it_says_is_never_read_without_end() -> None:
    """As one that grows meanwhile; the files in /proc say that they are empty."""
    source: reading.Source[index.Index] = reading.Source("/proc/self/maps", lambda _: pytest.fail("too long"), index.Index.changed, 10)
    assert isinstance(reading.read(source, None).found, reading.Fault)


async def test_a_file_that_all_may_read_is_warned_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.chmod(0o644)
    async with backend(path) as it:
        await ask(it)
    assert f"backend old: {path}: every user of this machine can read its passwords, in clear; run: chmod o= {path}" in caplog.text


async def test_c6_a_change_is_seen_by_the_next_look_and_names_the_account(path: Path) -> None:
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        assert await settled(it) == []
        alice, bob = it.generation(ALICE), it.generation(BOB)
        written(path, (key("alice"), b"new"), (key("bob"), b"pw2"), (key("carol"), b"pw3"))
        with pytest.raises(BackendBusy):
            it.changes()
        assert await settled(it) == ["alice@example.test", "carol@example.test"]
        assert it.generation(ALICE) != alice
        assert it.generation(BOB) == bob
        assert await ask(it) == WRONG
        assert await ask(it, b"new") == Accepted(ALICE)


@pytest.mark.parametrize("gone", [False, True])
async def test_d9_account_that_changes_under_the_proof_is_an_outage_that_counts_as_a_guess(gone: bool, path: Path) -> None:
    async with backend(path) as it:
        verify, proofs = it._hashing.verify, 0

        async def verifying(encoding: Encoding, secret: Secret) -> bool:
            nonlocal proofs
            proofs += 1
            if gone:
                path.unlink()
            else:
                written(path, (key("alice"), b"new%d" % proofs))
            return await verify(encoding, secret)

        it._hashing.verify = verifying  # type: ignore[method-assign]  # something happens meanwhile
        verdict = await ask(it)
    assert isinstance(verdict, Unavailable)
    assert verdict.judged
    assert ("no such file" if gone else "kept changing") in verdict.cause
    assert proofs == (1 if gone else 3)


async def test_d6_f3_account_without_keys_costs_what_deriving_does(path: Path) -> None:
    written(path, (key("alice", prop="cmusaslsecretOTP"), b"pw1"), (key("bob"), b"pw2"))
    derived: list[bytes] = []
    async with backend(path, decoy_key=KEY) as it:
        derive = it._hashing.derive

        async def deriving(function: Hash, secret: Secret, salt: bytes, rounds: int) -> Keys:
            derived.append(salt)
            return await derive(function, secret, salt, rounds)

        it._hashing.derive = deriving  # type: ignore[method-assign]  # counted
        for name in (ALICE, BOB, Identity("carol", "example.test")):
            await it.find_keys(name, Hash.SHA256)
    assert len(derived) == 3


def test_index_does_not_show_its_passwords() -> None:
    assert "pw1" not in repr(index.build(database((key("alice"), b"pw1")), fold_case=False, keys=False).by_key)


async def test_c6_more_changes_than_are_named_are_changes_of_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MOST_NAMED", 1)
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        assert await settled(it) == []
        written(path, (key("alice"), b"new"), (key("carol"), b"new"))
        assert await settled(it) is None


async def test_d8_a_half_is_read_again_until_it_is_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is damaged for as long as its writer is at it: within the patience nobody is told no, and nobody is told yes."""
    read, halves = reading.read, 0
    whole = database((key("alice"), b"new"))

    def writing(source: reading.Source[Any], before: Any) -> reading.Reading[Any]:
        nonlocal halves
        seen: reading.Reading[Any] = read(source, before)
        if isinstance(seen.found, reading.Fault) and not seen.settled:
            halves += 1
            if halves == 3:
                path.write_bytes(whole)
        return seen

    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        monkeypatch.setattr(reading, "read", writing)
        path.write_bytes(whole[:-100])
        assert await ask(it, b"new") == Accepted(ALICE)
        assert halves == 3


async def test_d8_a_file_at_rest_that_is_damaged_is_told_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stamp, "quiet", True)
    monkeypatch.setattr(watched, "_PAUSE", float("nan"))  # nobody may wait for it
    halved(path)
    async with backend(path) as it:
        assert isinstance(await ask(it), Unavailable)


@pytest.mark.parametrize("function", Hash)
async def test_scram_keys_are_derived_of_the_password_and_decoys_look_like_them(function: Hash, path: Path) -> None:
    async with backend(path, decoy_key=KEY) as it:
        await it.count_keys()
        assert it.lack(function) == ""
        found = await it.find_keys(ALICE, function)
        assert isinstance(found, KeysFound)
        assert found.identity == ALICE
        ((_, keys),) = found.keys.secrets
        decoy = it.decoy(ALICE, function)
        assert (decoy.salt, decoy.rounds) == (keys.salt, keys.rounds)
        assert keys == derive(function, Secret(b"pw1"), keys.salt, keys.rounds)
        nobody = Identity("carol", "example.test")
        assert await it.find_keys(nobody, function) == UnknownUser()
        assert it.decoy(nobody, function).rounds == keys.rounds
        assert it.decoy(nobody, function) == it.decoy(nobody, function)


async def test_scram_needs_a_decoy_key_and_passwords_that_it_can_take(path: Path) -> None:
    async with backend(path) as it:
        assert "set decoy_key_file" in it.lack(Hash.SHA256)
        assert isinstance(await it.find_keys(ALICE, Hash.SHA256), Unavailable)
    written(path, (key("alice"), b"pw1"), (key("bob"), b"\xff\xfe"))
    async with backend(path, decoy_key=KEY) as it:
        await it.count_keys()
        assert it.lack(Hash.SHA256).startswith("1 account has no scram-sha-256 keys, bob@example.test; ")
        assert await it.find_keys(BOB, Hash.SHA256) == Rejected(Reason.NO_CREDENTIAL)


@pytest.mark.peer("saslpasswd2")
async def test_c6_what_saslpasswd2_writes_counts_at_the_next_login(tmp_path: Path) -> None:
    path = tmp_path / "sasldb2"
    set_password(path, "alice", b"pw1")
    os.chmod(path, 0o640)
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        for number in range(5):
            await trio.to_thread.run_sync(set_password, path, "alice", b"new%d" % number)
            assert await ask(it) == WRONG
            assert await ask(it, b"new%d" % number) == Accepted(ALICE)
            await trio.to_thread.run_sync(set_password, path, "alice", b"pw1")
            assert await ask(it) == Accepted(ALICE)
        await trio.to_thread.run_sync(remove_user, path, "alice")
        assert await ask(it) == UnknownUser()


async def test_a_configuration_makes_it(path: Path) -> None:
    text = f"""
[[listen]]
protocol = "saslauthd"
path = "/run/mux"

[backend.old]
type = "sasldb"
path = "{path}"

[[route]]
realm = "*"
backends = ["old"]
"""
    settings = parse(text, "FILE")
    with opened(settings, None) as resources:
        async with composed(settings, resources, Shared.of(settings)) as parts:
            member = parts.members["old"]
            assert None not in (member.keyed, member.watched)
            assert await member.backend.verify_password(Attempt(ALICE, Secret(b"pw1"), "smtp")) == Accepted(ALICE)


def test_scram_by_name_without_a_decoy_key_is_refused_by_the_configuration(path: Path) -> None:
    from saslauthd_py.config.load import ConfigurationError

    text = f"""
[[listen]]
protocol = "dovecot"
path = "/run/auth"
mechanisms = ["PLAIN", "SCRAM-SHA-256"]
[backend.old]
type = "sasldb"
path = "{path}"
[[route]]
realm = "*"
backends = ["old"]
"""
    with pytest.raises(ConfigurationError, match=r"backend\.old: .*set decoy_key_file"):
        parse(text, "FILE")
    keyed = text.replace('type = "sasldb"', 'type = "sasldb"\ndecoy_key = "0123456789abcdef"')
    assert parse(keyed, "FILE").backend["old"].type == "sasldb"
    with pytest.raises(ConfigurationError, match="too short to be random"):
        parse(keyed.replace("0123456789abcdef", "short"), "FILE")
