"""From the filter that finds one user to one that finds any of them."""

from __future__ import annotations

from saslauthd_py.wire.ldap import And, Compare, Extensible, Filter, Not, Or, Present, Substrings, places

_ANYTHING = Present(b"objectClass")


def sample(asked: Filter) -> Filter:
    """A filter without places that everything matches which `asked` can match for some login."""
    if not places(asked):
        return asked
    match asked:
        case And(filters):
            return And(tuple(map(sample, filters)))
        case Or(filters):
            return Or(tuple(map(sample, filters)))
        case Compare(attribute) | Substrings(attribute):
            return Present(attribute)
        case Extensible(attribute=attribute) if attribute:
            return Present(attribute)
        case Not() | Extensible() | Present():
            return _ANYTHING
