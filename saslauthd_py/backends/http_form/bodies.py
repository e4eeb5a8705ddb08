"""The body of one login: each value in its place, escaped so that it can only ever be a value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from urllib.parse import quote_from_bytes

from saslauthd_py.config.settings.form_body import Json, Text


class Unsendable(Exception):
    """JSON is text, and a value is none."""


def form(body: Text, values: Mapping[str, bytes]) -> bytes:
    """The text, with every value URL-encoded."""
    return _text(body, lambda letter: quote_from_bytes(values[letter], safe="")).encode()


def json_text(body: Json, values: Mapping[str, bytes]) -> bytes:
    """The value as JSON, with every value as a part of a string. Raises Unsendable."""
    try:
        texts = {letter: value.decode() for letter, value in values.items()}
    except UnicodeDecodeError:
        raise Unsendable from None
    return json.dumps(_value(body, texts)).encode()


def _text(body: Text, value: Callable[[str], str]) -> str:
    return "".join(piece if isinstance(piece, str) else value(piece.letter) for piece in body)


def _value(body: Json, values: Mapping[str, str]) -> object:
    match body:
        case tuple():
            return _text(body, values.__getitem__)
        case list():
            return [_value(one, values) for one in body]
        case dict():
            return {name: _value(one, values) for name, one in body.items()}
        case _:
            return body
