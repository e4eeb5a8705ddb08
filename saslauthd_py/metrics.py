"""What happened so far, as plain integers: the hot path adds, whoever reports reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from saslauthd_py.verdict import Accepted, Unavailable, Verdict


@dataclass(slots=True)
class Counters:
    """Of one process since its start. `inline` logins were decided from the cache in the loop, and are accepted ones too.

    `limited` are those of `unavailable` that met a limit of failed logins.
    """

    accepted: int = 0
    rejected: int = 0
    unavailable: int = 0
    limited: int = 0
    refused: int = 0
    inline: int = 0
    cached: int = 0
    incomplete: int = 0
    faults: int = 0

    def decided(self, verdict: Verdict) -> None:
        """Count one verdict of the task path."""
        match verdict:
            case Accepted():
                self.accepted += 1
            case Unavailable():
                self.unavailable += 1
                self.limited += verdict.limited
            case _:
                self.rejected += 1

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())
