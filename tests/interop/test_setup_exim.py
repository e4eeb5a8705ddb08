"""`setup exim` on a real Exim without authenticators: planned, applied, proved, undone; and where there are some already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from saslauthd_py.config.load import load
from saslauthd_py.mta import distribution
from saslauthd_py.mta import exim as reader
from saslauthd_py.mta.machine import Machine
from saslauthd_py.setup import asking, exim, journal
from saslauthd_py.setup.account import throw_away
from saslauthd_py.setup.applying import Proof, apply
from saslauthd_py.setup.journal import Change
from saslauthd_py.setup.plan import Plan
from saslauthd_py.setup.proving import Proved
from saslauthd_py.setup.site import Refused, Site
from saslauthd_py.setup.undoing import undo
from tests.interop import exim as private_exim
from tests.interop.daemon import Site as DaemonSite
from tests.interop.daemon import listener, new_site
from tests.interop.exim import Exim
from tests.interop.setup_site import ALICE, PASSWORD, Kept

pytestmark = [pytest.mark.peer("exim", "openssl", "swaks"), pytest.mark.root]

_AUTHENTICATORS = "begin authenticators\n"
_ITS_OWN = "plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^me^my password\n"
"""For mail that it hands to another: Debian's configuration has such from the start."""


@dataclass(frozen=True, slots=True)
class Place:
    """The program is not where the system keeps it, so the command itself would not find it."""

    exim: Exim
    site: DaemonSite

    @property
    def conf(self) -> Path:
        return self.exim.directory / "conf" / "exim.conf"

    def plan(self) -> Plan:
        found = reader.read(str(self.conf), private_exim.PROGRAM)
        return exim.plan(self.ours(), Machine(distribution.here(), exim=found))

    def apply(self, plan: Plan, record: journal.Journal) -> tuple[Proved, ...]:
        ours = self.ours()
        account = throw_away(ours.path, ours.settings, plan.service, (plan.socket.path,), plan.realm)
        change = Change(plan.socket.ours, (*plan.socket.joins, *plan.theirs), plan.reload, ours.settings.control.path, account)
        return apply(change, Proof(plan.doors, partial(asking.verify, plan.asker, plan.socket.path)), record)

    def ours(self) -> Site:
        path = str(self.site.configuration)
        return Site(path, load(path), Path(path).read_text())


@pytest.fixture(scope="module")
def place(machine: Path) -> Iterator[Place]:
    with new_site(machine) as site:
        site.configure([listener(site.mux)])
        site.add(ALICE, PASSWORD)
        with private_exim.running(site.directory / "exim", site.directory / "elsewhere") as running, site.serving():
            yield Place(running, site)


def test_authenticators_of_others_are_not_overruled(place: Place) -> None:
    with pytest.raises(Refused, match=r"there are authenticators already: saslauthd_py_plain \(PLAIN\), saslauthd_py_login \(LOGIN\)"):
        place.plan()


def test_without_the_driver_it_is_refused_with_what_to_install(place: Place) -> None:
    light = replace(reader.read(str(place.conf), private_exim.PROGRAM), drivers=frozenset({"plaintext"}))
    with pytest.raises(
        Refused, match=r"no driver dovecot \(exim -bV: plaintext\): install one that has, such as Debian's exim4-daemon-heavy"
    ):
        exim.plan(place.ours(), Machine(distribution.here(), exim=light))


def test_it_is_applied_proved_and_undone_without_a_trace(place: Place) -> None:
    before, begin, _ = place.conf.read_text().partition(_AUTHENTICATORS)
    place.conf.write_text(before + begin + _ITS_OWN)
    kept = Kept(place.site.directory / "kept", [place.conf, place.site.configuration])
    plan = place.plan()
    assert kept.differences() == "", "planning changes nothing"
    with journal.opened(str(place.site.directory / "state"), "exim") as record:
        [proved] = place.apply(plan, record)
        assert proved.seconds > 0
        right, wrong = place.exim.login(ALICE, PASSWORD), place.exim.login(ALICE, "pw2", "LOGIN")
        assert (right.says("235 "), wrong.says("535 ")) == (True, True)
        assert place.plan().steps == (), "all is as it should be"
        undone = undo(record)
    assert (undone.left, undone.notes) == ((), ())
    assert kept.differences() == ""
