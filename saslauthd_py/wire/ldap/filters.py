"""Search filters (RFC 4511 section 4.5.1.7) as values with places in them: compiled once, filled with bytes, never spliced as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from saslauthd_py.wire.ldap import ber

MAX_DEPTH = 64
"""How deep filters may hold each other."""

_AND, _OR, _NOT, _SUBSTRINGS, _PRESENT, _EXTENSIBLE = 0xA0, 0xA1, 0xA2, 0xA4, 0x87, 0xA9
_INITIAL, _ANY, _FINAL = 0x80, 0x81, 0x82
_RULE, _TYPE, _VALUE, _DN_ATTRIBUTES = 0x81, 0x82, 0x83, 0x84

_DESCRIPTION = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]*(;[A-Za-z0-9._=-]+)*")
_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b"*()\\")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the value of this name goes, whatever its bytes are."""

    name: str


Value = tuple[bytes | Place, ...]
"""An assertion value: constants and places, one after the other. `(b"alice",)`, `(Place("U"), b"@", Place("d"))`; `()` is empty."""


class Comparison(IntEnum):
    """How a value is compared; the number is the filter's tag."""

    EQUAL = 0xA3
    GREATER_OR_EQUAL = 0xA5
    LESS_OR_EQUAL = 0xA6
    APPROX = 0xA8


@dataclass(frozen=True, slots=True)
class And:
    """All of them hold; `And(())` always does (RFC 4526)."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of them holds; `Or(())` never does (RFC 4526)."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class Compare:
    """`(attribute=value)`, `>=`, `<=`, `~=`. ValueError: no attribute description."""

    attribute: bytes
    value: Value
    comparison: Comparison = Comparison.EQUAL

    def __post_init__(self) -> None:
        _described(self.attribute)


@dataclass(frozen=True, slots=True)
class Present:
    """`(attribute=*)`. ValueError: no attribute description."""

    attribute: bytes

    def __post_init__(self) -> None:
        _described(self.attribute)


@dataclass(frozen=True, slots=True)
class Substrings:
    """`(attribute=initial*any*any*final)`; `()` where there is no initial or final. ValueError: no part at all, an empty one in `any`."""

    attribute: bytes
    initial: Value = ()
    any: tuple[Value, ...] = ()
    final: Value = ()

    def __post_init__(self) -> None:
        _described(self.attribute)
        if not (self.initial or self.any or self.final) or not all(self.any):
            raise ValueError("a substring filter without a part, or with an empty one")


@dataclass(frozen=True, slots=True)
class Extensible:
    """`(attribute:dn:rule:=value)`; the attribute or the rule may be empty, not both. ValueError: that, or no description or rule."""

    value: Value
    attribute: bytes = b""
    rule: bytes = b""
    dn_attributes: bool = False

    def __post_init__(self) -> None:
        if not (self.attribute or self.rule):
            raise ValueError("an extensible match with neither attribute nor rule")
        for description in filter(None, (self.attribute, self.rule)):
            _described(description)


Filter = And | Or | Not | Compare | Present | Substrings | Extensible

Fill = Callable[[Mapping[str, bytes]], bytes]
"""The filter's bytes from the values by name. KeyError: a name has none; ValueError: a part of a substring filter became empty."""


def compiled(asked: Filter) -> Fill:
    """The filter ready to be filled. ValueError: deeper than MAX_DEPTH."""
    part = _compile(asked, MAX_DEPTH)
    return part if callable(part) else lambda _: part


def places(asked: Filter) -> frozenset[str]:
    """The names of the values that the filter needs."""
    return frozenset(part.name for value in _values(asked) for part in value if isinstance(part, Place))


def text(asked: Filter, values: Mapping[str, bytes]) -> str:
    """The filled filter as RFC 4515 writes it, for a trace: printable ASCII, all else escaped. KeyError: a name without a value."""
    match asked:
        case And(filters) | Or(filters):
            return f"({'&' if isinstance(asked, And) else '|'}{''.join(text(each, values) for each in filters)})"
        case Not(inner):
            return f"(!{text(inner, values)})"
        case Present(attribute):
            return f"({attribute.decode()}=*)"
        case Compare(attribute, value, comparison):
            return f"({attribute.decode()}{_SIGNS[comparison]}{_escaped(value, values)})"
        case Substrings(attribute, initial, middle, final):
            return f"({attribute.decode()}={'*'.join(_escaped(part, values) for part in (initial, *middle, final))})"
        case Extensible(value, attribute, rule, dn_attributes):
            left = f"{attribute.decode()}{':dn' if dn_attributes else ''}{':' if rule else ''}{rule.decode()}"
            return f"({left}:={_escaped(value, values)})"


