"""What most of the store's secrets are like, and which lack something: counted for decoys and for offers, in threads.

The queries sort nothing. A million rows take a second or so, a few that lack something as long, many no longer than it takes to find them.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.keys import Hash

_SCRAM = ", ".join(f"'{scheme}'" for scheme in passwords.SCRAM_SCHEMES)

PROFILES = f"""
    SELECT one.profile, count(*) FROM encoding AS one
    WHERE one.profile IS NOT NULL AND (one.scheme NOT IN ({_SCRAM}) OR NOT EXISTS (
        SELECT 1 FROM encoding AS other WHERE other.secret = one.secret AND other.scheme NOT IN ({_SCRAM})))
    GROUP BY one.profile
"""  # noqa: S608 - names of schemes
"""Profiles of the main secrets' encodings: of SCRAM's only those by which a password is verified."""

KEPT = "SELECT profile, count(*) FROM encoding WHERE profile >= ? AND profile < ? GROUP BY profile"
"""Profiles of one scheme, those beside a hash too."""

WITHOUT = """
    SELECT identity.local, identity.realm, (SELECT text FROM encoding WHERE encoding.secret = secret.id AND encoding.scheme = 'plain')
    FROM secret CROSS JOIN identity ON identity.id = secret.identity
    WHERE secret.kind = 'main' AND secret.disabled = 0
    AND NOT EXISTS (SELECT 1 FROM encoding WHERE encoding.secret = secret.id AND encoding.scheme = ?)
"""

_ROUNDS = re.compile(r"rounds=([0-9]+)")


@dataclass(frozen=True, slots=True)
class Kept:
    """How the SCRAM keys of main secrets for one hash are kept: stored ones, how many by their `rounds`; `clear`: derived ones."""

    rounds: Mapping[int, int] = field(default_factory=dict)
    clear: int = 0

    @property
    def stored(self) -> int:
        """How many, whatever their rounds."""
        return sum(self.rounds.values())

    def common(self, derived: int) -> int:
        """The rounds that most accounts show, where `derived` are those of keys that are not stored; the fewest of as many."""
        shown = Counter(self.rounds)
        shown[derived] += self.clear
        return min(shown, key=lambda rounds: (-shown[rounds], rounds))


def common_profile(connection: sqlite3.Connection) -> str | None:
    """The password profile (`passwords.cost`) of most main secrets, for a decoy (rule D6); None in a store without any."""
    return _most(dict(connection.execute(PROFILES)))


def kept(connection: sqlite3.Connection, function: Hash) -> Kept:
    """As `Kept` says."""
    scheme = function.mechanism.lower()
    found = dict(connection.execute(KEPT, (f"{scheme} ", f"{scheme}!")))
    rounds = {int(read[1]): many for profile, many in found.items() if (read := _ROUNDS.search(profile))}
    clear = dict(connection.execute(KEPT, ("plain", "plain!")))
    return Kept(rounds, sum(clear.values()))


def without(connection: sqlite3.Connection, scheme: str) -> Iterator[tuple[str, Encoding | None]]:
    """The accounts whose main secret is enabled and has no encoding of this scheme, and the one in clear text, where it has that.

    As they are found: whoever has seen enough closes it.
    """
    for local, realm, clear in connection.execute(WITHOUT, (scheme,)):
        try:
            name = str(Identity(local, realm))
        except InvalidIdentity:
            name = "one with a broken name"
        yield name, None if clear is None else Encoding("plain", clear)


def any_keyed(connection: sqlite3.Connection) -> bool:
    """Whether anybody's main secret has SCRAM keys, or is kept in clear text, which gives them. A look or two at an index."""
    return any(
        connection.execute("SELECT EXISTS (SELECT 1 FROM encoding WHERE profile >= ? AND profile < ?)", bounds).fetchone()[0]
        for bounds in (("plain", "plain!"), *((f"{scheme} ", f"{scheme}!") for scheme in passwords.SCRAM_SCHEMES))
    )


def any_enabled(connection: sqlite3.Connection) -> bool:
    """Whether anybody has an enabled main secret."""
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM secret WHERE kind = 'main' AND disabled = 0)").fetchone()[0])


def _most(counts: dict[str, int]) -> str | None:
    return min(counts, key=lambda profile: (-counts[profile], profile), default=None)
