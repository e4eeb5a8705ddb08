"""A value with tokens in it, taken apart before anything else looks at it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from saslauthd_py.config.settings.tokens import UnknownToken, split_tokens
from saslauthd_py.config.settings.values import quoted
from saslauthd_py.wire.ldap import Place, Value

OPTIONAL = "R"
"""The token that is nothing where the login has no realm: only beside something else, so that no value ever becomes empty."""


class TemplateError(Exception):
    """A filter or a DN that cannot be used. Its text is one line that follows the name of the key, and says where it is wrong."""


def pieces(text: str, known: AbstractSet[str], unescaped: Callable[[str], bytes], where: str) -> Value:
    """The constants of a value, unescaped, and places that are named by the letters of its tokens. Raises TemplateError."""
    try:
        found = split_tokens(text, known)
    except UnknownToken as error:
        raise TemplateError(f"{quoted(where)}: {error}") from None
    value = tuple(unescaped(piece) if isinstance(piece, str) else Place(piece.letter) for piece in found)
    if value and all(piece == Place(OPTIONAL) for piece in value):
        raise TemplateError(f"{quoted(where)}: %R alone is nothing without a realm: write @%r, which refuses a login that has none")
    return value