_SIGNS = {Comparison.EQUAL: "=", Comparison.GREATER_OR_EQUAL: ">=", Comparison.LESS_OR_EQUAL: "<=", Comparison.APPROX: "~="}

_Part = bytes | Fill
"""Bytes where all is constant."""


def _compile(asked: Filter, depth: int) -> _Part:
    if not depth:
        raise ValueError(f"a filter that is nested over {MAX_DEPTH} deep")
    match asked:
        case And(filters):
            return _element(_AND, [_compile(each, depth - 1) for each in filters])
        case Or(filters):
            return _element(_OR, [_compile(each, depth - 1) for each in filters])
        case Not(inner):
            return _element(_NOT, [_compile(inner, depth - 1)])
        case Present(attribute):
            return ber.element(_PRESENT, attribute)
        case Compare(attribute, value, comparison):
            return _element(comparison, [ber.element(ber.OCTETS, attribute), _value(ber.OCTETS, value)])
        case Substrings(attribute):
            return _element(_SUBSTRINGS, [ber.element(ber.OCTETS, attribute), _element(ber.SEQUENCE, _substrings(asked))])
        case Extensible():
            return _element(_EXTENSIBLE, _extensible(asked))


def _substrings(substrings: Substrings) -> list[_Part]:
    parts = [(_INITIAL, substrings.initial), *((_ANY, part) for part in substrings.any), (_FINAL, substrings.final)]
    return [_not_empty(_value(tag, part)) for tag, part in parts if part]


def _not_empty(part: _Part) -> _Part:
    """The part of a substring filter. One that is empty would make the filter match more than was meant."""

    def fill(values: Mapping[str, bytes]) -> bytes:
        filled = part(values) if callable(part) else part
        if len(filled) == len(_EMPTY):
            raise ValueError("a part of a substring filter is empty")
        return filled

    return fill if callable(part) else fill({})


_EMPTY = ber.element(ber.OCTETS, b"")


def _extensible(extensible: Extensible) -> Iterator[_Part]:
    if extensible.rule:
        yield ber.element(_RULE, extensible.rule)
    if extensible.attribute:
        yield ber.element(_TYPE, extensible.attribute)
    yield _value(_VALUE, extensible.value)
    if extensible.dn_attributes:
        yield ber.boolean(_DN_ATTRIBUTES, True)


def _value(tag: int, value: Value) -> _Part:
    if len(value) == 1 and isinstance(value[0], Place):
        name = value[0].name
        return lambda values: ber.element(tag, values[name])
    return _element(tag, [_filled_by(part) if isinstance(part, Place) else part for part in value])


def _filled_by(place: Place) -> Fill:
    return lambda values: values[place.name]


def _element(tag: int, parts: Iterable[_Part]) -> _Part:
    """An element of these contents, with the constants that follow each other made one."""
    merged: list[_Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, bytes) and isinstance(last, bytes):
            merged[-1] = last + part
        else:
            merged.append(part)
    if not any(callable(part) for part in merged):
        return ber.element(tag, b"".join(part for part in merged if isinstance(part, bytes)))
    match merged:
        case [bytes() as before, fill] if callable(fill):  # as in nearly every filter that there is
            return lambda values: ber.element(tag, before + fill(values))
    return lambda values: ber.element(tag, b"".join([part if isinstance(part, bytes) else part(values) for part in merged]))


def _values(asked: Filter) -> Iterator[Value]:
    match asked:
        case And(filters) | Or(filters):
            for each in filters:
                yield from _values(each)
        case Not(inner):
            yield from _values(inner)
        case Compare(value=value) | Extensible(value=value):
            yield value
        case Substrings(_, initial, middle, final):
            yield from (initial, *middle, final)


def _escaped(value: Value, values: Mapping[str, bytes]) -> str:
    whole = b"".join(values[part.name] if isinstance(part, Place) else part for part in value)
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:02x}" for byte in whole)


def _described(description: bytes) -> None:
    if not _DESCRIPTION.fullmatch(description):
        raise ValueError(f"{description!r} is no attribute description or matching rule (RFC 4512 section 2.5)")
