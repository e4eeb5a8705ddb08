"""Servers of IMAP and HTTP: name, connection, certificate, and whether a login could be sent there."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import trio

from saslauthd_py.app.online.findings import Outcome, Said, failed, passed, unreachable, warned
from saslauthd_py.app.remotes import RemoteSettings
from saslauthd_py.config.settings import HttpFormSettings, ImapSettings
from saslauthd_py.config.settings.host import HostPort
from saslauthd_py.config.settings.imap_server import ImapServer
from saslauthd_py.remote.failing import Failed, why

if TYPE_CHECKING:
    from saslauthd_py.app.remotes import Approach

_SOON = 14
"""Days before its end from which a certificate is warned of."""

_DAY = 86400
_MISPLACED = frozenset({404, 410})


def answering(settings: RemoteSettings, approach: Approach) -> Iterator[tuple[str, Said]]:
    """What is found of each server of a backend, after its URI."""
    if isinstance(settings, ImapSettings):
        for server in settings.servers:
            for said in _mail_server(server, settings, approach):
                yield str(server), said
    else:
        for said in _page(settings, approach):
            yield settings.url, said


def _mail_server(server: ImapServer, settings: ImapSettings, approach: Approach) -> Iterator[Said]:
    from saslauthd_py.backends.imap.connection import Connection, Manner

    assert isinstance(approach, Manner)  # noqa: S101 - made of these settings

    async def introduced() -> tuple[Mapping[str, Any] | None, str]:
        with trio.fail_after(settings.timeout):
            connection = await Connection.open(server, approach)
            try:
                tls = connection.transport if isinstance(connection.transport, trio.SSLStream) else None
                return tls and tls.getpeercert(), connection.method
            finally:
                await connection.leave(settings.timeout / 2)

    reached = _reached(server.place, approach.context if server.scheme == "imaps" else None, settings.timeout)
    if (yield from _all_well(reached)):
        try:
            certificate, method = trio.run(introduced)
        except trio.TooSlowError:
            yield unreachable("greeting", f"no answer within {settings.timeout:g} s, or not of IMAP: imaps:// is for the port that has TLS")
        except Failed as error:
            yield failed("login", str(error))
        else:
            if settings.start_tls:
                yield _certificate(certificate, server.place.host)
            yield passed("login", f"{method} is offered; `saslauthd-py test NAME --trace` tries it")


def _page(settings: HttpFormSettings, approach: Approach) -> Iterator[Said]:
    from saslauthd_py.backends.http_form.page import Manner, Page, named

    assert isinstance(approach, Manner)  # noqa: S101 - made of these settings

    if (yield from _all_well(_reached(settings.place, approach.context if settings.tls else None, settings.timeout))):
        try:
            status = trio.run(Page(settings, approach).probe)
        except Failed as error:
            yield (unreachable if error.silent else failed)("answer", f"HEAD: {error}")
        else:
            if status in _MISPLACED:
                yield warned("answer", f"HEAD: {named(status)}: is the page there? `saslauthd-py test NAME --trace` tries a login")
            else:
                yield passed("answer", f"HEAD: {named(status)}, so somebody answers; `saslauthd-py test NAME --trace` tries a login")


def _all_well(found: Iterator[Said]) -> Generator[Said, None, bool]:
    """What was found; the end is whether none of it is a failure."""
    well = True
    for said in found:
        well &= said.outcome is not Outcome.FAIL
        yield said
    return well


def _reached(place: HostPort, context: ssl.SSLContext | None, timeout: float) -> Iterator[Said]:
    """The way there, TLS too where there is a context."""
    try:
        connection = socket.create_connection(place, timeout)
    except socket.gaierror as error:
        again = error.errno == socket.EAI_AGAIN
        yield unreachable("name", f"{place.host}: no name server answers") if again else failed("name", f"{place.host} has no address")
        return
    except TimeoutError:
        yield unreachable("connect", f"no answer within {timeout:g} s: is it the right address, and does a firewall let it through?")
        return
    except OSError as error:
        yield unreachable("connect", f"{why(error)}: does the server run, and listen there?")
        return
    with connection:
        yield passed("connect", f"port {place.port} answers")
        if context is not None:
            yield from _encrypted(connection, context, place.host)


def _encrypted(connection: socket.socket, context: ssl.SSLContext, host: str) -> Iterator[Said]:
    try:
        with context.wrap_socket(connection, server_hostname=host) as tls:
            yield passed("tls", f"{tls.version()}, {(tls.cipher() or ('?',))[0]}")
            yield _certificate(tls.getpeercert(), host)
    except TimeoutError:
        yield unreachable("tls", "no answer to the TLS handshake")
    except ssl.SSLCertVerificationError as error:
        advice = "name its CA's certificate in ca_file, or have a certificate made for this name"
        yield failed("certificate", f"it is not to be trusted ({error.verify_message}): {advice}")
    except ssl.SSLError as error:
        yield failed("tls", f"no TLS can be begun there ({error.reason or 'it ends the connection'})")
    except OSError as error:
        yield unreachable("tls", f"it ends the connection in the TLS handshake ({why(error)}): has the server a certificate?")


def _certificate(shown: Mapping[str, Any] | None, host: str) -> Said:
    if not shown:
        return warned("certificate", "it is not looked at: verify is false, so whoever stands between reads every password")
    end = ssl.cert_time_to_seconds(shown["notAfter"])
    days = int((end - time.time()) // _DAY)
    until = time.strftime("%Y-%m-%d", time.gmtime(end))
    if days < _SOON:
        return warned("certificate", f"for {host}, ends on {until}, in {days} days: the server needs a new one, or every login will fail")
    return passed("certificate", f"for {host}, until {until}")
