"""A real slapd whose rules of access hide the base and the people below it: no right password is wrong, and the log says what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from saslauthd_py.backends.ldap import LdapBackend, sight
from saslauthd_py.backends.ldap.opening import Manner
from saslauthd_py.backends.ldap.servers import Servers
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity
from saslauthd_py.verdict import Accepted, Unavailable, UnknownUser, Verdict
from tests.backends.directories import ask
from tests.interop import directory_tree as tree
from tests.interop.ldap_site import new_ldap_site
from tests.interop.mux import NO, OK
from tests.interop.slapd import Slapd, slapd
from tests.interop.waiting import until

pytestmark = pytest.mark.peer("slapd", "openssl")

ALICE, NOBODY = Identity(tree.ALICE.uid), Identity("nobody")
OUTAGE = b""

FOUND_BUT_NOT_SHOWN = "search"
"""slapd's word for a right that lets a search match an entry and not return it: then it says success, as 389-ds does."""
DISCLOSED, HIDDEN = "disclose", "none"
"""Rights with which it says insufficientAccess, and noSuchObject."""


@pytest.fixture
def server(machine: Path, tmp_path: Path) -> Iterator[Slapd]:
    with slapd(machine / tmp_path.name, 2) as running:
        yield running


def rule(below: str, right: str) -> str:
    """What the service may do with this entry and all below it, beside what others may."""
    return f'access to dn.subtree="{below}" by dn.exact="{tree.SERVICE}" {right} by anonymous auth by users read\n'


def govern(server: Slapd, *rules: str) -> None:
    """Restart it with these rules before its own."""
    file = server.directory / "slapd.conf"
    text = file.read_text()
    head, _, tail = text.partition("access to attrs=userPassword")
    head = "".join(line for line in head.splitlines(keepends=True) if not line.startswith("access to dn.subtree"))
    file.write_text(f"{head}{''.join(rules)}access to attrs=userPassword{tail}")
    server.restart()


@asynccontextmanager
async def asking(server: Slapd, **keys: object) -> AsyncIterator[LdapBackend]:
    """A backend of ours over it."""
    identity = {"bind_dn": server.service, "password": server.service_password}
    settings = LdapSettings.model_validate(
        {"type": "ldap", "servers": [server.ldap], "base": tree.PEOPLE, "timeout": "5s", "dn_cache": "0s", **identity, **keys}
    )
    async with trio.open_nursery() as nursery:
        servers = Servers(settings, Manner.of(settings), nursery)
        yield LdapBackend(settings, servers, Hashing(threads=1))
        servers.close()


async def log_in(it: LdapBackend, server: Slapd, name: Identity = ALICE) -> Verdict:
    """As soon as the server is known to be back."""
    verdict = await ask(it, tree.ALICE.password, name)
    with trio.fail_after(60):
        while isinstance(verdict, Unavailable) and tree.BASE not in verdict.cause:
            await trio.sleep(0.05)
            verdict = await ask(it, tree.ALICE.password, name)
    return verdict


@pytest.mark.parametrize("right", [FOUND_BUT_NOT_SHOWN, DISCLOSED, HIDDEN])
async def test_g2_base_that_slapd_hides_is_an_outage_until_it_shows_it_again(
    server: Slapd, right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sight, "LOOK_EVERY", 0.0)
    async with asking(server) as it:
        for rules in ([], [rule(tree.PEOPLE, right)], []):
            govern(server, *rules)
            verdict, unknown = await log_in(it, server), await log_in(it, server, NOBODY)
            if rules:
                for each in (verdict, unknown):
                    assert isinstance(each, Unavailable)
                    assert server.ldap in each.cause
                    assert tree.PEOPLE in each.cause
                    assert ("is missing, or hidden from bind_dn" in each.cause) == (right == FOUND_BUT_NOT_SHOWN)
            else:
                assert isinstance(verdict, Accepted)
                assert unknown == UnknownUser()


async def test_base_that_slapd_hides_and_people_that_it_shows_are_as_ever(server: Slapd) -> None:
    govern(server, f'access to dn.base="{tree.PEOPLE}" by dn.exact="{tree.SERVICE}" search by users read\n')
    async with asking(server) as it:
        assert isinstance(await log_in(it, server), Accepted)
        assert await log_in(it, server, NOBODY) == UnknownUser()


async def test_g2_groups_that_slapd_hides_are_an_outage(server: Slapd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "LOOK_EVERY", 0.0)
    async with asking(server, group_filter="(member=%D)", group_base=tree.GROUPS) as it:
        assert isinstance(await log_in(it, server), Accepted)
        govern(server, rule(tree.GROUPS, FOUND_BUT_NOT_SHOWN))
        verdict = await log_in(it, server)
        assert isinstance(verdict, Unavailable)
        assert f"group_base {tree.GROUPS} is missing, or hidden" in verdict.cause


def test_g2_daemon_whose_service_sees_nothing_says_so_and_refuses_nobody(machine: Path, server: Slapd) -> None:
    govern(server, rule(tree.PEOPLE, FOUND_BUT_NOT_SHOWN))
    with new_ldap_site(machine, server) as site, site.serving({"way": site.people()}) as daemon:
        assert site.login("way", tree.ALICE) == OUTAGE
        assert site.ask("way", "nobody", "any") == OUTAGE
        daemon.wait_for_line("ERROR", f"{server.ldap}: base {tree.PEOPLE} is missing, or hidden from bind_dn")
        govern(server)
        until(lambda: site.login("way", tree.ALICE) == OK, "the service sees people again")
        assert site.ask("way", "nobody", "any") == NO
