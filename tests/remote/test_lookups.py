"""A name server that hangs holds up nobody but who asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import trio

from saslauthd_py.remote.lookups import Lookups


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Until the end of the test."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: over.wait(20) and [])
    monkeypatch.setattr(socket, "getnameinfo", lambda *_: over.wait(20) and ("", ""))
    yield
    over.set()


@pytest.mark.usefixtures("hanging")
async def test_lookup_that_hangs_is_left_and_takes_no_place_of_other_threads() -> None:
    lookups, others = Lookups(), trio.to_thread.current_default_thread_limiter()
    free = others.available_tokens
    for _ in range(2):
        with trio.move_on_after(0.02) as left:
            await lookups.getaddrinfo(b"imap.example.org", 143)
        assert left.cancelled_caught
        with trio.move_on_after(0.02) as left:
            await lookups.getnameinfo(("192.0.2.1", 143), 0)
        assert left.cancelled_caught
    assert others.available_tokens == free
    with trio.move_on_after(0.02) as left:
        await lookups.getaddrinfo(b"fifth.example.org", 143)
    assert left.cancelled_caught
