"""Logins that a directory decides, beside stock `saslauthd -a ldap` on the same slapd: turn about in one run, without any verdict cache.

Each login is a search and a bind; with our cache from identity to DN, which lives for 10 s by default, most are a bind alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench import beside, ours, stock
from tests.bench.bench import REALM, Bench, Daemon, Sample
from tests.bench.beside import Rounds
from tests.bench.contained import check
from tests.bench.generator import login
from tests.bench.report import Section, at_least
from tests.interop import directory_tree as tree
from tests.interop.slapd import Slapd, slapd

CLIENTS = {8: "8 clients", 64: "64 clients"}
SEARCHED, REMEMBERED = "ours", "ours with its DN cache"
"""Ours, as its samples are called: with a search for each login, and as by default."""

_SETTINGS = ("threads 4",)
"""Of slapd, whose work is in `busy elsewhere`: threads for a small machine on which it is not alone."""

_LEAST = {SEARCHED: 1.1, REMEMBERED: 1.4}

_CONFIGURATION = """\
ldap_servers: {server.ldap}
ldap_bind_dn: {server.service}
ldap_password: {server.service_password}
ldap_search_base: {base}
"""


def run(bench: Bench) -> Iterator[Section]:
    """Two sections for each number of clients: without the DN cache and with it."""
    check("slapd", "slapd")
    check("openssl", "openssl")
    bench.say(f"a directory of {bench.identities} people")
    with slapd(Path(bench.directory, "slapd"), bench.identities, settings=_SETTINGS) as server:
        samples = _measured(bench, server)
    for clients, rounds in samples.items():
        yield from sections(clients, rounds)


def sections(clients: int, rounds: Rounds) -> Iterator[Section]:
    """The budgets of one number of clients."""
    for name, least in _LEAST.items():
        limits = {"requests/s": lambda ratio, least=least: at_least(ratio, least)}
        yield beside.section(f"LDAP, {CLIENTS[clients]}", {"stock": rounds["stock"], name: rounds[name]}, limits)


def configuration(server: Slapd) -> str:
    """What stock is told: nothing but where the directory and its people are."""
    return _CONFIGURATION.format(server=server, base=tree.PEOPLE)


def _measured(bench: Bench, server: Slapd) -> Mapping[int, Rounds]:
    people = map(tree.numbered, range(1, bench.identities + 1))
    logins = bench.generator.requests(login(person.uid, person.password, REALM) for person in people)

    def measure(daemon: Daemon, clients: int) -> Sample:
        bench.generator.run(daemon.socket, clients, bench.identities, logins)  # so that a DN cache is what it is in a busy hour
        return bench.measure(daemon, clients, max(1, bench.requests // 4), logins)

    plain, remembering = (os.path.join(bench.directory, name) for name in ("ours-ldap", "ours-ldap-dn-cache"))
    with (
        stock.started_ldap(os.path.join(bench.directory, "stock-ldap"), configuration(server)) as peer,
        ours.started(ours.install_ldap(plain, server, REALM, dn_cache=False)) as searching,
        ours.started(ours.install_ldap(remembering, server, REALM, dn_cache=True)) as remembering_daemon,
    ):
        searching.name, remembering_daemon.name = SEARCHED, REMEMBERED
        daemons: list[Daemon] = [peer, searching, remembering_daemon]
        return beside.interleaved(bench, [(daemon, None) for daemon in daemons], CLIENTS, measure)
