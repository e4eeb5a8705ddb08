"""Password files as a backend: verdicts, faults of one record and of a whole file, realms with a file each, and tricks with their names."""

from __future__ import annotations

import errno
import os
import tracemalloc
from ipaddress import ip_network
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import identity, passwords, stamps
from saslauthd_py.backends import passwd_file
from saslauthd_py.backends.passwd_file import PasswdFileBackend, files, index
from saslauthd_py.backends.passwd_file.files import Files, WatchedFile
from saslauthd_py.config.settings import PasswdFileSettings
from saslauthd_py.credential import Encoding
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser
from saslauthd_py.watching import reading, watched
from tests.backends.passwd_files import ALICE, BOB, ask, backend, line, sha, written
from tests.backends.settling import settled


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "users", line("alice@example.test", "pw1"), line("bob@example.test", "pw2"))


async def test_right_wrong_and_unknown(path: Path) -> None:
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        assert await ask(it, "wrong") == Rejected(Reason.WRONG_SECRET)
        assert await ask(it, "pw1", BOB) == Rejected(Reason.WRONG_SECRET)
        for nobody in (
            Identity("carol", "example.test"),
            Identity("alice", "other.test"),
            Identity("alice"),
            Identity("alice", "a..\u0378"),
        ):
            assert await ask(it, "pw1", nobody) == UnknownUser()


async def test_b1_confirmed_identity_is_the_file_s_and_case_is_folded_where_told(path: Path) -> None:
    shouted = Identity("ALICE", "Example.TEST")
    async with backend(path) as it:
        assert await ask(it, "pw1", shouted) == Accepted(ALICE)
        assert it.account(shouted) == it.account(ALICE) == "alice@example.test"
    async with backend(path, fold_case=False) as it:
        assert await ask(it, "pw1", shouted) == UnknownUser()
        assert await ask(it, "pw1", Identity("alice", "EXAMPLE.test")) == Accepted(ALICE)


async def test_login_template_says_what_is_looked_up(path: Path) -> None:
    written(path, line("alice", "pw1"))
    async with backend(path, login="{local}") as it:
        assert await ask(it) == Accepted(Identity("alice"))
    async with backend(path) as it:
        assert await ask(it) == UnknownUser()
        assert await ask(it, "pw1", Identity("alice")) == Accepted(Identity("alice"))


async def test_restrictions_travel_with_the_proof(path: Path) -> None:
    written(path, line("alice@example.test", "pw1", "::::::allow_nets=192.0.2.0/24 userdb_mail=x"))
    async with backend(path) as it:
        accepted = await ask(it)
        assert isinstance(accepted, Accepted)
        assert accepted.restrictions.networks == (ip_network("192.0.2.0/24"),)


async def test_account_that_is_shut_is_rejected_for_that_with_the_right_secret(path: Path) -> None:
    shut = [line("alice", "pw1", "::::::nologin=y"), f"bob:!{sha('pw1')}\n", "carol:x\n", line("dave", "pw1", "::::::nopassword")]
    reasons = [Reason.DISABLED, Reason.LOCKED, Reason.NO_CREDENTIAL, Reason.NO_CREDENTIAL]
    written(path, *shut)
    async with backend(path) as it:
        for name, reason in zip(("alice", "bob", "carol", "dave"), reasons, strict=True):
            assert await ask(it, "pw1", Identity(name)) == Rejected(reason)


@pytest.mark.parametrize(
    "field", ["{NOSUCH}abcdef", "clear-text", "$6$salt$short", "$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHRzb21l$" + "A" * 43]
)
async def test_d8_broken_record_is_an_outage_for_it_alone_with_its_line(path: Path, field: str) -> None:
    written(path, "# mail\n", line("bob@example.test", "pw2"), f"alice@example.test:{field}\n")
    async with backend(path) as it:
        for secret in ("pw1", "clear-text", field):
            verdict = await ask(it, secret)
            assert isinstance(verdict, Unavailable)
            assert verdict.cause.startswith(f"{path}:3: ")
            assert field not in verdict.cause
        assert await ask(it, "pw2", BOB) == Accepted(BOB)


