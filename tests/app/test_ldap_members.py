"""An LDAP backend as routes ask it."""

from __future__ import annotations

import pytest

from saslauthd_py.app.composition import Shared, composed, opened
from saslauthd_py.config.settings import Settings
from saslauthd_py.identity import Identity


@pytest.mark.parametrize(
    ("keys", "accounts"),
    [
        ({}, 1),
        ({"base": "dc=%2,dc=%1"}, 1),
        ({"filter": "(|(uid=%U)(mail=%u))"}, 1),
        ({"filter": "(mail=%u)"}, 2),
        ({"filter": "(mail=%u)", "login": "{local}"}, 1),
    ],
)
async def test_b1_guesses_count_against_the_entry_however_the_realm_is_called(keys: dict[str, str], accounts: int) -> None:
    backend = {"type": "ldap", "servers": ["ldapi://%2Fnonexistent"], "base": "dc=x", **keys}
    settings = Settings.model_validate({"backend": {"d": backend}})
    with opened(settings, None) as resources:
        async with composed(settings, resources, Shared.of(settings)) as parts:
            member = parts.members["d"]
            assert len({member.account(Identity("alice", realm)) for realm in ("a.example.test", "b.example.test")}) == accounts
