"""Password files that change under our hands: no old password by an old index or from the cache (rule C6), and no NO for half a file."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from saslauthd_py.backend import BackendBusy
from saslauthd_py.backends.passwd_file import PasswdFileBackend, index
from saslauthd_py.backends.passwd_file.files import Home
from saslauthd_py.backends.passwd_file.index import LARGEST
from saslauthd_py.cache import Cache, Proof
from saslauthd_py.credential import Encoding
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.stamps import Stamp
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.watching import reading, watched
from tests.backends.passwd_files import ALICE, BOB, ask, backend, line, written
from tests.backends.settling import settled

ALICE_1, ALICE_2, BOB_1 = line("alice@example.test", "pw1"), line("alice@example.test", "pw2"), line("bob@example.test", "pw1")
WRONG = Rejected(Reason.WRONG_SECRET)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "users", ALICE_1, BOB_1)


class Gate:
    """Readings stop before they begin, until they are let on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = trio.Event()
        self.count = 0
        self._open = threading.Event()
        self._read = reading.read
        monkeypatch.setattr(reading, "read", self._stop)

    def _stop(self, source: reading.Source[index.Index], before: object) -> reading.Reading[index.Index]:
        self.count += 1
        trio.from_thread.run_sync(self.reached.set)
        self._open.wait()
        return self._read(source, before)  # type: ignore[arg-type]

    def open(self) -> None:
        self._open.set()


def in_place(path: Path) -> None:
    written(path, ALICE_2, BOB_1)


def renamed(path: Path) -> None:
    written(path.with_suffix(".new"), ALICE_2, BOB_1).rename(path)


def renamed_with_old_times(path: Path) -> None:
    new, old = written(path.with_suffix(".new"), ALICE_2, BOB_1), path.stat()
    os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
    new.rename(path)


def in_place_with_old_times(path: Path) -> None:
    old = path.stat()
    in_place(path)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert path.stat().st_size == old.st_size


@pytest.mark.parametrize("change", [in_place, renamed, renamed_with_old_times, in_place_with_old_times])
async def test_c6_login_after_a_change_goes_by_what_the_file_says_now(path: Path, change: Callable[[Path], None]) -> None:
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        assert await settled(it) == []
        change(path)
        with pytest.raises(BackendBusy, match="read anew"):
            it.changes()
        assert await ask(it) == WRONG
        assert await ask(it, "pw2") == Accepted(ALICE)
        assert await settled(it) == ["alice@example.test"]
        assert await settled(it) == []


async def test_c6_two_changes_of_one_size_in_one_tick_are_both_seen(path: Path) -> None:
    async with backend(path) as it:
        for number in range(3, 9):
            written(path, line("alice@example.test", f"pw{number}"))
            written(path, line("alice@example.test", f"xx{number}"))
            assert await ask(it, f"xx{number}") == Accepted(ALICE)
            assert await ask(it, f"pw{number}") == WRONG


@pytest.mark.parametrize("fraction", [0, 500_000_000])
def test_c6_file_system_of_whole_seconds_is_given_two_to_settle(fraction: int) -> None:
    second = time.time_ns() // 1_000_000_000 - 1
    stamp = Stamp(1, 1, 1, 0, second * 1_000_000_000 + fraction)
    assert stamp.quiet is bool(fraction)
    assert stamp._replace(changed=stamp.changed - 3_000_000_000).quiet


async def test_touch_forgets_nobody(path: Path) -> None:
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        before = it.generation(ALICE)
        path.touch()
        with pytest.raises(BackendBusy):
            it.changes()
        assert await settled(it) == []
        assert it.generation(ALICE) == before


async def test_c6_only_the_changed_account_has_another_generation(path: Path) -> None:
    async with backend(path) as it:
        await ask(it)
        alice, bob = it.generation(ALICE), it.generation(BOB)
        in_place(path)
        await ask(it)
        assert it.generation(ALICE) != alice
        assert it.generation(BOB) == bob
        assert it.generation(Identity("ALICE", "Example.test")) == it.generation(ALICE)
        assert it.generation(Identity("x", "\u0378")) == 0
        assert it.account(Identity("x", "\u0378")) == ""


async def test_changes_that_nobody_asks_for_are_kept_in_bounded_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saslauthd_py.watching.changes._MOST_PENDING", 1)
    async with backend(path) as it:
        await ask(it)
        in_place(path)
        await ask(it)
        written(path, ALICE_2)
        await ask(it)
        assert await settled(it) is None
        assert await settled(it) == []


