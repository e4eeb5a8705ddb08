"""TCP listeners reach the front through the monitor's frames as they were bound: at the start, and at a reload (rule A1)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saslauthd_py import listeners
from saslauthd_py.config.load import check
from saslauthd_py.monitor.channel import pair, receive
from saslauthd_py.monitor.offers import Offers, Served
from saslauthd_py.wire.monitor import Begin, Frame, Listening, Switch
from tests.listeners.sockets import free_port

TABLES = """
[backend.users]
type = "store"

[[route]]
realm = "*"
backends = ["users"]

[server]
user = "nobody"
group = "nogroup"
"""


def written(path: Path, *addresses: str) -> Path:
    text = "".join(f'[[listen]]\nprotocol = "dovecot"\naddress = "{address}"\n' for address in addresses)
    path.write_text(text + TABLES)
    return path


@contextmanager
def served(path: Path) -> Iterator[tuple[Offers, socket.socket]]:
    """What a monitor has bound and handed over, and the front's end of its channel."""
    ours, theirs = pair()
    with ours, theirs:
        one = Served(check(str(path)), ours, 0)
        one.bound += listeners.bind_all(one.settings)
        offers = Offers(one, str(path))
        try:
            one.hand_over(str(path))
            yield offers, theirs
        finally:
            offers.stop()


def heard(front: socket.socket, last: type[Frame]) -> dict[int, socket.socket]:
    """The listeners that come until this frame, by their places."""
    found = {}
    while True:
        frame, descriptors = receive(front)
        for descriptor in descriptors:
            if isinstance(frame, Listening):
                found[frame.place] = socket.socket(fileno=descriptor)
            else:
                os.close(descriptor)
        if isinstance(frame, last):
            return found


def test_a1_tcp_listeners_are_handed_over_and_those_that_stay_are_kept(tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{free_port()}", f"[::1]:{free_port('::1')}", f"127.0.0.1:{free_port()}"]
    path = written(tmp_path / "a.toml", *addresses[:2])
    with served(path) as (offers, front):
        first = heard(front, Begin)
        assert [first[place].getsockname()[1] for place in (0, 1)] == [int(address.rpartition(":")[2]) for address in addresses[:2]]
        assert [first[place].family for place in (0, 1)] == [socket.AF_INET, socket.AF_INET6]
        written(path, *addresses[1:])
        offers.reload(1)
        assert heard(front, Begin) == {}
        offers.opened()
        (second,) = heard(front, Switch).values()
        assert second.getsockname()[1] == int(addresses[2].rpartition(":")[2])
        offers.serving()
        assert [one.settings.name for one in offers.current.bound] == addresses[1:]
        with socket.create_connection(second.getsockname()):
            accepted, _ = second.accept()
            accepted.close()
        for listener in (*first.values(), second):
            listener.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(addresses[0].rpartition(":")[2])))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(addresses[2].rpartition(":")[2])))
