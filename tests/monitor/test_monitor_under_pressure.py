"""The monitor where its front is taken over or stands still, and where the machine is short of processes (rules A1, A5, H1)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from saslauthd_py.monitor.offers import MOST_LEFT
from tests.interop.daemon import children_of
from tests.interop.mux import NO, exchange
from tests.interop.waiting import until
from tests.monitor.monitored import Site, new_site

pytestmark = pytest.mark.root

WORKERS = 2

TAKEN_OVER = """\
import sys
import saslauthd_py.app.monitor_link as link
from saslauthd_py.monitor.channel import receive
from saslauthd_py.wire.monitor import Begin, Failed, Opened, Reload, Serving, Switch, encode
serving = link.MonitorLink.serving
def taken_over(self):
    serving(self)
    channel, kept = self._channel, []
    channel.setblocking(True)
    def say(frame):
        channel.send(encode(frame))
    def hear(*kinds):
        while True:
            frame, descriptors = receive(channel)
            kept.extend(descriptors)
            if isinstance(frame, kinds):
                return frame
{program}
    print("DONE", file=sys.stderr, flush=True)
    channel.setblocking(False)
link.MonitorLink.serving = taken_over
"""


@pytest.fixture
def site() -> Iterator[Site]:
    with new_site() as site:
        site.configure(WORKERS)
        yield site


def taken_over(*lines: str) -> str:
    """What a front runs that is somebody else's: these lines, with `say` and `hear` for the channel."""
    return TAKEN_OVER.format(program="\n".join(f"    {line}" for line in lines))


def ask_shadow(site: Site, login: str) -> bytes:
    fields = (login.encode(), b"pw1", b"smtp", b"")
    return exchange(site.mux, b"".join(len(field).to_bytes(2, "big") + field for field in fields))


def use_shadow(site: Site, deadline: str) -> None:
    text = site.configuration.read_text().replace('type = "pam"', 'type = "shadow"')
    site.configuration.write_text(text.replace('deadline = "2s"', f'deadline = "{deadline}"'))


def test_a1_a_front_that_keeps_every_configuration_of_before_gets_no_workers_without_end(site: Site) -> None:
    keeping = taken_over(
        "refused = 0",
        "for number in range(1, 4 * 8):",
        "    say(Reload(number))",
        "    if isinstance(hear(Begin, Failed), Begin):",
        "        say(Opened())",
        "        hear(Switch)",
        "        say(Serving())",
        "    else:",
        "        refused += 1",
        "print('REFUSED', refused, file=sys.stderr, flush=True)",
    )
    with site.serving(front=keeping) as daemon:
        daemon.wait_for_line("DONE")
        assert len(children_of(daemon.pid)) <= 1 + WORKERS * (1 + MOST_LEFT)
        assert f"REFUSED {31 - MOST_LEFT}" in daemon.log()


def test_a1_a_front_that_was_not_told_to_switch_takes_no_listener_away(site: Site) -> None:
    with site.serving(front=taken_over("say(Reload(1))", "hear(Begin)", "say(Serving())", "say(Begin())")) as daemon:
        daemon.wait_for_line("a frame from the front is ignored: Begin is none of its own")  # so what came before it is done
        assert site.mux.exists()


def test_a1_reloads_that_wait_are_bounded(site: Site) -> None:
    flood = taken_over("for number in range(1, 201): say(Reload(number))", "for _ in range(1, 200 - 64): hear(Failed)")
    with site.serving(front=flood) as daemon:
        daemon.wait_for_line("DONE")


def test_a5_a_monitor_whose_front_hears_nothing_stops_when_it_is_told_to(site: Site) -> None:
    narrow = (
        "import socket, saslauthd_py.monitor.process as process, saslauthd_py.monitor.slots as slots\n"
        "slots.SHORTEST_LIFE, process.DRAIN_MARGIN = 0.0, -1.5\n"
        "run = process._Monitor.run\n"
        "def narrowed(self, wake):\n"
        "    self.channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)\n"
        "    run(self, wake)\n"
        "process._Monitor.run = narrowed\n"
    )
    with site.serving(monitor=narrow) as daemon:
        front = daemon.front
        os.kill(front, signal.SIGSTOP)
        ended: set[int] = set()
        while len(ended) < 8:  # each is told of in two frames, and there is room for five
            for worker in children_of(daemon.pid) - ended - {front}:
                os.kill(worker, signal.SIGKILL)
                ended.add(worker)
        daemon._signal(signal.SIGTERM)
        assert daemon._ended() == 75
        assert any("the front does not end; it is killed" in line for line in daemon.log())


def test_a_machine_without_room_for_a_worker_keeps_its_daemon(site: Site) -> None:
    short = (
        "import errno, os, saslauthd_py.monitor.slots as slots\n"
        "slots.SCARCE = 0.01\n"
        "fork, forked = os.fork, 0\n"
        "def short():\n"
        "    global forked\n"
        "    forked += 1\n"
        "    if forked in (2, 5, 6):  # the first is the front\n"
        "        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))\n"
        "    return fork()\n"
        "os.fork = short\n"
    )
    with site.serving(monitor=short) as daemon:
        until(lambda: len(children_of(daemon.pid)) == 1 + WORKERS, "all workers")
        first = children_of(daemon.pid)
        for worker in first - {daemon.front}:
            os.kill(worker, signal.SIGKILL)
        until(lambda: len(children_of(daemon.pid) - first) == WORKERS, "new workers")
        assert sum("no worker can be started: Resource temporarily unavailable" in line for line in daemon.log()) == 2


def test_a4_workers_that_are_used_up_in_a_drain_are_replaced(site: Site) -> None:
    site.configure(1, "recycle_after = 1")
    use_shadow(site, "20s")
    answers: list[bytes] = []
    clients = [threading.Thread(target=lambda name: answers.append(ask_shadow(site, name)), args=(f"nobody-{n}",)) for n in range(6)]
    with site.serving() as daemon:
        for client in clients:
            client.start()
        daemon.wait_for_line("rejected")
        daemon.stop()
        for client in clients:
            client.join()
    assert answers == [NO] * len(clients)


def test_h1_the_numbers_of_backends_begin_anew_after_the_last(site: Site) -> None:
    site.configure(WORKERS, '\n[backend.other]\ntype = "shadow"\n')
    late = (
        "import saslauthd_py.monitor.offers as offers\n"
        "init = offers.Offers.__init__\n"
        "def late(self, *arguments):\n"
        "    init(self, *arguments)\n"
        "    self._next_pool = 65535\n"
        "offers.Offers.__init__ = late\n"
    )
    with site.serving(monitor=late) as daemon:
        for number in (2, 3):
            daemon.hang_up()
            daemon.wait_for_line(f"reloaded: configuration {number} serves")
