"""What a running configuration offers follows its accounts."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import trio
from trio.testing import MockClock

from saslauthd_py.app import generation
from saslauthd_py.app.generation import OFFERING, Generation
from saslauthd_py.app.offering import Offered
from saslauthd_py.front.dovecot import DovecotPort


async def test_an_offer_is_made_by_accounts_that_were_counted_for_it(autojump_clock: MockClock, monkeypatch: Any) -> None:
    counted, offers = [0], []

    async def count() -> None:
        counted[0] += 1

    async def hang() -> None:
        await trio.sleep_forever()

    class Port(DovecotPort):
        def __init__(self) -> None:
            self.retired = False
            self.reading: Any = SimpleNamespace(listen=None)

        def offer(self, mechanisms: tuple[str, ...]) -> None:
            offers.append(mechanisms)

    monkeypatch.setattr(generation, "offered", lambda *_: Offered((f"counted {counted[0]}",)))
    nothing: Any = None
    all_that_it_looks_at: Any = SimpleNamespace(counts=(count, hang), routes=None)
    it = Generation(1, nothing, nothing, ExitStack())
    it._parts = all_that_it_looks_at
    it.ports = {Port(): nothing}
    with trio.move_on_after(3 * OFFERING + 1):
        await it._offer()
    assert offers == [("counted 1",), ("counted 2",)], "and a count that takes for ever keeps no offer back for longer"
