"""`config check --online`: what a login would need of the directories, tried one after the other, by ldap3 and without a login.

It blocks, one step at a time, each within the backend's `timeout`. No password of anybody is asked for, and none is shown.
"""

from __future__ import annotations

from collections.abc import Iterator

from saslauthd_py.app.directories import Unusable, prepared
from saslauthd_py.app.online.asking import asked
from saslauthd_py.app.online.findings import Finding, Outcome, Said, failed
from saslauthd_py.app.online.reaching import reached
from saslauthd_py.backends.ldap.opening import Manner
from saslauthd_py.config.settings import LdapSettings, Settings
from saslauthd_py.config.settings.ldap_server import LdapServer

__all__ = ["Finding", "Outcome", "tried"]


def tried(settings: Settings) -> Iterator[Finding]:
    """Each LDAP backend's servers, in their order; what was found comes as it is found."""
    for name, backend in settings.backend.items():
        if isinstance(backend, LdapSettings):
            yield from _backend(name, backend)


def _backend(name: str, settings: LdapSettings) -> Iterator[Finding]:
    try:
        manner = prepared(settings)
    except Unusable as error:
        for key, text in error.complaints:
            yield Finding(name, "", failed(key, text))
        return
    for server in settings.servers:
        for said in _server(server, settings, manner):
            yield Finding(name, str(server), said)


def _server(server: LdapServer, settings: LdapSettings, manner: Manner) -> Iterator[Said]:
    connection = yield from reached(server, settings, manner)
    if connection is not None:
        try:
            yield from asked(connection, settings)
        finally:
            connection.strategy.close()
