"""What a step of the check found, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """How a step ended. A skipped one cannot be tried without somebody's login."""

    PASS = "pass"  # noqa: S105 - a word of the report
    SKIP = "skip"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Said:
    """One step: its word, how it ended, and a line. `unreachable`: a failure that time may mend, and no change of the configuration."""

    step: str
    outcome: Outcome
    text: str
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Said of a server, by its URI, of a backend, by its name; `server` is empty where none was asked yet."""

    backend: str
    server: str
    said: Said

    def __str__(self) -> str:
        place = " ".join(filter(None, (f"backend.{self.backend}", self.server)))
        return f"{self.said.outcome.value}  {place}  {self.said.step}: {self.said.text}"


def passed(step: str, text: str) -> Said:
    """It is as it should be."""
    return Said(step, Outcome.PASS, text)


def skipped(step: str, text: str) -> Said:
    """It cannot be tried."""
    return Said(step, Outcome.SKIP, text)


def warned(step: str, text: str) -> Said:
    """It works, and is hardly meant; or logins may fail for it."""
    return Said(step, Outcome.WARN, text)


def failed(step: str, text: str) -> Said:
    """Logins fail for it until the configuration, or the directory, is changed."""
    return Said(step, Outcome.FAIL, text)


def unreachable(step: str, text: str) -> Said:
    """Nobody is there, or nobody answers."""
    return Said(step, Outcome.FAIL, text, unreachable=True)
