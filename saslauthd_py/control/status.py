"""How the running daemon is, as a value: what `status` shows, in the words of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a backend does. One that failed for one account need not be down: that is told by several in a row."""

    UNASKED = "unasked"
    OK = "ok"
    FAILING = "failing"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class ListenerStatus:
    """One listener; `name` is its path or address. Of a Dovecot listener alone: what it offers, why not each SCRAM mechanism that it does
    not, and `on_unavailable` as the configuration has it.
    """

    protocol: str
    name: str
    mechanisms: tuple[str, ...] = ()
    withheld: Mapping[str, str] = field(default_factory=dict)
    on_unavailable: str = ""


@dataclass(frozen=True, slots=True)
class TurnsStatus:
    """Slow work: places for it at once, how many are taken, how many wait for one."""

    places: int
    busy: int
    waiting: int


@dataclass(frozen=True, slots=True)
class WorkersStatus:
    """The workers of a backend that has some."""

    idle: int
    busy: int


@dataclass(frozen=True, slots=True)
class ComparedStatus:
    """What a backend that never decides would have said of logins that were decided."""

    alike: int
    different: int
    unanswered: int
    left_out: int


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """One backend since the generation began. `ms`: a running mean of what its calls took lately, None before the first.

    `cause` says what its last outage was, empty where it answers. `compared`: of one that never decides; its outages harm nobody. `down`:
    its servers that are down at this moment, and why; the others answer for them.
    """

    name: str
    type: str
    state: State
    cause: str
    asked: int
    outages: int
    ms: float | None
    turns: TurnsStatus
    workers: WorkersStatus | None = None
    compared: ComparedStatus | None = None
    down: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """The proofs in memory, and the share of all logins that they answered, None before the first login."""

    entries: int
    most: int
    hit_rate: float | None


@dataclass(frozen=True, slots=True)
class LimitedStatus:
    """An account, address, network or pair near its limit: how many failed logins count against it, of how many that may."""

    kind: str
    name: str
    failures: float
    limit: int


@dataclass(frozen=True, slots=True)
class AdmissionStatus:
    """Tickets held, logins refused by a limit since the start, and who is nearest to one, the nearest first."""

    tickets: int
    limited: int
    top: tuple[LimitedStatus, ...]


@dataclass(frozen=True, slots=True)
class LoginsStatus:
    """Of the process since its start; `accepted` with those that the cache answered."""

    accepted: int
    rejected: int
    unavailable: int


@dataclass(frozen=True, slots=True)
class ConnectionsStatus:
    """Clients at this moment, and how many there may be."""

    open: int
    most: int


@dataclass(frozen=True, slots=True)
class Status:
    """The whole daemon. `uptime` in seconds; `pid` is the front's, `monitor_pid` None where there is no monitor.

    `metrics`: the address or path where they are asked for, empty where nowhere.
    """

    version: str
    uptime: float
    generation: int
    pid: int
    monitor_pid: int | None
    listeners: tuple[ListenerStatus, ...]
    connections: ConnectionsStatus
    logins: LoginsStatus
    cache: CacheStatus
    hashing: TurnsStatus
    admission: AdmissionStatus
    backends: tuple[BackendStatus, ...]
    metrics: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON has it: the same names."""
        return asdict(self)
