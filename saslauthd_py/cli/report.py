"""What a command found or did, as a value; `render` is the one place that prints it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from saslauthd_py.cli.exits import Exit

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Fields = Mapping[str, Json]
T = TypeVar("T")


def counted(number: object, noun: str) -> str:
    """So many of them, in English: `noun` is that of one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@dataclass(frozen=True, slots=True)
class Record:
    """One thing. Programs read `fields`; people read `shown`, lines or names with their values, or `fields` where it is None."""

    fields: Fields
    shown: tuple[str, ...] | Fields | None = None
    exit: Exit = Exit.DONE
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column on a terminal is `width` wide, or as wide as the longest cell of the first rows wants it; a later one that is longer still
    pushes its own row aside, for a stream cannot be measured beforehand.
    """

    title: str
    width: int


@dataclass(frozen=True, slots=True)
class Rows(Generic[T]):
    """Many things, one after the other, never all in memory. For people in columns, for pipes with tabs, for programs a line each.

    `cells`, in the order of the columns, and `fields` are asked only for what is printed.
    """

    columns: tuple[Column, ...]
    items: Iterable[T]
    cells: Callable[[T], Sequence[str]]
    fields: Callable[[T], Fields]
    exit: Exit = Exit.DONE


@dataclass(frozen=True, slots=True)
class Text:
    """A document in a language of its own; `fields` where --json asks for another form of it."""

    text: str
    fields: Fields | None = None
    exit: Exit = Exit.DONE


@dataclass(frozen=True, slots=True)
class Steps:
    """Lines that are to be seen as they come: a command that works, or waits, between them. Whoever stops taking them closes them."""

    lines: Generator[str, None, None]
    exit: Exit = Exit.DONE


@dataclass(frozen=True, slots=True)
class Stream:
    """A document in a language of its own, made line by line while it is printed, never all in memory."""

    lines: Iterable[str]
    exit: Exit = Exit.DONE


Report = Record | Rows[Any] | Text | Steps | Stream