async def test_d7_secret_too_long_for_the_scheme_is_rejected_and_not_cut(path: Path) -> None:
    written(path, f"alice@example.test:{passwords.make('bcrypt', Secret(b'x' * 72)).text}\n")
    async with backend(path) as it:
        assert await ask(it, "x" * 72) == Accepted(ALICE)
        assert await ask(it, "x" * 73) == Rejected(Reason.WRONG_SECRET)


async def test_d6_pretending_does_the_work_that_most_lines_ask_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    verify = Hashing.verify

    async def seen(self: Hashing, encoding: Encoding, secret: Secret) -> bool:
        tried.append(encoding.scheme)
        return await verify(self, encoding, secret)

    monkeypatch.setattr(Hashing, "verify", seen)
    costly = f"c:{passwords.make('sha256crypt', Secret(b'x')).text}\n"
    written(path, line("a", "x"), costly)
    async with backend(path) as it:
        await it.pretend(Secret(b"x"))
        written(path, line("a", "x"), costly, costly.replace("c:", "d:"))
        await ask(it)
        await it.pretend(Secret(b"x"))
    assert tried == [passwords.DEFAULT_SCHEME, "sha256crypt"]


async def test_d6_pretending_falls_back_where_the_common_hash_cannot_be_made(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with backend(path) as it:
        it._usual.decoy = Encoding("sha512crypt", "broken")
        await it.pretend(Secret(b"x"))
        await it.pretend(Secret(b"x"))
    assert caplog.text.count("no work like that of the common hash") == 1


# A whole file that is no good


async def test_file_that_never_was_good_is_an_outage_for_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "users"
    path.write_bytes(b"\x7fELF\0\0\0alice@example.test:x\n")
    async with backend(path) as it:
        for _ in range(2):
            verdict = await ask(it)
            assert isinstance(verdict, Unavailable)
            assert verdict.cause.startswith(f"{path}: it holds NUL bytes")
    assert caplog.text.count("NUL bytes") == 1


async def test_a_fault_of_a_file_names_its_backend(tmp_path: Path, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    it = PasswdFileBackend(PasswdFileSettings(type="passwd_file", path=str(tmp_path / "none")), Hashing(), nursery, "mail")
    await it.count_keys()
    assert f"backend mail: {tmp_path}/none: no such file" in caplog.text


async def test_d8_faults_of_lines_are_told_once_without_the_names(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [line("alice@example.test", "pw1"), line("ALICE@example.test", "pw9")]
    written(path, *lines)
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        written(path, *lines, "# touched\n")
        assert await ask(it, "pw9") == Rejected(Reason.WRONG_SECRET)
    assert caplog.text.count(f"{path}: line 2 repeats the name of line 1") == 1


async def test_file_that_is_too_large_is_something_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwd_file, "LARGEST", path.stat().st_size - 1)
    async with backend(path) as it:
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        assert "taken for something else" in verdict.cause


async def test_file_that_grows_while_it_is_read_is_not_taken_whole_into_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwd_file, "LARGEST", 1 << 20)
    monkeypatch.setattr(reading, "_unfit", lambda *_: None)  # it was small when that was asked
    os.truncate(path, 64 << 20)
    tracemalloc.start()
    try:
        async with backend(path) as it:
            assert isinstance(await ask(it), Unavailable)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
async def test_what_is_no_file_is_never_waited_for(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "users")
    async with backend(tmp_path / "users") as it:
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        assert "not a file" in verdict.cause


async def test_file_that_everybody_can_write_proves_nothing(path: Path) -> None:
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        path.chmod(0o666)
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        assert f"chmod o-w {path}" in verdict.cause
        path.chmod(0o640)
        assert await ask(it) == Accepted(ALICE)


async def test_file_that_everybody_can_read_is_told_of_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.chmod(0o644)
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        written(path, line("alice@example.test", "pw2"))
        assert await ask(it, "pw2") == Accepted(ALICE)
    assert caplog.text.count("every user of this machine can read its hashes") == 1


@pytest.mark.parametrize("lines", [["alice@example.test:*\n"], ["# nobody\n"]])
async def test_file_without_a_hash_may_be_read_by_everybody(path: Path, lines: list[str], caplog: pytest.LogCaptureFixture) -> None:
    path.chmod(0o644)
    written(path, *lines)
    async with backend(path) as it:
        await ask(it)
    assert not caplog.records


def refuse(number: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the file cannot be opened."""
    real = os.open

    def opened(name: str, *arguments: int) -> int:
        if name == str(path):
            raise OSError(number, os.strerror(number))
        return real(name, *arguments)

    monkeypatch.setattr(os, "open", opened)


async def test_c6_file_that_we_may_not_read_any_more_is_an_outage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        refuse(errno.EACCES, path, monkeypatch)
        path.chmod(0o600)
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        assert "may not read it" in verdict.cause
        assert f"chmod g+r {path}" in verdict.cause


@pytest.mark.root
async def test_directory_that_shuts_us_out_is_told_as_such(path: Path) -> None:
    path.parent.chmod(0o700)
    before = os.geteuid()
    try:
        os.seteuid(65534)
        async with backend(path) as it:
            verdict = await ask(it)
        async with backend(path.parent / "{realm}") as it:
            refused = await ask(it)
            assert not it._files._watched
    finally:
        os.seteuid(before)
    assert isinstance(verdict, Unavailable)
    assert "may not enter a directory on its way" in verdict.cause
    assert isinstance(refused, Unavailable)
    assert "Permission denied" in refused.cause


async def test_fault_that_leaves_no_trace_in_the_file_is_looked_at_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "_RETRY", 0.0)
    async with backend(path) as it:
        with monkeypatch.context() as patched:
            refuse(errno.EMFILE, path, patched)
            verdict = await ask(it)
            assert isinstance(verdict, Unavailable)
            assert os.strerror(errno.EMFILE) in verdict.cause
        assert await ask(it) == Accepted(ALICE)


async def test_bug_while_a_file_is_read_is_an_outage_and_the_daemon_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watched, "_RETRY", 0.0)

    def bug(*_: object) -> None:
        raise ZeroDivisionError

    async with backend(path) as it:
        with monkeypatch.context() as patched:
            patched.setattr(reading, "read", bug)
            verdict = await ask(it)
            assert isinstance(verdict, Unavailable)
            assert "bug" in verdict.cause
        assert await ask(it) == Accepted(ALICE)
    assert "ZeroDivisionError" in caplog.text


# A file for each realm


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "domains"
    directory.mkdir()
    written(directory / "example.test.pw", line("alice", "pw1"))
    written(directory / "other.test.pw", line("alice", "pw2"), line("bob@example.test", "pw2"))
    written(tmp_path / "secret.pw", line("alice", "pw1"))
    return directory


async def test_each_realm_has_a_file_and_its_accounts_are_its_own(home: Path) -> None:
    async with backend(home / "{realm}.pw", login="{local}") as it:
        assert await ask(it, "pw1", Identity("alice", "EXAMPLE.test")) == Accepted(ALICE)
        assert await ask(it, "pw1", Identity("alice", "other.test")) == Rejected(Reason.WRONG_SECRET)
        assert await ask(it, "pw2", Identity("alice", "other.test")) == Accepted(Identity("alice", "other.test"))
        assert it.account(ALICE) != it.account(Identity("alice", "other.test"))


async def test_b1_file_of_one_realm_says_nothing_of_another_realm_s_accounts(home: Path) -> None:
    async with backend(home / "{realm}.pw") as it:
        assert await ask(it, "pw2", BOB) == UnknownUser()
        assert await ask(it, "pw2", Identity("bob", "other.test")) == UnknownUser()


async def test_realm_may_name_a_directory_and_be_written_in_letters_of_its_own(home: Path) -> None:
    (home / "xn--bcher-kva.example").mkdir()
    written(home / "xn--bcher-kva.example" / "passwd", line("alice", "pw1"))
    async with backend(home / "{realm}" / "passwd", login="{local}") as it:
        assert await ask(it, "pw1", Identity("alice", "Bücher.example")) == Accepted(Identity("alice", "xn--bcher-kva.example"))
        (home / "empty.test").mkdir()
        assert await ask(it, "pw1", Identity("alice", "empty.test")) == UnknownUser()
        assert (home / "empty.test").is_dir()
        written(home / "empty.test" / "passwd", line("alice", "pw1"))
        assert await ask(it, "pw1", Identity("alice", "empty.test")) == Accepted(Identity("alice", "empty.test"))


@pytest.mark.parametrize(
    "realm",
    [
        "",
        ".",
        "..",
        "../secret",
        "/secret",
        "x/../../secret",
        "a/b",
        ".hidden",
        "-x",
        "example.test.pw/",
        "~root",
        "a b",
        "a\u00a0b",
        "x" * 255,
        "é" * 100,
    ],
)
async def test_realm_that_is_no_plain_name_makes_no_path(home: Path, realm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written(home / ".hidden.pw", line("alice", "pw1"))
    written(home / ".pw", line("alice", "pw1"))
    looked: list[str] = []
    look = stamps.look

    def noting(path: str) -> object:
        looked.append(path)
        return look(path)

    monkeypatch.setattr(stamps, "look", noting)
    async with backend(home / "{realm}.pw", login="{local}") as it:
        assert await ask(it, "pw1", Identity("alice", realm)) == UnknownUser()
        assert not it._files._watched
    assert {os.path.dirname(path) for path in looked} <= {str(home), str(home.parent)}
    assert str(home.parent / "secret.pw") not in looked


@given(st.text(max_size=40))
def test_realm_of_any_letters_stays_in_its_directory(realm: str) -> None:
    made: list[str] = []

    def watch(name: str) -> WatchedFile:
        made.append(name)
        raise LookupError

    it = Files("/no/such/place/{realm}", watch, lambda _: None)
    it.home.has = lambda path: made.append(path) or True  # type: ignore[func-returns-value,method-assign]
    try:
        found = it.find(identity.fold_realm(realm))
    except (LookupError, identity.InvalidIdentity):
        found = None
    assert found is None
    for path in made:
        assert os.path.dirname(os.path.normpath(os.path.join("/no/such/place", path))) == "/no/such/place"
        assert path.isascii()
        assert path.isprintable()


async def test_links_are_followed_to_files_and_to_nothing_else(home: Path, tmp_path: Path) -> None:
    target = written(tmp_path / "elsewhere", line("alice", "pw7"))
    (home / "linked.test.pw").symlink_to(target)
    (home / "device.test.pw").symlink_to("/dev/zero")
    (home / "loop.test.pw").symlink_to(home / "loop.test.pw")
    async with backend(home / "{realm}.pw", login="{local}") as it:
        assert isinstance(await ask(it, "pw7", Identity("alice", "linked.test")), Accepted)
        for realm in ("device.test", "loop.test"):
            assert isinstance(await ask(it, "pw7", Identity("alice", realm)), Unavailable)
        other = written(tmp_path / "other", line("alice", "pw8"))
        (home / "link.new").symlink_to(other)
        (home / "link.new").rename(home / "linked.test.pw")
        assert await ask(it, "pw7", Identity("alice", "linked.test")) == Rejected(Reason.WRONG_SECRET)
        assert isinstance(await ask(it, "pw8", Identity("alice", "linked.test")), Accepted)


async def test_realms_that_have_no_file_leave_nothing_in_memory(home: Path) -> None:
    async with backend(home / "{realm}.pw", login="{local}") as it:
        for number in range(200):
            assert await ask(it, "pw1", Identity("alice", f"r{number}.test")) == UnknownUser()
        assert not it._files._watched
        assert it._changes.generation(it.account(Identity("alice", "r7.test"))) == 0


async def test_file_of_one_realm_that_is_no_good_is_an_outage_for_that_realm(home: Path) -> None:
    written(home / "example.test.pw", "\0\n")
    async with backend(home / "{realm}.pw", login="{local}") as it:
        assert isinstance(await ask(it), Unavailable)
        assert isinstance(await ask(it, "pw2", Identity("alice", "other.test")), Accepted)


async def test_directory_of_all_realms_that_is_gone_is_an_outage_and_no_wrong_password(home: Path) -> None:
    async with backend(home / "{realm}.pw", login="{local}") as it:
        assert await ask(it) == Accepted(ALICE)
        home.rename(home.parent / "unmounted")
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        assert "is its file system mounted" in verdict.cause
        assert isinstance(await ask(it, "pw2", Identity("alice", "other.test")), Unavailable)
        (home.parent / "unmounted").rename(home)
        assert await ask(it) == Accepted(ALICE)


async def test_c6_index_that_made_room_is_still_watched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_KEPT", 10)
    other = Identity("alice", "other.test")
    async with backend(home / "{realm}.pw", login="{local}") as it:
        assert await ask(it) == Accepted(ALICE)
        assert isinstance(await ask(it, "pw2", other), Accepted)
        example, kept = it._files._watched["example.test"], it._files._watched["other.test"]
        assert (example.found, example.size) == (None, 0)
        assert kept.size > 0
        assert await settled(it) == []
        assert await ask(it) == Accepted(ALICE)
        assert await settled(it) == [], "read again, and nothing had changed"
        assert isinstance(await ask(it, "pw2", other), Accepted)
        written(home / "example.test.pw", line("alice", "pw3"))
        assert await settled(it) is None, "without the old index nobody knows whose line it was"
        assert await ask(it) == Rejected(Reason.WRONG_SECRET)


async def test_c6_of_many_files_those_asked_last_are_watched_and_of_others_nothing_is_remembered(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_WATCHED", 1)
    other = Identity("alice", "other.test")
    async with backend(home / "{realm}.pw", login="{local}") as it:
        assert await ask(it) == Accepted(ALICE)
        assert await ask(it, "pw1", BOB) == UnknownUser()
        assert await settled(it) == []
        before = it.generation(ALICE)
        assert isinstance(await ask(it, "pw2", other), Accepted)
        assert [file.source.path for file in it._files.watched()] == [str(home / "other.test.pw")]
        assert await settled(it) == ["alice@example.test", "bob@example.test"]
        assert it.generation(ALICE) != before
        written(home / "example.test.pw", line("alice", "pw3"))
        assert await settled(it) == []
        assert await ask(it) == Rejected(Reason.WRONG_SECRET)
        assert await settled(it) == ["alice@example.test", "alice@other.test"]


async def test_c6_more_accounts_than_can_be_named_are_all_forgotten_with_their_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_WATCHED", 1)
    monkeypatch.setattr(watched, "MOST_NAMED", 2)
    async with backend(home / "{realm}.pw", login="{local}") as it:
        for name in ("alice", "x", "y"):
            await ask(it, "pw1", Identity(name, "example.test"))
        assert await settled(it) == []
        await ask(it, "pw2", Identity("alice", "other.test"))
        assert await settled(it) is None


async def test_files_at_rest_are_given_up_before_those_in_use(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_WATCHED", 1)
    other = Identity("alice", "other.test")
    async with backend(home / "{realm}.pw", login="{local}") as it:
        await ask(it)
        example = it._files._watched["example.test"]
        await ask(it, "pw2", other)
        assert list(it._files._resting.values()) == [example]
        assert await ask(it) == Accepted(ALICE)
        assert it._files._watched["example.test"] is example, "its index was still good"
        monkeypatch.setattr(files, "MOST_KEPT", 10)
        written(home / "example.test.pw", line("alice", "pw3"))
        assert await ask(it, "pw3") == Accepted(ALICE)
        assert not it._files._resting
        assert it._files.knows("example.test")
        assert not it._files.knows("other.test")


async def test_login_is_served_while_another_s_file_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, proceed = trio.Event(), trio.Event()
    read = reading.read

    def slow(source: reading.Source[index.Index], before: object) -> reading.Reading[index.Index]:
        if "other" in source.path:
            trio.from_thread.run_sync(started.set)
            trio.from_thread.run(proceed.wait)
        return read(source, before)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "read", slow)
    got: list[object] = []

    async def other(it: PasswdFileBackend) -> None:
        got.append(await ask(it, "pw2", Identity("alice", "other.test")))

    async with backend(home / "{realm}.pw", login="{local}") as it, trio.open_nursery() as nursery:
        nursery.start_soon(other, it)
        await started.wait()
        assert await ask(it) == Accepted(ALICE)
        assert got == []
        proceed.set()
    assert len(got) == 1
    assert isinstance(got[0], Accepted)
