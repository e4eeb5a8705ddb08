"""What a check says: a word, a line with the cause, and the command or the line of a file that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a check ended. A skipped one could not be tried; what does not apply to a site is a pass."""

    PASS = "pass"  # noqa: S105 - a word of the report
    SKIP = "skip"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Said:
    """One line. `mend` is exactly what to run or to write, empty where nothing is to be done."""

    outcome: Outcome
    cause: str
    mend: str = ""


def passed(cause: str) -> Said:
    """It is as it should be, or there is nothing of the kind here."""
    return Said(Outcome.PASS, cause)


def skipped(cause: str, mend: str = "") -> Said:
    """It cannot be tried; `mend` says how it could."""
    return Said(Outcome.SKIP, cause, mend)


def warned(cause: str, mend: str) -> Said:
    """Logins work, and are less safe or less steady than they look."""
    return Said(Outcome.WARN, cause, mend)


def failed(cause: str, mend: str) -> Said:
    """Logins fail for it."""
    return Said(Outcome.FAIL, cause, mend)
