"""The bench of LDAP: both daemons are told the same and no more than they need, and stock decides by the directory."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from saslauthd_py.config.settings.ldap import LdapSettings
from tests.bench import ldap, ours, stock
from tests.bench.bench import REALM, Sample
from tests.bench.generator import Generator, Load, login
from tests.bench.processes import Memory
from tests.interop import directory_tree as tree
from tests.interop.daemon import searchable
from tests.interop.slapd import Slapd, slapd

LOAD = Load(1000, 1000, 0, 0, 0, 0, 0, seconds=1.0, p50=0.001, p99=0.002, longest=0.003)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with searchable() as directory:
        yield directory


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Slapd]:
    with slapd(place / "slapd", 30) as running:
        yield running


@pytest.mark.root
@pytest.mark.peer("cc", "openssl", "saslauthd", "slapd", "unshare")
def test_stock_asks_the_directory_about_each_login_and_leaves_nothing_behind(place: Path, server: Slapd) -> None:
    generator = Generator(str(place))
    people = list(map(tree.numbered, range(1, 31)))
    good, wrong = (generator.requests(login(each.uid, each.password + more, REALM) for each in people) for more in ("", "x"))
    with stock.started_ldap(str(place / "stock"), ldap.configuration(server)) as daemon:
        assert generator.run(daemon.socket, 4, 60, good).ok == 60
        assert generator.run(daemon.socket, 4, 30, wrong).no == 30
        server.set_password(people[0].dn, "another")
        load = generator.run(daemon.socket, 4, 30, good)
        assert (load.ok, load.no) == (29, 1)
        assert daemon.misses() is None
        pids = daemon.pids()
        assert len(pids) == 5
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


@pytest.mark.peer("openssl", "slapd")
@pytest.mark.parametrize(("dn_cache", "kept"), [(True, 10.0), (False, 0.0)])
def test_c9_measured_backend_differs_from_the_default_in_its_place_and_where_it_says_so_its_dn_cache(
    tmp_path: Path, server: Slapd, dn_cache: bool, kept: float
) -> None:
    installation = ours.install_ldap(str(tmp_path / "x"), server, REALM, dn_cache=dn_cache)
    written = tomllib.loads(Path(installation.configuration).read_text())
    assert written["route"] == [{"realm": REALM, "backends": ["directory"]}]
    assert written.keys() == {"server", "control", "listen", "backend", "route"}
    settings = LdapSettings.model_validate(written["backend"]["directory"])
    assert settings.model_fields_set - {"dn_cache"} == {"type", "servers", "bind_dn", "password", "base"}
    assert ("dn_cache" not in settings.model_fields_set) is dn_cache
    assert (settings.dn_cache, settings.cache, installation.lifetime) == (kept, 0.0, 0.0)
    assert settings.password is not None
    assert settings.password.reveal().decode() == server.service_password


def sample(rate: float, not_ok: int = 0) -> Sample:
    load = dataclasses.replace(LOAD, seconds=1000 / rate, ok=1000 - not_ok, no=not_ok)
    return Sample(load, 10e-6, None, Memory(50_000_000, 40_000_000))


@pytest.mark.parametrize("clients", ldap.CLIENTS)
def test_a_search_more_and_a_search_less_have_budgets_of_their_own(clients: int) -> None:
    rounds = {"stock": [sample(1000)], ldap.SEARCHED: [sample(1100)], ldap.REMEMBERED: [sample(1390)]}
    searched, remembered = ldap.sections(clients, rounds)
    assert (searched.columns, searched.short, searched.void) == (("stock", ldap.SEARCHED, "ratio"), (), "")
    assert (remembered.columns, remembered.short) == (("stock", ldap.REMEMBERED, "ratio"), ("requests/s",))
    slower, quicker = ldap.sections(clients, rounds | {ldap.SEARCHED: [sample(1090)], ldap.REMEMBERED: [sample(1400)]})
    assert (slower.short, quicker.short) == (("requests/s",), ())


def test_a_good_login_that_is_refused_makes_its_table_void() -> None:
    rounds = {"stock": [sample(1000)], ldap.SEARCHED: [sample(2000, not_ok=1)], ldap.REMEMBERED: [sample(2000)]}
    assert [section.void for section in ldap.sections(8, rounds)] == ["ours did not answer OK to 1", ""]
