"""The body of a login by HTTP: a text with tokens, or JSON with tokens in its strings."""

from __future__ import annotations

import json
from collections.abc import Iterator

from saslauthd_py.config.settings.tokens import Token, UnknownToken, split_tokens
from saslauthd_py.config.settings.values import quoted

TOKENS = frozenset("uUrsp")
"""%u the login, %U its local part, %r its realm, %s the service, %p the password."""

Text = tuple[str | Token, ...]
"""Constants, none of them empty, and the places that values take."""

Json = None | bool | int | float | Text | list["Json"] | dict[str, "Json"]
"""A JSON value whose strings are texts; names are as they are."""


class BodyError(ValueError):
    """A body that cannot be used. Its text is one line that follows the name of the key."""


def text(body: str) -> Text:
    """The pieces of a text. Raises BodyError."""
    try:
        return split_tokens(body, TOKENS)
    except UnknownToken:
        raise BodyError(f"{quoted(body)}: known are %u %U %r %s %p, and %% for a percent sign") from None


def json_value(body: str) -> Json:
    """The value that JSON tells. Raises BodyError."""
    try:
        return _texts(json.loads(body, object_pairs_hook=_members, parse_constant=_constant))
    except BodyError:
        raise
    except ValueError as error:
        raise BodyError(f"{quoted(body)} is no JSON: {error}") from None
    except RecursionError:
        raise BodyError("has more brackets within brackets than any page reads") from None


def _members(members: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(members)
    if len(found) < len(members):
        raise BodyError("has a name twice in one object: which of them a page takes, nobody can tell")
    return found


def _constant(name: str) -> object:
    raise ValueError(f"it has no {name}")


def letters(body: Json) -> frozenset[str]:
    """The letters of all tokens in a body, as `text` or `json_value` made it."""
    return frozenset(_letters(body))


def _texts(value: object) -> Json:
    match value:
        case str():
            return text(value)
        case list():
            return [_texts(one) for one in value]
        case dict():
            return {name: _texts(one) for name, one in value.items()}
        case None | bool() | int() | float():
            return value
    raise BodyError("holds something that JSON cannot")


def _letters(body: Json) -> Iterator[str]:
    match body:
        case tuple():
            yield from (piece.letter for piece in body if isinstance(piece, Token))
        case list():
            for one in body:
                yield from _letters(one)
        case dict():
            for one in body.values():
                yield from _letters(one)
