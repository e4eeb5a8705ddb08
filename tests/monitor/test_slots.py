"""Workers as processes: what each is allowed to be, and what becomes of it (rules A1, A4, A5, D4)."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from saslauthd_py.config.settings import PamSettings, WorkerSettings
from saslauthd_py.monitor import worker
from saslauthd_py.monitor.slots import SHORTEST_LIFE, Slots
from saslauthd_py.secret import Secret
from saslauthd_py.wire.monitor import Answer, Call, End, Ended, Stage, Working, decode, encode

PATIENCE = 20.0


def wait_readable(descriptor: int | socket.socket) -> None:
    assert select.select([descriptor], [], [], PATIENCE)[0], "nothing came"


def obey(call: Call) -> Answer:
    """What the workers of these tests do with a call: the service says it."""
    if call.service == b"raise":
        raise RuntimeError("a fault of ours")
    match call.service:
        case b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"exit":
            os._exit(3)
        case b"hang":
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            if os.fork() == 0:  # a helper that keeps the channel open
                signal.pause()
            signal.pause()
        case b"leak":
            resource_hog.append(bytearray(os.urandom(1 << 20) * 80))
        case b"descriptors":
            for _ in range(600):
                os.open(os.devnull, os.O_RDONLY)
    return Answer(0, Stage.ACCOUNT, 0, account=_seen(call).encode())


def obedient(settings: WorkerSettings) -> Callable[[Call], Answer]:
    """In place of `worker.answerer`."""
    return obey


def _seen(call: Call) -> str:
    match call.service:
        case b"nice":
            return str(os.getpriority(os.PRIO_PROCESS, 0))
        case b"descriptors-open":
            return ",".join(sorted(os.listdir("/proc/self/fd"), key=int)[:-1])  # the last is the one of the listing itself
        case b"standard":
            return os.readlink("/proc/self/fd/1") + os.readlink("/proc/self/fd/2")
        case b"core":
            return str(resource.getrlimit(resource.RLIMIT_CORE))
        case b"files":
            return str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        case b"helper":
            return str(_left_behind())
        case _:
            return str(os.getpid())


def _left_behind() -> int:
    child = os.fork()
    if child == 0:
        signal.pause()
    return child


resource_hog: list[bytearray] = []


class Site:
    """Slots, with the front's part played by the test."""

    def __init__(self, count: int, recycle_after: int = 1000) -> None:
        self.channels: dict[int, tuple[Working, socket.socket]] = {}
        self.settings = PamSettings(type="pam", workers=count, recycle_after=recycle_after)
        self.slots = Slots([self.settings], self.take)

    def take(self, frame: Working, end: socket.socket) -> None:
        if frame.slot in self.channels:
            self.channels[frame.slot][1].close()
        self.channels[frame.slot] = frame, end.dup()

    def ask(self, slot: int, service: bytes, *, urgent: bool = False) -> Answer | None:
        channel = self.channels[slot][1]
        channel.send(encode(Call(7, service, b"alice", Secret(b"pw1"), urgent=urgent)))
        return self.answer(slot)

    def answer(self, slot: int) -> Answer | None:
        channel = self.channels[slot][1]
        wait_readable(channel)
        try:
            data = channel.recv(16384)
        except ConnectionResetError:
            return None
        if not data:
            return None
        answer = decode(data)
        assert isinstance(answer, Answer)
        assert answer.id == 7
        return answer

    def pid(self, slot: int) -> int:
        pid = self.slots._slots[slot].pid
        assert pid
        return pid

    def reap(self) -> tuple[int, Ended | None]:
        """The next worker of these slots that ends: the tests' own process may have other children."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for slot in self.slots._slots:
                if slot.pid and (ended := os.waitpid(slot.pid, os.WNOHANG))[0]:
                    return ended[0], self.slots.reaped(*ended)
            time.sleep(0.002)
        raise AssertionError("no worker has ended")

    def refill(self) -> None:
        while (wait := self.slots.fill()) is not None:
            time.sleep(wait)

    def close(self) -> None:
        for _, end in self.channels.values():
            end.close()
        living = [slot.pid for slot in self.slots._slots if slot.pid]
        self.slots.close()
        for pid in living:
            os.waitpid(pid, 0)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    monkeypatch.setattr(worker, "answerer", obedient)
    sites: list[Site] = []

    def started(count: int, recycle_after: int = 1000) -> Site:
        site = Site(count, recycle_after)
        sites.append(site)
        assert site.slots.fill() is None
        return site

    yield started
    for site in sites:
        site.close()


def test_every_slot_gets_a_worker_that_answers(start: Callable[..., Site]) -> None:
    site = start(3)
    assert sorted(site.channels) == [0, 1, 2]
    assert len({frame.generation for frame, _ in site.channels.values()}) == 3
    for slot in range(3):
        for _ in range(2):
            answer = site.ask(slot, b"smtp")
            assert answer is not None
            assert answer.account == str(site.pid(slot)).encode()
            assert not answer.last


def test_a1_a_worker_past_its_deadline_is_killed_with_what_it_left_behind(start: Callable[..., Site]) -> None:
    site = start(2)
    frame, channel = site.channels[0]
    channel.send(encode(Call(7, b"hang", b"alice", Secret(b"pw1"))))
    site.slots.end(End(frame.slot, frame.generation))
    pid = site.pid(0)
    assert site.reap() == (pid, None)
    assert no_process_in_group(pid)
    site.refill()
    assert site.channels[0][0].generation > frame.generation
    assert site.ask(0, b"smtp") is not None
    assert site.ask(1, b"smtp") is not None


def no_process_in_group(group: int) -> bool:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.005)  # init reaps what the worker left
    return False


def test_a1_an_order_for_another_generation_or_slot_ends_nobody(start: Callable[..., Site]) -> None:
    site = start(2)
    for slot in range(2):
        generation = site.channels[slot][0].generation
        site.slots.end(End(slot, generation + 1000))
        site.slots.end(End(slot + 2, generation))
        site.slots.end(End(1 - slot, generation))
    for slot in range(2):
        answer = site.ask(slot, b"smtp")
        assert answer is not None
        assert answer.account == str(site.pid(slot)).encode()


@pytest.mark.parametrize(("service", "status"), [(b"crash", signal.SIGSEGV), (b"exit", 3 << 8), (b"raise", 70 << 8)])
def test_a4_a_worker_that_ends_in_its_call_is_replaced(service: bytes, status: int, start: Callable[..., Site]) -> None:
    site = start(2)
    assert site.ask(0, service) is None
    _, ended = site.reap()
    assert ended is not None
    assert (ended.pool, ended.slot, ended.status & ~0x80) == (0, 0, status)
    site.refill()
    assert site.ask(0, b"smtp") is not None
    assert site.ask(1, b"smtp") is not None


def test_a4_a_helper_that_a_module_left_ends_with_its_worker(start: Callable[..., Site]) -> None:
    site = start(1)
    answer = site.ask(0, b"helper")
    assert answer is not None
    pid = site.pid(0)
    site.channels[0][1].close()  # the front lets go
    assert site.reap() == (pid, None)
    assert no_process_in_group(pid)
    assert (
        not Path(f"/proc/{answer.account.decode()}/stat").exists() or b") Z" in Path(f"/proc/{answer.account.decode()}/stat").read_bytes()
    )


def test_a4_a_worker_is_used_up_by_calls_and_says_so_in_its_last_answer(start: Callable[..., Site]) -> None:
    site = start(1, recycle_after=3)
    assert [answer.last for answer in map(site.ask, [0] * 3, [b"smtp"] * 3) if answer] == [False, False, True]
    assert site.reap()[1] is None
    site.refill()
    assert site.ask(0, b"smtp") is not None


@pytest.mark.parametrize("service", [b"leak", b"descriptors"])
def test_a4_a_worker_is_used_up_by_memory_and_descriptors(service: bytes, start: Callable[..., Site]) -> None:
    site = start(1)
    answer = site.ask(0, service)
    assert answer is not None
    assert answer.last
    assert site.reap()[1] is None


@pytest.mark.parametrize("frame", [b"", b"\1", b"x" * 40, encode(End(0, 1)), encode(Answer(7, Stage.ACCOUNT, 0))])
def test_a4_what_is_no_call_ends_the_worker(frame: bytes, start: Callable[..., Site]) -> None:
    site = start(2)
    site.channels[0][1].send(frame)
    site.reap()
    assert site.ask(1, b"smtp") is not None


def test_a4_an_over_long_call_ends_the_worker(start: Callable[..., Site]) -> None:
    site = start(2)
    site.channels[0][1].send(encode(Call(7, b"smtp", b"alice", Secret(b"pw1"))).ljust(20000, b"x"))
    _, ended = site.reap()
    assert ended is not None
    assert os.waitstatus_to_exitcode(ended.status) == 76
    assert site.ask(1, b"smtp") is not None


def test_a4_a_changed_header_byte_of_a_call_costs_that_call_only(start: Callable[..., Site]) -> None:
    site = start(2)
    whole = encode(Call(7, b"smtp", b"alice", Secret(b"pw1")))
    for at in range(len(whole) - len(b"smtpalicepw1")):
        changed = bytearray(whole)
        changed[at] ^= 0x41
        site.channels[0][1].send(changed)
        assert site.answer(0) is None, at
        _, ended = site.reap()
        assert ended is not None
        assert ended.slot == 0
        bystander = site.ask(1, b"smtp")
        assert bystander is not None
        assert bystander.account == str(site.pid(1)).encode()
        site.refill()


def test_a_worker_that_always_ends_is_not_started_without_pause(start: Callable[..., Site]) -> None:
    site = start(1)
    site.ask(0, b"exit")
    site.reap()
    wait = site.slots.fill()
    assert wait is None or 0 < wait <= SHORTEST_LIFE


def test_a2_a_worker_has_its_channel_and_no_other_descriptor(start: Callable[..., Site]) -> None:
    with open(os.devnull) as kept, socket.socket() as other:
        os.set_inheritable(kept.fileno(), True)
        os.set_inheritable(other.fileno(), True)
        site = start(2)
    for slot in range(2):
        answer = site.ask(slot, b"descriptors-open")
        assert answer is not None
        assert answer.account == b"0,1,2,3"


def test_a4_what_a_module_prints_goes_nowhere(start: Callable[..., Site]) -> None:
    answer = start(1).ask(0, b"standard")
    assert answer is not None
    assert answer.account == b"/dev/null/dev/null"


def test_a2_a_worker_leaves_no_core_and_lets_nobody_look_into_it(start: Callable[..., Site]) -> None:
    site = start(1)
    answer = site.ask(0, b"core")
    assert answer is not None
    assert answer.account == b"(0, 0)"
    few = site.ask(0, b"files")
    assert few is not None
    assert int(few.account) <= 1024


@pytest.mark.root
def test_d4_a_call_that_can_wait_runs_at_nice_10_and_an_urgent_one_does_not(start: Callable[..., Site]) -> None:
    site = start(1)
    for urgent, nice in ((False, b"10"), (True, b"0"), (False, b"10"), (True, b"0")):
        answer = site.ask(0, b"nice", urgent=urgent)
        assert answer is not None
        assert answer.account == nice


def test_a_signal_meant_for_the_daemon_ends_no_call(start: Callable[..., Site]) -> None:
    site = start(1)
    assert site.ask(0, b"smtp") is not None
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        os.kill(site.pid(0), number)
    answer = site.ask(0, b"smtp")
    assert answer is not None
    assert answer.account == str(site.pid(0)).encode()


def test_a5_a_worker_ends_when_the_front_is_gone(start: Callable[..., Site]) -> None:
    site = start(2)
    for _, end in site.channels.values():
        end.close()
    assert {site.reap()[1] for _ in range(2)} == {None}


def test_a5_a_worker_ends_with_the_monitor() -> None:
    readable, writable = os.pipe()
    monitor = os.fork()
    if monitor == 0:
        try:
            worker.answerer = obedient
            site = Site(1)
            site.slots.fill()
            site.channels[0][1].send(encode(Call(7, b"hang", b"alice", Secret(b"pw1"))))
            os.write(writable, str(site.pid(0)).encode())
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    os.close(writable)
    try:
        pid = int(os.read(readable, 20))
    finally:
        os.close(readable)
    os.waitpid(monitor, 0)
    until = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists() and ") Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < until
        time.sleep(0.005)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # the helper that it left: only a monitor that lives ends that
