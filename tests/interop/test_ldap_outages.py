"""A real slapd that stops, freezes, says nothing or restarts while many log in: no right password is ever wrong, nobody waits without end.

`pytest -s` prints how long logins took, those by the store beside them too: that nothing else slows down is measured, not asserted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from saslauthd_py.control import client
from tests.interop import directory_tree as tree
from tests.interop.daemon import Daemon
from tests.interop.ldap_load import Load, Login, load
from tests.interop.ldap_site import LOCAL, LdapSite, new_ldap_site
from tests.interop.mux import NO, OK, ask
from tests.interop.remote_site import DEADLINE, Keys
from tests.interop.slapd import Slapd, black_hole, slapd
from tests.interop.waiting import until

pytestmark = pytest.mark.peer("slapd", "openssl")

OUTAGE = b""
CLIENTS, LOCAL_CLIENTS = 8, 2
SLACK = 6.0
"""Seconds over the deadline that a busy machine may take; a client of this test waits longer than both."""


@pytest.fixture
def server(machine: Path, tmp_path: Path) -> Iterator[Slapd]:
    with slapd(machine / tmp_path.name, CLIENTS) as running:
        yield running


@contextmanager
def serving(machine: Path, server: Slapd, way: Callable[[LdapSite], Keys]) -> Iterator[tuple[LdapSite, Daemon]]:
    with new_ldap_site(machine, server) as site, site.serving({"way": way(site)}) as daemon:
        assert site.ask("way", tree.ALICE.uid, tree.ALICE.password) == OK
        yield site, daemon


@contextmanager
def under_load(site: LdapSite) -> Iterator[Load]:
    """Right passwords to both routes. At the end: 0 NO, and each within the deadline."""
    people: list[Login] = [partial(site.login, "way", tree.numbered(number)) for number in range(1, CLIENTS + 1)]
    local: list[Login] = [partial(ask, site.site.mux, LOCAL.uid, LOCAL.password)] * LOCAL_CLIENTS
    with load({"ldap": people, "store": local}) as running:
        running.phase("before", 20)
        yield running
    print(f"\n{running.report()}")
    assert running.answers("ldap").keys() <= {OK, OUTAGE}
    assert running.answers("store").keys() == {OK}
    assert running.slowest("ldap") < DEADLINE + SLACK


def assert_back(running: Load, site: LdapSite) -> None:
    """Right is right again, and wrong is wrong."""
    print(f"\nall good again {running.until_all('ldap', OK):.2f} s after its return")
    running.phase("after", 20)
    assert running.answers("ldap", "after").keys() == {OK}
    assert site.ask("way", tree.ALICE.uid, "wrong") == NO


WAYS: dict[str, Callable[[LdapSite], Keys]] = {
    "ldap": lambda site: site.people(),
    "ldap, no DN cache": lambda site: site.people(dn_cache="0s"),
    "StartTLS": lambda site: site.people(start_tls=True, ca_file=str(site.server.ca)),
    "ldaps": lambda site: site.people(servers=[site.server.ldaps], ca_file=str(site.server.ca)),
    "ldapi": lambda site: site.people(servers=[site.server.ldapi]),
    "template": lambda site: site.people(base=None, method="template", dn_template=f"uid=%U,{tree.PEOPLE}"),
}


@pytest.mark.parametrize("way", ["ldap", "StartTLS", "ldapi", "template"])
def test_d8_slapd_that_is_stopped_under_load_is_an_outage_until_it_is_back(machine: Path, server: Slapd, way: str) -> None:
    with serving(machine, server, WAYS[way]) as (site, daemon), under_load(site) as running:
        with server.stopped():
            running.phase("stopped")
        assert running.answers("ldap", "stopped").keys() == {OUTAGE}
        assert_back(running, site)
    daemon.wait_for_line("ERROR", "is down: ")
    daemon.wait_for_line("is back")


@pytest.mark.parametrize("way", ["ldap", "ldap, no DN cache", "ldaps"])
def test_d8_slapd_that_is_frozen_under_load_is_an_outage_until_it_goes_on(machine: Path, server: Slapd, way: str) -> None:
    with serving(machine, server, WAYS[way]) as (site, daemon), under_load(site) as running:
        with server.frozen():
            running.phase("frozen")
        assert running.answers("ldap", "frozen").keys() == {OUTAGE}
        assert_back(running, site)
    daemon.wait_for_line("ERROR", "is down: no answer within 1 s")
    daemon.wait_for_line("is back")


@pytest.mark.parametrize("way", ["ldap", "template"])
def test_slapd_that_restarts_under_load_again_and_again(machine: Path, server: Slapd, way: str) -> None:
    with serving(machine, server, WAYS[way]) as (site, _), under_load(site) as running:
        for _ in range(3):
            server.restart()
            running.until_all("ldap", OK)
        assert_back(running, site)


def test_d8_black_hole_is_an_outage_and_nobody_waits_for_it(machine: Path, server: Slapd) -> None:
    """After the first ones have found out, nobody waits longer than an outage takes to be told."""
    with new_ldap_site(machine, server) as site, black_hole() as hole, site.serving({"way": site.people(servers=[hole.ldap])}) as daemon:
        with load({"ldap": [partial(site.login, "way", tree.numbered(number)) for number in range(CLIENTS)]}) as running:
            running.phase("swallowed")
        assert running.answers("ldap").keys() == {OUTAGE}
        assert running.slowest("ldap") < DEADLINE + SLACK
        daemon.wait_for_line("unavailable", "no answer within 1 s", count=CLIENTS)


@pytest.mark.parametrize("first", ["stopped", "frozen"])
def test_second_server_answers_while_the_first_is_away(machine: Path, server: Slapd, tmp_path: Path, first: str) -> None:
    """Both hold the same people. After the first ones have found out, every login is good."""
    with slapd(machine / f"{tmp_path.name}-second", CLIENTS) as second:
        pair = partial(LdapSite.people, servers=[server.ldap, second.ldap])
        with serving(machine, server, pair) as (site, daemon), under_load(site) as running:
            with server.stopped() if first == "stopped" else server.frozen():
                running.until_all("ldap", OK)
                daemon.wait_for_line("ERROR", f"{server.ldap} is down")
                told = json.dumps(client.status(str(site.site.control), DEADLINE))
                assert f'"down": {{"{server.ldap}": "' in told
                running.phase("the second alone", 20)
                assert running.answers("ldap", "the second alone").keys() == {OK}
            daemon.wait_for_line(f"{server.ldap} is back")
            assert_back(running, site)
            with second.stopped():
                running.phase("the first alone", 20)
                assert running.answers("ldap", "the first alone").keys() == {OK}


def test_both_servers_away_is_an_outage_that_names_both(machine: Path, server: Slapd, tmp_path: Path) -> None:
    with slapd(machine / f"{tmp_path.name}-second", CLIENTS) as second:
        pair = partial(LdapSite.people, servers=[server.ldap, second.ldap])
        with serving(machine, server, pair) as (site, daemon), under_load(site) as running:
            with server.stopped(), second.stopped():
                running.phase("both stopped")
                daemon.wait_for_line("unavailable", f"{server.ldap}: ", f"{second.ldap}: ")
            assert_back(running, site)


def has_dropped(server: Slapd, links: int) -> bool:
    return server.log().count("closed (idletimeout)") >= links


@pytest.mark.parametrize("scheme", ["ldap", "ldaps", "ldapi"])
def test_first_login_after_slapd_has_dropped_idle_links_succeeds(machine: Path, tmp_path: Path, scheme: str) -> None:
    with slapd(machine / f"{tmp_path.name}-idle", 2, settings=("idletimeout 2",), debug="stats") as server:

        def way(site: LdapSite) -> Keys:
            more = {"ca_file": str(server.ca)} if scheme == "ldaps" else {}
            more["timeout"] = "3s"  # two handshakes on a busy machine
            return site.people(servers=[{"ldap": server.ldap, "ldaps": server.ldaps, "ldapi": server.ldapi}[scheme]], dn_cache="0s", **more)

        with serving(machine, server, way) as (site, daemon):
            for dropped in (2, 4):
                until(partial(has_dropped, server, dropped), "the links for searches and for binds are dropped")
                assert site.login("way", tree.numbered(1)) == OK
            assert not [line for line in daemon.log() if "is down" in line or "unavailable" in line]
