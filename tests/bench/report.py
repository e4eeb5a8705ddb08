"""What was measured, against what it should be, as aligned text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit in words, and whether what was measured keeps it."""

    text: str
    met: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what it is, a cell for each of the section's columns, and its budget where it has one."""

    name: str
    cells: tuple[str, ...]
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One table. `void` says why it counts for nothing; `figures` is everything in it and behind it, for a program."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    figures: Mapping[str, Any]
    void: str = ""

    @property
    def short(self) -> tuple[str, ...]:
        """The rows that miss their budget."""
        return tuple(row.name for row in self.rows if row.budget and not row.budget.met)


def at_least(value: float, limit: float, unit: str = "") -> Budget:
    """The budget `>= limit`."""
    return Budget(f">= {limit}{unit}", value >= limit)


def at_most(value: float, limit: float, unit: str = "") -> Budget:
    """The budget `<= limit`."""
    return Budget(f"<= {limit}{unit}", value <= limit)


def render(section: Section) -> str:
    """The section's title and its table; names to the left, figures to the right, budgets last."""
    lines = [("", *section.columns, "budget" if any(row.budget for row in section.rows) else "", "")]
    lines += [
        (row.name, *row.cells, *((row.budget.text, "met" if row.budget.met else "SHORT") if row.budget else ("", "")))
        for row in section.rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [section.title + (f"   VOID: {section.void}" if section.void else "")]
    text += [_line(line, widths) for line in lines]
    return "\n".join(text) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *figures, budget, outcome = cells
    padded = [figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=False)]
    return "   ".join([name.ljust(widths[0]), *padded, budget.ljust(widths[-2]), outcome]).rstrip()
