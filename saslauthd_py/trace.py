"""How a decision came about, step by step, for the admin who asks: `test --trace`.

A step is noted where it happens, and goes to whoever records in the context of the running task; tasks inherit it from whoever
started them, so a flight that a traced request began carries it too. Nobody records: one look at a context variable, and where every
login comes along, at `recordings` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

Fact = None | bool | int | float | str | Sequence["Fact"] | Mapping[str, "Fact"]
Facts = Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `name` is a word; `seconds` are those since the recording began; `facts` hold nothing secret."""

    name: str
    seconds: float
    facts: Facts = field(default_factory=dict)


Take = Callable[[Step], None]
"""What becomes of a step. It never waits, and never raises."""


@dataclass(slots=True)
class _Recording:
    take: Take | None
    began: float


recordings = 0
"""How many there are now, of whatever tasks. With none, a step that every login makes is not even told of."""

_RECORDING: ContextVar[_Recording | None] = ContextVar("recording", default=None)


@contextmanager
def recording(take: Take) -> Iterator[None]:
    """Take the steps of this task, and of all that it starts, until the end of the block; what such a task does later is not taken."""
    global recordings
    made = _Recording(take, time.monotonic())
    token = _RECORDING.set(made)
    recordings += 1
    try:
        yield
    finally:
        recordings -= 1
        made.take = None
        _RECORDING.reset(token)


def recorded() -> bool:
    """Whether anybody takes a step: facts that cost something are gathered only then."""
    made = _RECORDING.get()
    return made is not None and made.take is not None


def note(name: str, /, **facts: Fact) -> None:
    """A step has been made."""
    made = _RECORDING.get()
    if made is not None and made.take is not None:
        made.take(Step(name, time.monotonic() - made.began, facts))
