"""Filters with tokens: parsed by ldap3 when the configuration is loaded, held as wire.ldap's values, filled without any text.

ldap3's parser lets pass what no filter is: a second clause in a NOT, backslashes that escape nothing, a filter that closes early. All of
that is refused here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from saslauthd_py.backends.ldap.pieces import TemplateError, pieces
from saslauthd_py.config.settings.tokens import LOGIN_TOKENS
from saslauthd_py.config.settings.values import quoted
from saslauthd_py.wire.ldap import And, Compare, Comparison, Extensible, Filter, Not, Or, Present, Substrings, Value
from saslauthd_py.wire.ldap.filters import MAX_DEPTH

with warnings.catch_warnings():  # ldap3 2.9.1 imports names that pyasn1 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from ldap3.core.exceptions import LDAPExceptionError
    from ldap3.operation import search

_ESCAPE = re.compile(r"\\(?:([0-9A-Fa-f]{2})|(.{0,2}))", re.DOTALL)
_SPACES = frozenset(" \t\r\n")

_COMPARISONS = {
    search.MATCH_EQUAL: Comparison.EQUAL,
    search.MATCH_GREATER_OR_EQUAL: Comparison.GREATER_OR_EQUAL,
    search.MATCH_LESS_OR_EQUAL: Comparison.LESS_OR_EQUAL,
    search.MATCH_APPROX: Comparison.APPROX,
}


def parse_filter(text: str, known: AbstractSet[str] = LOGIN_TOKENS) -> Filter:
    """A filter of RFC 4515 in whose assertion values tokens may stand; their letters name its places.

    Spaces around a value do not count: one that is meant is written \\20. Raises TemplateError, which names the place.
    """
    _balanced(text)
    try:
        (root,) = search.parse_filter(text, None, False, False, None, False).elements  # type: ignore[no-untyped-call]  # in its stubs
    except LDAPExceptionError as error:
        raise TemplateError(f"{quoted(text)} is no filter such as {quoted('(uid=%U)')}: {error}") from None
    parsed = _Parser(known)
    found = parsed.filter(root, MAX_DEPTH)
    if parsed.clauses != text.count("("):
        raise TemplateError(f"{quoted(text)} is no filter: a ! takes one filter, not several")
    return found


def _balanced(text: str) -> None:
    depth = 0
    for at, letter in enumerate(text.strip()):
        if not letter.isprintable() and letter not in _SPACES:
            raise TemplateError(f"{quoted(text)} holds a character that cannot be printed: write it as \\ and two hex digits")
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
            if depth < 0 or (depth == 0 and at != len(text.strip()) - 1):
                raise TemplateError(f"{quoted(text)} goes on after the parenthesis that closes it")
    if depth:
        raise TemplateError(f"{quoted(text)} has a parenthesis that is not closed")


class _Node(Protocol):
    """What ldap3 parses a clause into."""

    tag: int
    assertion: Mapping[str, Any]
    elements: list[_Node]


class _Parser:
    """From ldap3's nodes to filters. `clauses` counts them, so that nothing that was written is lost."""

    def __init__(self, known: AbstractSet[str]) -> None:
        self.clauses = 0
        self._known = known

    def filter(self, node: _Node, depth: int) -> Filter:
        if not depth:
            raise TemplateError(f"nested over {MAX_DEPTH} deep")
        self.clauses += 1
        if node.tag == search.NOT:
            return Not(self.filter(node.elements[0], depth - 1))
        if node.tag in (search.AND, search.OR):
            inner = tuple(self.filter(each, depth - 1) for each in node.elements)
            return And(inner) if node.tag == search.AND else Or(inner)
        return self._clause(node.tag, node.assertion)

    def _clause(self, tag: int, written: Mapping[str, Any]) -> Filter:
        attribute = written["attr"] or ""
        rule = written.get("matchingRule") or ""
        where = f"({attribute}=...)" if not rule else f"({attribute}:{rule}:=...)"
        if "%" in attribute or "%" in rule:
            raise TemplateError(f"{quoted(where)}: a token may stand in a value, and this is the name of an attribute or rule")
        try:
            if tag == search.MATCH_PRESENT:
                return Present(attribute.encode())
            if tag == search.MATCH_SUBSTRING:
                parts = (written.get("initial", b""), written.get("any", ()), written.get("final", b""))
                initial, middle, final = self._value(parts[0], where), parts[1], self._value(parts[2], where)
                return Substrings(attribute.encode(), initial, tuple(self._value(part, where) for part in middle), final)
            value = self._whole(written["value"], where)
            if tag == search.MATCH_EXTENSIBLE:
                return Extensible(value, attribute.encode(), rule.encode(), bool(written["dnAttributes"]))
            return Compare(attribute.encode(), value, _COMPARISONS[tag])
        except ValueError as error:
            raise TemplateError(f"{quoted(where)}: {error}") from None

    def _whole(self, written: bytes, where: str) -> Value:
        if b"*" in written:
            raise TemplateError(f"{quoted(where)}: a * may stand after = alone; write \\2a for the character")
        return self._value(written, where)

    def _value(self, written: bytes, where: str) -> Value:
        text = written.decode()
        if not text.isprintable():
            raise TemplateError(f"{quoted(where)}: the value goes over the end of the line, or has a tabulator in it")
        return pieces(text, self._known, lambda constant: _unescaped(constant, where), where)


def _unescaped(constant: str, where: str) -> bytes:
    """RFC 4515 section 3: a backslash, and two hex digits of an octet."""
    whole, end = b"", 0
    for escape in _ESCAPE.finditer(constant):
        if escape[1] is None:
            raise TemplateError(f"{quoted(where)}: {quoted(escape[0])} escapes nothing: write \\5c for a backslash")
        whole += constant[end : escape.start()].encode() + bytes.fromhex(escape[1])
        end = escape.end()
    return whole + constant[end:].encode()
