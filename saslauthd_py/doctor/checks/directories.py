"""8: the servers that backends ask over the network, LDAP's first of all: name, TLS and certificate, bind, base and filters.

They are asked as `config check --online` asks them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from saslauthd_py.config.settings import (
    AnyBackend,
    GetpwentSettings,
    PamSettings,
    PasswdFileSettings,
    SasldbSettings,
    ShadowSettings,
    StoreSettings,
)
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Outcome, Said, passed, skipped

if TYPE_CHECKING:
    from saslauthd_py.app.online import Finding

_LOCAL = (StoreSettings, PasswdFileSettings, SasldbSettings, PamSettings, ShadowSettings, GetpwentSettings)


def find(case: Case) -> Iterator[Said]:
    """One line for each step that did not go well; each comes as it is found, so that a server that hangs hides none before it."""
    if case.settings is None:
        yield skipped("the configuration cannot be used", case.command("config check"))
        return
    names = [name for name, backend in case.settings.backend.items() if _is_remote(backend)]
    if not names:
        yield passed("no backend asks a server")
        return
    from saslauthd_py.app import online  # ldap3 and others: not for a site without a directory

    steps = faults = 0
    for finding in online.tried(case.settings):
        steps += 1
        if finding.said.outcome in (online.Outcome.FAIL, online.Outcome.WARN):
            faults += 1
            yield _said(case, finding)
    if not faults:
        yield passed(f"backends {', '.join(names)}: {steps} steps, each as a login needs it")


def _is_remote(backend: AnyBackend) -> bool:
    return not isinstance(backend, _LOCAL)


def _said(case: Case, finding: Finding) -> Said:
    """Its text is a cause, a colon, and mostly what to do."""
    place = " ".join(filter(None, (f"backend {finding.backend}", finding.server)))
    cause, _, mend = finding.said.text.partition(": ")
    again = case.command("config check --online")
    return Said(Outcome(finding.said.outcome.value), f"{place}: {finding.said.step}: {cause}", f"{mend}; then {again}" if mend else again)
