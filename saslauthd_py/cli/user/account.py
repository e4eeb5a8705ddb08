"""An account as `list` and `show` tell it: everything but what is stored of a password."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from saslauthd_py.cli.report import Fields
from saslauthd_py.credential import Credential, Kind
from saslauthd_py.store.model import Account

LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""Unix time that every time zone can still show; a later one in the store is shown as this."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An account, and when each secret was last right, by the secret's id."""

    account: Account
    uses: Mapping[int, float]

    def last_use(self) -> float | None:
        """Unix time of the last login by any of the secrets."""
        return max((self.uses[one.id] for one in self.account.credentials if one.id in self.uses), default=None)


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why the right password is refused all the same, and what an admin can do about it."""

    what: str
    advice: str


def hindrances(account: Account) -> tuple[Hindrance, ...]:
    """What keeps every login by the main password out at this moment."""
    found = []
    expires = next((one.restrictions.expires for one in account.credentials if one.kind is Kind.MAIN), None)
    if expires is not None and expires <= time.time():
        found.append(Hindrance(f"it expired {_local(expires)}", "say --expires 90d or --unrestricted"))
    if account.locked is not None:
        found.append(Hindrance(f"the account is locked ({account.locked})", f"saslauthd-py user unlock {account.identity}"))
    return tuple(found)


def fields(seen: Seen) -> Fields:
    """For programs; times are RFC 3339 in UTC, null: never, or without an end."""
    account = seen.account
    return {
        "identity": str(account.identity),
        "realm": account.identity.realm,
        "locked": account.locked,
        "created": _utc(account.created),
        "changed": _utc(account.changed),
        "last_login": _utc(seen.last_use()),
        "passwords": [_password(one, seen.uses.get(one.id)) for one in account.credentials],
    }


def cells(seen: Seen) -> tuple[str, ...]:
    """For `list`: name, schemes, last login, lock, restrictions of the main password."""
    account = seen.account
    main = next((one for one in account.credentials if one.kind is Kind.MAIN), None)
    apps = len(account.credentials) - (main is not None)
    kept = [_schemes(main)] if main else []
    kept += [f"{apps} app"] if apps else []
    limits = _limits(main) if main else ""
    return str(account.identity), " + ".join(kept), _local(seen.last_use()), account.locked or "", limits


def lines(seen: Seen) -> Fields:
    """For `show`."""
    account = seen.account
    return {
        "user": str(account.identity),
        "locked": account.locked,
        "created": _local(account.created),
        "changed": _local(account.changed),
        "last login": _local(seen.last_use()) or "none known",
    } | {_title(one): ", ".join(filter(None, [_schemes(one), _limits(one)])) for one in account.credentials}


def _password(credential: Credential, used: float | None) -> Fields:
    limits = credential.restrictions
    return {
        "kind": credential.kind.value,
        "label": credential.label,
        "schemes": [encoding.scheme for encoding in credential.encodings],
        "services": list(limits.services),
        "networks": [str(network) for network in limits.networks],
        "expires": _utc(limits.expires),
        "disabled": credential.disabled,
        "last_login": _utc(used),
    }


def _title(credential: Credential) -> str:
    return "password" if credential.kind is Kind.MAIN else f"app {credential.label}"


def _schemes(credential: Credential) -> str:
    return "+".join(encoding.scheme for encoding in credential.encodings)


def _limits(credential: Credential) -> str:
    limits = credential.restrictions
    parts = ["disabled"] if credential.disabled else []
    parts += [f"only {', '.join(map(str, few))}" for few in (limits.services, limits.networks) if few]
    if limits.expires is not None:
        parts.append(f"{'expired' if limits.expires <= time.time() else 'expires'} {_local(limits.expires)}")
    return "; ".join(parts)


def _utc(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(min(seconds, LATEST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _local(seconds: float | None) -> str:
    """In the time zone of whoever looks, to the minute."""
    return "" if seconds is None else datetime.fromtimestamp(min(seconds, LATEST)).astimezone().strftime("%Y-%m-%d %H:%M")
