"""The one place that prints: terse and aligned for people, tabs for pipes, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from typing import Any, TextIO, assert_never

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Fields, Json, Record, Report, Rows, Steps, Stream, Text

_MEASURED = 200
"""Rows that are looked at before the first of them is printed: for how wide each column is to be."""


def render(report: Report, environment: Environment, as_json: bool) -> None:
    """Print a report. A reader who has left (EPIPE) changes nothing about what was done: the rest is not printed, and that is all."""
    try:
        for line in _lines(report, environment.stdout.isatty(), as_json):
            with _told():
                environment.stdout.write(line + "\n")
                if isinstance(report, Steps):
                    environment.stdout.flush()
        with _told():
            environment.stdout.flush()
    except BrokenPipeError:
        return
    finally:
        if isinstance(report, Steps):
            report.lines.close()
    if isinstance(report, Record) and not as_json:
        complain(environment.stderr, (f"warning: {warning}" for warning in report.warnings))


@contextmanager
def _told() -> Iterator[None]:
    """A failure to write names what could not be written: the system's words alone do not."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandFailed(Exit.UNAVAILABLE, f"standard output: {(error.strerror or str(error)).lower()}") from None


def complain(stderr: TextIO, lines: Iterable[str], opening: str = "") -> None:
    """Errors and warnings, each behind the program's name, and before that an opening. That they can be told to nobody is no error."""
    with suppress(OSError):
        stderr.writelines(f"{opening}saslauthd-py: {printable(line)}\n" for line in lines)
        stderr.flush()


def printable(text: str) -> str:
    """`text` with all that could move a cursor or forge a line escaped: names and messages come from outside (rule B6)."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text)


def _lines(report: Report, terminal: bool, as_json: bool) -> Iterator[str]:
    match report:
        case Record():
            return iter([_json(report.fields)]) if as_json else map(printable, _for_people(report))
        case Rows():
            return (_json(report.fields(item)) for item in report.items) if as_json else _table(report, terminal)
        case Text():
            return iter([_json(report.fields)] if as_json and report.fields is not None else report.text.splitlines())
        case Steps():
            return map(printable, report.lines)
        case Stream():
            return iter(report.lines)
        case _:
            assert_never(report)


def _json(value: Json) -> str:
    return json.dumps(value)


def _for_people(record: Record) -> Iterable[str]:
    shown = record.fields if record.shown is None else record.shown
    return shown if isinstance(shown, tuple) else _aligned(shown)


def _aligned(fields: Fields) -> list[str]:
    shown = {name.replace("_", " "): text for name, value in fields.items() if (text := _text(value))}
    width = max(map(len, shown), default=0)
    return [f"{name:<{width}}  {text}" for name, text in shown.items()]


def _text(value: Json) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str() | int() | float():
            return str(value)
        case dict():
            return " ".join(f"{name}={_text(item)}" for name, item in value.items() if _text(item))
        case _:
            return ", ".join(_text(item) for item in value)


def _table(report: Rows[Any], terminal: bool) -> Iterator[str]:
    rows = ([printable(cell) or "-" for cell in report.cells(item)] for item in report.items)
    if not terminal:
        return map("\t".join, rows)
    first = list(islice(rows, _MEASURED))  # what fails before it leaves no heading behind
    widths = [max(width, *map(len, cells)) for width, *cells in zip([column.width for column in report.columns], *first, strict=True)]
    return (_padded(widths, row) for row in chain([[column.title for column in report.columns]], first, rows))


def _padded(widths: list[int], row: list[str]) -> str:
    return "  ".join(f"{cell:<{width}}" for width, cell in zip(widths, row, strict=True)).rstrip()