async def test_c6_while_a_changed_file_is_read_no_old_password_is_accepted_and_the_loop_is_free(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts: list[Verdict] = []

    async def login(it: PasswdFileBackend, secret: str) -> None:
        verdicts.append(await ask(it, secret))

    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        gate = Gate(monkeypatch)
        in_place(path)
        async with trio.open_nursery() as nursery:
            for secret in ("pw1", "pw2", "pw1"):
                nursery.start_soon(login, it, secret)
            await gate.reached.wait()
            with trio.move_on_after(0) as impatient:
                await ask(it)
            assert impatient.cancelled_caught, "its deadline ends the login, and not the reading"
            with pytest.raises(BackendBusy):
                it.changes()
            assert verdicts == []
            gate.open()
        assert sorted(map(str, verdicts)) == sorted(map(str, [WRONG, WRONG, Accepted(ALICE)]))


async def test_c6_login_that_comes_while_an_older_state_is_read_waits_for_the_newer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts: list[Verdict] = []

    async def login(it: PasswdFileBackend) -> None:
        verdicts.append(await ask(it, "pw2"))

    async with backend(path) as it:
        await ask(it)
        read = reading.read

        def late(source: reading.Source[index.Index], before: object) -> reading.Reading[index.Index]:
            found = read(source, before)  # type: ignore[arg-type]
            if len(seen) < 2 and found.settled:
                seen.append(None)
                trio.from_thread.run(change)
            return found

        async def change() -> None:
            if len(seen) == 1:
                in_place(path)
                nursery.start_soon(login, it)
            await trio.testing.wait_all_tasks_blocked()

        seen: list[None] = []
        monkeypatch.setattr(reading, "read", late)
        path.touch()
        async with trio.open_nursery() as nursery:
            assert await ask(it) in (Accepted(ALICE), WRONG)
        assert verdicts == [Accepted(ALICE)]


@pytest.fixture
def during_hash(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something after each hash, before its verdict is given."""
    verify = Hashing.verify

    def set_up(act: Callable[[], object]) -> None:
        async def disturbed(self: Hashing, encoding: Encoding, secret: Secret) -> bool:
            matched = await verify(self, encoding, secret)
            act()
            return matched

        monkeypatch.setattr(Hashing, "verify", disturbed)

    return set_up


async def test_c6_change_while_the_hash_runs_counts(path: Path, during_hash: Callable[[Callable[[], object]], None]) -> None:
    async with backend(path) as it:
        await ask(it)
        during_hash(lambda: in_place(path))
        assert await ask(it) == WRONG
        written(path, ALICE_1)
        during_hash(lambda: written(path, ALICE_2, "# more\n"))
        assert await ask(it, "pw2") == Accepted(ALICE)


async def test_c6_account_that_goes_while_the_hash_runs_is_not_accepted(
    path: Path, during_hash: Callable[[Callable[[], object]], None]
) -> None:
    async with backend(path) as it:
        await ask(it)
        during_hash(lambda: written(path, BOB_1))
        assert await ask(it) == UnknownUser()
        written(path, ALICE_1)
        during_hash(lambda: path.unlink(missing_ok=True))
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        assert verdict.judged


async def test_account_that_never_stands_still_is_an_outage(path: Path, during_hash: Callable[[Callable[[], object]], None]) -> None:
    numbers = iter(range(100))
    async with backend(path) as it:
        await ask(it)
        during_hash(lambda: written(path, line("alice@example.test", f"pw{next(numbers)}")))
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        assert "kept changing" in verdict.cause
        assert verdict.judged


async def test_half_of_a_file_that_is_being_written_calls_no_password_wrong(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = [b"", ALICE_2.encode() + b"bob@exa", (ALICE_2 + BOB_1).encode()]
    read = reading.read
    monkeypatch.setattr(watched, "PATIENCE_WITH_HALVES", 60.0)

    def while_it_is_written(source: reading.Source[index.Index], before: object) -> reading.Reading[index.Index]:
        if states:
            path.write_bytes(states.pop(0))
        return read(source, before)  # type: ignore[arg-type]

    async with backend(path) as it:
        assert await ask(it, "pw1", BOB) == Accepted(BOB)
        monkeypatch.setattr(reading, "read", while_it_is_written)
        monkeypatch.setattr(Stamp, "quiet", property(lambda _: not states))
        path.write_bytes(b"")
        assert await ask(it, "pw1", BOB) == Accepted(BOB)
        assert await ask(it, "pw2") == Accepted(ALICE)
        assert await settled(it) == ["alice@example.test"]


def test_c6_what_was_read_across_a_write_cannot_be_relied_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stamp, "quiet", property(lambda _: True))
    source = reading.Source(str(path), lambda text: index.build(text, "auto", fold_case=True), index.Index.changed, LARGEST)
    assert reading.read(source, None).settled

    def build(text: bytes) -> index.Index:
        in_place(path)
        return source.build(text)

    seen = reading.read(replace(source, build=build), None)
    assert not seen.settled
    assert seen.stamp is None


def test_c6_realm_that_gets_its_file_within_one_tick_of_another_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = False
    monkeypatch.setattr(Stamp, "quiet", property(lambda _: quiet))
    home = Home(str(tmp_path))
    assert home.has(str(tmp_path / "example.test")) is False
    assert home.changed()
    assert home.changed(), "its time could still be that of a change to come"
    quiet = True
    assert home.changed(), "and of one that came since the last look"
    assert not home.changed()
    assert home.generation == 0


async def test_file_that_is_written_without_end_is_still_answered_by(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stamp, "quiet", property(lambda _: False))
    monkeypatch.setattr(watched, "PATIENCE", 0.02)
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        in_place(path)
        assert await ask(it) == WRONG
        with pytest.raises(BackendBusy):
            it.changes()


@pytest.mark.parametrize("end", ["", "\n"])
async def test_patience_is_longer_with_what_looks_like_a_half(
    path: Path, end: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: None
) -> None:
    monkeypatch.setattr(Stamp, "quiet", property(lambda _: False))
    path.write_text(ALICE_1.strip() + end)
    began = trio.current_time()
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
    passed = trio.current_time() - began
    least = watched.PATIENCE if end else watched.PATIENCE_WITH_HALVES
    assert least <= passed


# A file that turns bad


@pytest.mark.parametrize("nonsense", [b"\x7fELF\0\0\n", b"<html>\n<a href='http://example.test'>moved</a>\n</html>\n"])
async def test_d8_file_that_turns_into_something_else_leaves_the_old_index_with_one_error(
    path: Path, nonsense: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        before = it.generation(ALICE)
        path.write_bytes(nonsense)
        for _ in range(3):
            assert await ask(it) == Accepted(ALICE)
        assert await settled(it) == []
        assert it.generation(ALICE) == before
        assert caplog.text.count("the accounts that it had go on as before") == 1
        path.write_bytes(nonsense * 2)
        assert await ask(it) == Accepted(ALICE)
        assert caplog.text.count("the accounts that it had go on as before") == 2
        it._files._watched[""].unload()
        assert await ask(it) == Accepted(ALICE), "that index could not be had again"
        in_place(path)
        assert await ask(it) == WRONG
        assert await ask(it, "pw2") == Accepted(ALICE)
        assert await settled(it) == ["alice@example.test"]
        assert len(caplog.records) == 2


async def test_c6_file_that_vanishes_is_an_outage_until_it_is_back(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        path.rename(path.with_suffix(".away"))
        for _ in range(2):
            verdict = await ask(it)
            assert isinstance(verdict, Unavailable)
            assert verdict.cause == f"{path}: no such file; put it back, or correct `path`"
        assert await settled(it) is None
        assert await settled(it) == []
        assert caplog.text.count("no such file") == 1
        path.with_suffix(".away").rename(path)
        assert await ask(it) == Accepted(ALICE)
        assert await settled(it) is None, "a backend after this one may have accepted somebody meanwhile"


async def test_file_moved_away_and_written_anew_calls_no_password_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "example.test", line("alice", "pw1"))
    read = reading.read
    seen: list[None] = []
    monkeypatch.setattr(watched, "PATIENCE", 60.0)

    def returning(source: reading.Source[index.Index], before: object) -> reading.Reading[index.Index]:
        found = read(source, before)  # type: ignore[arg-type]
        if len(seen) < 2:
            seen.append(None)
        else:
            written(path, line("alice", "pw2"))
        return found

    async with backend(tmp_path / "{realm}", login="{local}") as it:
        assert await ask(it) == Accepted(ALICE)
        monkeypatch.setattr(reading, "read", returning)
        path.rename(tmp_path / "old")
        assert await ask(it, "pw2") == Accepted(ALICE)


@pytest.mark.parametrize("content", ["", "\n\n"])
async def test_c6_empty_file_neither_accepts_nor_calls_wrong(path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    async with backend(path) as it:
        assert await ask(it) == Accepted(ALICE)
        written(path, content)
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        assert "leave a comment in it" in verdict.cause
        assert await settled(it) is None
        written(path, "# nobody\n")
        assert await ask(it) == UnknownUser()
    assert caplog.text.count("leave a comment in it") == 1


async def test_realm_whose_file_goes_has_no_accounts_and_when_it_comes_it_has(tmp_path: Path) -> None:
    path = tmp_path / "example.test"
    async with backend(tmp_path / "{realm}", login="{local}") as it:
        assert await ask(it) == UnknownUser()
        await settled(it)
        before = it.generation(ALICE)
        written(path, line("alice", "pw1"))
        assert it.changes() is None, "whoever had no file may have one now"
        assert it.generation(ALICE) != before
        assert await ask(it) == Accepted(ALICE)
        await settled(it)
        before = it.generation(ALICE)
        path.unlink()
        assert await ask(it) == UnknownUser()
        changed = await settled(it)
        assert changed is None or "alice@example.test" in changed
        assert it.generation(ALICE) != before
        written(path, line("alice", "pw2"))
        assert await ask(it, "pw2") == Accepted(ALICE)


# With the cache


@pytest.mark.parametrize("change", [in_place, renamed])
async def test_c6_cached_proof_is_not_used_while_a_file_is_read_and_goes_with_its_account_alone(
    path: Path, change: Callable[[Path], None]
) -> None:
    async with backend(path) as it:
        ticks = itertools.count()
        cache = Cache(100, lambda: float(next(ticks)), [("users", it)])  # each look is so late that it really looks
        await ask(it)
        assert cache.look(cache.clock())
        for key, name in ((b"a", ALICE), (b"b", BOB)):
            proof = Proof(1e9, 1e9, (it.account(name),), b"", str(name), ("users",), b"")
            cache.remember(key, proof, sole=True)
        path.touch()
        assert not cache.look(cache.clock())
        assert await until_sure(cache)
        assert set(cache.proofs) == {b"a", b"b"}
        change(path)
        assert not cache.look(cache.clock())
        assert await until_sure(cache)
        assert set(cache.proofs) == {b"b"}


async def until_sure(cache: Cache) -> bool:
    while not cache.look(cache.clock()):  # noqa: ASYNC110 - nothing tells when a reading is over but another look
        await trio.sleep(0.01)
    return True


@pytest.mark.peer("htpasswd")
async def test_c6_real_htpasswd_changes_a_password_and_the_next_login_knows(path: Path) -> None:
    htpasswd = shutil.which("htpasswd")
    assert htpasswd
    written(path, line("alice", "pw1"), *(line(f"user{number}", "x") for number in range(2000)))
    async with backend(path, login="{local}") as it:
        for old, new in (("pw1", "pw2"), ("pw2", "pw3"), ("pw3", "pw4")):
            assert isinstance(await ask(it, old), Accepted)
            command = [htpasswd, "-bm", str(path), "alice", new]
            await trio.run_process(command, capture_stderr=True, stdin=subprocess.DEVNULL)
            assert await ask(it, old) == WRONG
            assert isinstance(await ask(it, new), Accepted)
        await trio.run_process([htpasswd, "-D", str(path), "alice"], capture_stderr=True)
        assert await ask(it, "pw4") == UnknownUser()


@pytest.mark.peer("htpasswd")
async def test_no_password_is_called_wrong_while_htpasswd_writes_without_end(path: Path) -> None:
    htpasswd = shutil.which("htpasswd")
    assert htpasswd
    written(path, line("alice", "pw1"), *(line(f"user{number}", "x") for number in range(2000)))
    async with backend(path, login="{local}") as it, trio.open_nursery() as nursery:

        async def write() -> None:
            for number in itertools.count():
                await trio.run_process([htpasswd, "-bs", str(path), "user7", str(number)], capture_stderr=True)

        nursery.start_soon(write)
        verdicts = [await ask(it) for _ in range(3)]
        nursery.cancel_scope.cancel()
    assert {type(verdict) for verdict in verdicts} <= {Accepted, Unavailable}
