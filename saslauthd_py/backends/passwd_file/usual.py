"""What most accounts of the files in use are like: so are the names that nobody has (rules D6, F3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from saslauthd_py import keying, passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.keys import Hash


class Usual:
    """The usual kinds of hash. `decoy` is compared with where there is nothing to compare with."""

    def __init__(self) -> None:
        self._profiles: Counter[str] = Counter()
        self.decoy = _decoy(None)

    def count(self, profiles: Iterable[Mapping[str, int]]) -> None:
        """Anew, by how many lines of each file have which profile of cost. Where there is none at all, all stays as it was."""
        found: Counter[str] = Counter()
        for one in profiles:
            found.update(one)
        if found:
            self._profiles = found
            self.decoy = _decoy(found.most_common(1)[0][0])

    def give_up_decoy(self) -> None:
        """The usual hash cannot be computed here: `decoy` is one that can."""
        self.decoy = _decoy(None)

    def derived(self, function: Hash) -> bool:
        """Whether more accounts have keys derived of clear text than stored ones."""
        return self._profiles["plain"] > sum(self._stored(function).values())

    def rounds(self, function: Hash) -> int:
        """What most lines show, stored or derived: where most are clear text, a line with others' keys changes nothing for them."""
        shown = self._stored(function)
        shown[keying.ROUNDS] += self._profiles["plain"]
        return min(shown, key=lambda rounds: (-shown[rounds], rounds))

    def _stored(self, function: Hash) -> Counter[int]:
        beginning = f"{keying.scheme(function)} rounds="
        return Counter(
            {int(profile.removeprefix(beginning)): many for profile, many in self._profiles.items() if profile.startswith(beginning)}
        )


def _decoy(profile: str | None) -> Encoding:
    return passwords.decoy(profile or passwords.cost_to_make(passwords.DEFAULT_SCHEME).profile)
