"""Hashes in threads: as many as cores, within a bound of memory, in fair turns, and cancelled only while they wait."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

import pytest
import trio
import trio.testing

from saslauthd_py import hashing, passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.hashing import Hashing
from saslauthd_py.passwords import SCHEMES, BrokenRecord, SecretTooLong, UnknownScheme
from saslauthd_py.passwords.scheme import Parameters
from saslauthd_py.queue import CALLER, Caller
from saslauthd_py.secret import Secret

MIB = 1 << 20
ROOM = 200 * MIB
SECRET = Secret(b"tanstaaf")


class Gated:
    """A scheme whose hash ends when the test says so: a record is its name and its MiB, as `first 20`."""

    name = "gated"
    labels: tuple[str, ...] = ()
    sigils: tuple[str, ...] = ()
    longest = 100
    ends_at_nul = False
    elsewhere = False
    most_work = 1

    def __init__(self) -> None:
        self.usual: Parameters | None = {"MiB": 120}
        self.begun: list[str] = []
        self.began: defaultdict[str, trio.Event] = defaultdict(trio.Event)
        self.running: dict[str, int] = {}
        self.most_memory = 0
        self.token: trio.lowlevel.TrioToken | None = None
        self._may_end: set[str] = set()
        self._all_may_end = False
        self._told = threading.Condition()

    def parameters(self, text: str) -> Parameters | None:
        return {"MiB": int(text.split()[1])}

    def price(self, parameters: Parameters) -> tuple[int, int]:
        return 1, parameters["MiB"] * MIB

    def matches(self, text: str, secret: bytes) -> bool:
        name, size = text.split()
        trio.from_thread.run_sync(self._begin, name, int(size), trio_token=self.token)
        with self._told:
            self._told.wait_for(lambda: self._all_may_end or name in self._may_end)
        trio.from_thread.run_sync(self.running.pop, name, trio_token=self.token)
        return secret == SECRET.reveal()

    def make(self, secret: bytes) -> str:
        self.matches("made 120", secret)
        return "made 120"

    def decoy(self, parameters: Parameters) -> str:
        raise KeyError

    def preload(self) -> None: ...

    def finish(self, *names: str) -> None:
        """Let these end, or whatever runs and will run."""
        with self._told:
            self._may_end.update(names)
            self._all_may_end = not names
            self._told.notify_all()

    def _begin(self, name: str, size: int) -> None:
        self.begun.append(name)
        self.began[name].set()
        self.running[name] = size
        self.most_memory = max(self.most_memory, sum(self.running.values()))


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> Gated:
    scheme = Gated()
    monkeypatch.setitem(SCHEMES, scheme.name, scheme)
    return scheme


class Asked:
    """Verifications asked for one after the other, and what became of each."""

    def __init__(self, nursery: trio.Nursery, own: Hashing, gated: Gated) -> None:
        self.results: dict[str, bool] = {}
        self.ended: defaultdict[str, trio.Event] = defaultdict(trio.Event)
        self.nursery = nursery
        self._hashing = own
        self._gated = gated

    async def start(self, name: str, size: int, scope: trio.CancelScope | None = None) -> None:
        """Ask for one; it has its thread or stands in the queue when this returns."""
        self.nursery.start_soon(self._run, name, size, scope or trio.CancelScope())
        await trio.testing.wait_all_tasks_blocked()

    async def finish(self, name: str) -> None:
        """Let its hash end; what may run instead has its thread when this returns."""
        self._gated.finish(name)
        await self.ended[name].wait()
        await trio.testing.wait_all_tasks_blocked()

    async def running(self, *names: str) -> None:
        """These hashes run, and no other has a thread."""
        assert self._hashing._threads.unfinished == len(names)
        for name in names:
            await self._gated.began[name].wait()
        assert self._gated.running.keys() == set(names)

    def idle(self, memory: int = ROOM) -> None:
        """Nothing is held, and nobody waits."""
        assert self._hashing._threads.unfinished == 0
        assert self._hashing._queue._room == memory
        assert not self._hashing._queue._tickets
        assert not self._hashing._queue._others

    async def _run(self, name: str, size: int, scope: trio.CancelScope) -> None:
        with scope:
            self.results[name] = await self._hashing.verify(Encoding("gated", f"{name} {size}"), SECRET)
        self.ended[name].set()


Ask = Callable[[Hashing], Asked]


@pytest.fixture
async def ask(gated: Gated) -> AsyncIterator[Ask]:
    """Whatever still runs when the test ends, well or not, ends too."""
    gated.token = trio.lowlevel.current_trio_token()
    async with trio.open_nursery() as nursery:
        yield lambda own: Asked(nursery, own, gated)
        gated.finish()


async def test_verify_and_make_are_those_of_passwords() -> None:
    own = Hashing()
    for scheme in ("argon2id", "sha512crypt"):
        made = await own.make(scheme, SECRET)
        assert made.scheme == scheme
        assert await own.verify(made, SECRET) is True
        assert await own.verify(made, Secret(b"wrong")) is False


def test_as_many_threads_as_cores_and_one_hash_ahead_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((4, 4), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        own = Hashing()
        assert (own._threads.count, own.places) == (threads, threads + 1)


async def test_errors_come_through_and_take_nothing(ask: Ask) -> None:
    own = Hashing(threads=1)
    for _ in range(3):
        with pytest.raises(UnknownScheme):
            await own.make("foo", SECRET)
        with pytest.raises(SecretTooLong):
            await own.make("bcrypt", Secret(b"x" * 73))
        with pytest.raises(BrokenRecord):
            await own.verify(Encoding("foo", "x"), SECRET)
        with pytest.raises(BrokenRecord, match="libcrypt refuses"):
            await own.verify(Encoding("yescrypt", "$y$jCT$zz$" + "z" * 43), SECRET)
    ask(own).idle(hashing.MEMORY)


def test_less_memory_than_one_record_may_take_is_refused() -> None:
    with pytest.raises(ValueError, match="129 MiB"):
        Hashing(memory=129 * MIB - 1)


async def test_as_many_hashes_as_threads_run_at_once_in_order(gated: Gated, ask: Ask) -> None:
    asked = ask(Hashing(threads=2, memory=ROOM, ahead=0))
    for name in "abcd":
        await asked.start(name, 1)
    await asked.running("a", "b")
    await asked.finish("b")
    await asked.running("a", "c")
    await asked.finish("c")
    await asked.running("a", "d")
    gated.finish("a", "d")
    for name in "ad":
        await asked.ended[name].wait()
    assert asked.results == dict.fromkeys("abcd", True)
    asked.idle()


async def test_d11_memory_is_never_exceeded_and_all_get_their_turn(gated: Gated, ask: Ask) -> None:
    asked = ask(Hashing(threads=8, memory=ROOM, ahead=0))
    sizes = [128, 60, 20, 100, 1, 99, 128, 72, 5, 128]
    for number, size in enumerate(sizes):
        await asked.start(f"{number}", size)
    await asked.running("0", "1")
    await asked.finish("0")
    await asked.running("1", "2", "3", "4")
    for number in range(1, len(sizes)):
        await gated.began[f"{number}"].wait()
        await asked.finish(f"{number}")
    assert asked.results == {f"{number}": True for number in range(len(sizes))}
    assert gated.most_memory <= 200
    asked.idle()


async def test_d11_record_that_may_not_be_tried_is_broken_at_once(ask: Ask) -> None:
    own = Hashing(threads=1, memory=ROOM, ahead=0)
    asked = ask(own)
    await asked.start("first", 128)
    await asked.start("second", 128)
    with pytest.raises(BrokenRecord, match="130 MiB"):
        await own.verify(Encoding("gated", "giant 130"), SECRET)
    await asked.running("first")


async def test_d11_making_a_record_is_weighed_too(ask: Ask) -> None:
    own = Hashing(threads=8, memory=ROOM, ahead=0)
    asked = ask(own)
    await asked.start("big", 100)
    asked.nursery.start_soon(own.make, "gated", SECRET)
    await trio.testing.wait_all_tasks_blocked()
    await asked.running("big")
    await asked.finish("big")
    await asked.running("made")


async def test_d11_small_hash_does_not_overtake_a_big_one(ask: Ask) -> None:
    asked = ask(Hashing(threads=8, memory=ROOM, ahead=0))
    await asked.start("first", 100)
    await asked.start("big", 128)
    await asked.start("small", 1)
    await asked.running("first")
    await asked.finish("first")
    await asked.running("big", "small")


async def test_cancelled_waiter_leaves_its_place_to_the_next(ask: Ask) -> None:
    asked = ask(Hashing(threads=8, memory=ROOM, ahead=0))
    given_up = trio.CancelScope()
    await asked.start("first", 100)
    await asked.start("big", 128, given_up)
    await asked.start("small", 50)
    await asked.running("first")
    given_up.cancel()
    await asked.ended["big"].wait()
    await trio.testing.wait_all_tasks_blocked()
    await asked.running("first", "small")
    await asked.finish("first")
    await asked.finish("small")
    assert asked.results == {"first": True, "small": True}
    asked.idle()


async def test_waiter_without_a_thread_gives_its_memory_back_when_cancelled(gated: Gated, ask: Ask) -> None:
    asked = ask(Hashing(threads=1, memory=ROOM, ahead=0))
    given_up = trio.CancelScope()
    await asked.start("first", 100)
    await asked.start("second", 90, given_up)
    given_up.cancel()
    await asked.ended["second"].wait()
    await asked.finish("first")
    assert gated.begun == ["first"]
    asked.idle()


async def test_waiter_served_and_cancelled_in_one_turn_takes_nothing(gated: Gated, ask: Ask) -> None:
    own = Hashing(threads=8, memory=ROOM, ahead=0)
    asked = ask(own)
    given_up = trio.CancelScope()
    async with own._queue.turn(Caller(), ROOM):
        await asked.start("late", 128, given_up)
    given_up.cancel()
    await asked.ended["late"].wait()
    assert gated.begun == []
    asked.idle()


async def test_waiter_cancelled_and_then_served_in_one_turn_takes_nothing(gated: Gated, ask: Ask) -> None:
    own = Hashing(threads=8, memory=ROOM, ahead=0)
    asked = ask(own)
    given_up = trio.CancelScope()
    async with own._queue.turn(Caller(), ROOM):
        await asked.start("late", 128, given_up)
        given_up.cancel()
    await asked.ended["late"].wait()
    assert gated.begun == []
    asked.idle()


async def test_running_hash_is_waited_for_and_keeps_its_place(ask: Ask) -> None:
    asked = ask(Hashing(threads=1, memory=ROOM, ahead=0))
    given_up = trio.CancelScope()
    await asked.start("running", 128, given_up)
    await asked.start("next", 128)
    given_up.cancel()
    await trio.testing.wait_all_tasks_blocked()
    await asked.running("running")
    assert not asked.ended["running"].is_set()
    await asked.finish("running")
    await asked.running("next")


async def test_d3_d4_hash_for_a_ticket_comes_first_and_the_others_take_turns_by_account(gated: Gated, ask: Ask) -> None:
    asked = ask(Hashing(threads=1, memory=ROOM, ahead=0))
    await asked.start("running", 1)
    for name, caller in (("a1", Caller("a")), ("a2", Caller("a")), ("b1", Caller("b")), ("c1", Caller("c", urgent=True))):
        CALLER.set(caller)
        await asked.start(name, 1)
    gated.finish()
    for name in ("a1", "a2", "b1", "c1"):
        await asked.ended[name].wait()
    assert gated.begun == ["running", "c1", "a1", "b1", "a2"]


async def test_d3_new_hash_for_the_holder_of_a_ticket_does_not_come_before_a_login(gated: Gated, ask: Ask) -> None:
    own = Hashing(threads=1, memory=ROOM, ahead=0)
    asked = ask(own)
    await asked.start("running", 1)
    await asked.start("stranger", 1)
    CALLER.set(Caller("a", urgent=True))
    asked.nursery.start_soon(own.make, "gated", SECRET)
    await trio.testing.wait_all_tasks_blocked()
    gated.finish()
    await gated.began["made"].wait()
    assert gated.begun == ["running", "stranger", "made"]


async def test_loop_goes_on_while_a_hash_runs() -> None:
    own = Hashing(threads=1)
    decoy = passwords.decoy("argon2id m=19456,t=2,p=1")
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        while turns < 100:
            await own.verify(decoy, SECRET)
        nursery.cancel_scope.cancel()


async def test_one_hash_is_there_for_the_thread_that_ends_first_and_no_more(gated: Gated, ask: Ask) -> None:
    own = Hashing(threads=1, memory=ROOM)
    asked = ask(own)
    for name in "abc":
        await asked.start(name, 1)
    await gated.began["a"].wait()
    assert own.counts() == (2, 1)
    CALLER.set(Caller("d", urgent=True))
    await asked.start("d", 1)
    gated.finish()
    for name in "abcd":
        await asked.ended[name].wait()
    assert gated.begun == ["a", "b", "d", "c"]
    asked.idle()
