"""What is reported at one moment: numbers that nothing changes any more, so that the text can be made beside the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from saslauthd_py.metrics.counters import Counters, Kind, Times


@dataclass(frozen=True, slots=True)
class Requests:
    """What the counters say. `cache_hits` by who used the proof: the loop or a task."""

    protocols: Mapping[str, str] = field(default_factory=dict)
    decided: tuple[tuple[Kind, Times], ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)
    incomplete: Mapping[str, int] = field(default_factory=dict)
    cache_hits: Mapping[str, int] = field(default_factory=dict)
    cache_misses: int = 0
    faults: int = 0

    @classmethod
    def of(cls, counters: Counters) -> Requests:
        """The counters as they are now. Called on the loop."""
        return cls(
            protocols=dict(counters.protocols),
            decided=tuple(counters.kinds()),
            refused=dict(counters.refused_at),
            incomplete=dict(counters.incomplete_at),
            cache_hits={"loop": counters.inline, "task": counters.cached},
            cache_misses=counters.looked_up_in_vain,
            faults=counters.faults,
        )


@dataclass(frozen=True, slots=True)
class Turns:
    """A queue for slow work: its places, how many of them are taken, and how many calls wait for one."""

    places: int
    taken: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Pool:
    """The workers of one backend, and how many ended so far: used up, or failed (as `Workers` counts them)."""

    idle: int
    busy: int
    used_up: int
    failed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of a backend that is only compared with, the logins by what came of them (as `Compared` counts them)."""

    alike: int
    different: int
    unanswered: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The daemon at one moment. Mappings go by the name of a backend; `limits`, the logins that admission refused, by the limit.

    `failing`: how many outages of a backend that decides came one after the other, up to now. `readable`: of the backends whose changes
    are watched, whether the last look at them succeeded. `connections`: of the clients that were not answered at once, by what they wait
    for. `compared`: the backends that never decide. `reload_failed`: the last one did, so an older configuration serves on.
    """

    requests: Requests
    backends: Mapping[str, Turns]
    hashing: Turns
    failing: Mapping[str, int]
    readable: Mapping[str, bool]
    workers: Mapping[str, Pool]
    proofs: int
    most_proofs: int
    limits: Mapping[str, int]
    tickets: int
    connections: Mapping[str, int]
    most_connections: int
    lines_dropped: int
    generation: int
    reload_failed: bool
    compared: Mapping[str, Comparison] = field(default_factory=dict)
