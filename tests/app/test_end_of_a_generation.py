"""A configuration ends when the last request that began with it is answered, and not later (rule H1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py.app import generation
from saslauthd_py.app.composition import Resources
from saslauthd_py.app.generation import HELD_LONGEST, Generation
from saslauthd_py.config.settings import Settings
from saslauthd_py.config.settings.server import ServerSettings
from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms.scram.client import Client as Scram
from saslauthd_py.secret import Secret
from tests.front.dovecots import Running, plain, running


@asynccontextmanager
async def nothing(*_: object) -> AsyncIterator[Any]:
    yield SimpleNamespace(counts=(), keepers=())


class Ending:
    """Generation 1 has been reloaded away; `ended` says when it was over."""

    def __init__(self, front: Running) -> None:
        self.generation = Generation(1, Settings.model_construct(server=ServerSettings()), Resources({}, {}), ExitStack())
        self.generation.ports[front.port] = front.port._listener
        self.began = trio.current_time()
        self.ended: float | None = None
        self._front = front

    async def run(self) -> None:
        self.generation.retire()
        await self.generation.serve(self._front.loop, cast(Any, None))
        self.ended = trio.current_time() - self.began


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "composed", nothing)


@pytest.mark.usefixtures("alone")
async def test_h1_generation_lives_until_its_last_answer_beside_requests_of_the_next(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as front, trio.open_nursery() as nursery:
        client = await front.connect(minor=1)
        await client.auth(1, "PLAIN", plain(secret="no"))
        await trio.testing.wait_all_tasks_blocked()
        front.loop.replace(front.port, front.another())
        ending = Ending(front)
        nursery.start_soon(ending.run)
        for number in range(2, 6):
            await client.auth(number, "PLAIN", plain())
            assert (await client.line()).startswith(b"OK\t%d\t" % number)
        assert ending.ended is None
        assert (await client.line()).startswith(b"FAIL\t1\t")
        await trio.testing.wait_all_tasks_blocked()
        assert ending.ended == pytest.approx(1.9, abs=0.11)
        await client.auth(6, "PLAIN", plain())
        assert (await client.line()).startswith(b"OK\t6\t")
    assert not caplog.records


@pytest.mark.usefixtures("alone")
async def test_h1_generation_ends_with_whoever_lets_it_wait_too_long(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as front, trio.open_nursery() as nursery:
        client = await front.connect()
        await client.auth(1, "SCRAM-SHA-256", Scram(Hash.SHA256, "alice@example.test", Secret(b"pw1")).first())
        await client.challenge(1)
        front.loop.replace(front.port, front.another())
        ending = Ending(front)
        nursery.start_soon(ending.run)
        with trio.fail_after(30):
            assert await client.line() == b""
        await trio.testing.wait_all_tasks_blocked()
        assert ending.ended == pytest.approx(ServerSettings().deadline + HELD_LONGEST)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
