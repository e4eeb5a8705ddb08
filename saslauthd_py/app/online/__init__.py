"""`config check --online`: what a login would need of other machines, tried one after the other and without a login; directories by ldap3.

It blocks, one step at a time, each within the backend's `timeout`. No password of anybody is asked for, and none is shown.
"""

from __future__ import annotations

from collections.abc import Iterator

from saslauthd_py.app import kerberos, remotes
from saslauthd_py.app.directories import Unusable, prepared
from saslauthd_py.app.online.answering import answering
from saslauthd_py.app.online.asking import asked
from saslauthd_py.app.online.daemons import connected
from saslauthd_py.app.online.findings import Finding, Outcome, Said, failed
from saslauthd_py.app.online.proving import proved
from saslauthd_py.app.online.reaching import reached
from saslauthd_py.backends.ldap.opening import Manner
from saslauthd_py.config.settings import KerberosSettings, LdapSettings, SaslauthdSettings, Settings
from saslauthd_py.config.settings.ldap_server import LdapServer

__all__ = ["Finding", "Outcome", "tried"]


def tried(settings: Settings) -> Iterator[Finding]:
    """Each backend's servers, in their order; what was found comes as it is found."""
    for name, backend in settings.backend.items():
        if isinstance(backend, LdapSettings):
            yield from _backend(name, backend)
        elif isinstance(backend, remotes.RemoteSettings):
            yield from _remote(name, backend)
        elif isinstance(backend, KerberosSettings):
            yield from _kerberos(name, backend)
        elif isinstance(backend, SaslauthdSettings):
            yield from (Finding(name, "", said) for said in connected(backend))


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


def _remote(name: str, settings: remotes.RemoteSettings) -> Iterator[Finding]:
    try:
        approach = remotes.prepared(settings)
    except Unusable as error:
        for key, text in error.complaints:
            yield Finding(name, "", failed(key, text))
        return
    for server, said in answering(settings, approach):
        yield Finding(name, server, said)


def _kerberos(name: str, settings: KerberosSettings) -> Iterator[Finding]:
    try:
        proving = kerberos.prepared(settings)
    except Unusable as error:
        for key, text in error.complaints:
            yield Finding(name, "", failed(key, text))
        return
    yield from (Finding(name, "", said) for said in proved(settings, proving))


def _server(server: LdapServer, settings: LdapSettings, manner: Manner) -> Iterator[Said]:
    connection = yield from reached(server, settings, manner)
    if connection is not None:
        try:
            yield from asked(connection, settings)
        finally:
            connection.strategy.close()
