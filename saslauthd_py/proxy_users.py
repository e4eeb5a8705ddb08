"""May who has proved one identity act as another (RFC 4422 section 3.4.1)? Pure; judged at every login, at a cache hit too (rule C1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from saslauthd_py import identity
from saslauthd_py.config.settings.proxy_user import ANYBODY, ProxyUser, named
from saslauthd_py.identity import Identity, InvalidIdentity, Key


def same(one: Identity, other: Identity) -> bool:
    """Whether two names are one in every backend there is: as one writes them, NFC and folded realms apart. Case makes a difference."""
    key = _key(one)
    return key is not None and key == _key(other)


@dataclass(frozen=True, slots=True)
class _Grant:
    authcid: Identity
    names: frozenset[Key]
    realms: frozenset[str]

    def covers(self, authzid: Identity) -> bool:
        key = _key(authzid)
        return key is not None and (key in self.names or key.realm in self.realms)


class ProxyUsers:
    """All grants. Names in them that come without a realm have the `default_realm`, as those of clients do."""

    def __init__(self, grants: Iterable[ProxyUser] = (), default_realm: str = "") -> None:
        self._grants = tuple(_grant(grant, default_realm) for grant in grants)

    def could(self, asked: Identity, authzid: Identity | None) -> bool:
        """Whether some spelling of the name that was asked may act so. False: no backend needs to be asked (rule D9).

        Which spelling it is, a backend says. One that makes quite another name of it can only be granted under the name asked.
        """
        if authzid is None or _one_account(asked, authzid):
            return True
        return any(_one_account(asked, grant.authcid) and grant.covers(authzid) for grant in self._grants)

    def may(self, names: Iterable[Identity], authzid: Identity | None) -> bool:
        """Whether who has proved one identity may act as `authzid`; None: as itself, which needs no grant.

        `names`: that identity as it was asked, and as its backend confirmed it. Their spelling counts: where case makes a difference,
        Master is not master.
        """
        if authzid is None:
            return True
        return any(
            same(name, authzid) or any(same(name, grant.authcid) and grant.covers(authzid) for grant in self._grants) for name in names
        )


def _grant(settings: ProxyUser, default_realm: str) -> _Grant:
    names = [named(name, default_realm) for name in settings.may_act_as if not name.startswith(ANYBODY)]
    realms = [name.removeprefix(ANYBODY) for name in settings.may_act_as if name.startswith(ANYBODY)]
    return _Grant(
        named(settings.authcid, default_realm),
        frozenset(identity.key(name, fold_case=False) for name in names),
        frozenset(map(identity.fold_realm, realms)),
    )


def _key(name: Identity) -> Key | None:
    """None: its realm is no domain name, and nothing is the same as that."""
    try:
        return identity.key(name, fold_case=False)
    except InvalidIdentity:
        return None


def _one_account(one: Identity, other: Identity) -> bool:
    try:
        return identity.account(one) == identity.account(other)
    except InvalidIdentity:
        return False
