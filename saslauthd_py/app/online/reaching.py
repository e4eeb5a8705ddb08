"""From a server's URI to a connection of ldap3's: name, address, TLS and certificate, as a login's connection checks them."""

from __future__ import annotations

import math
import os
import socket
import ssl
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote

from saslauthd_py.app.online.findings import Said, failed, passed, unreachable, warned
from saslauthd_py.backends.ldap.opening import Manner
from saslauthd_py.config.settings import LdapSettings
from saslauthd_py.config.settings.ldap_server import LdapServer
from saslauthd_py.wire.ldap import describe

with warnings.catch_warnings():  # ldap3 2.9.1 imports names that pyasn1 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core.exceptions import LDAPExceptionError

_SOON = 14
"""Days before its end from which a certificate is warned of."""

_DAY = 86400
_EXPIRED, _NOT_YET = 10, 9
_OTHER_NAME = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

_NO_ANSWER = (LDAPExceptionError, LookupError, TypeError, ValueError)
"""What ldap3 raises where no answer comes, or one that is no LDAP."""

Reached = Generator[Said, None, ldap3.Connection | None]
"""What was found on the way, and at its end the connection; None: there is none, and the last that was said is why."""


def reached(server: LdapServer, settings: LdapSettings, manner: Manner) -> Reached:
    """The way to a server, up to where it can be asked."""
    fault = yield from _answering(server, settings.timeout)
    if fault is not None:
        yield fault
        return None
    way = _Way(server, settings, manner.context)
    try:
        connection = way.open()
    except (*_NO_ANSWER, OSError):
        yield way.fault()
        return None
    if way.has_tls:
        yield passed("tls", f"{connection.socket.version()}, {connection.socket.cipher()[0]}")
        yield _certificate(connection.socket.getpeercert(), server, settings)
    return connection


def _answering(server: LdapServer, timeout: float) -> Generator[Said, None, Said | None]:
    """Whether anybody takes a connection there; else what keeps them."""
    if server.scheme == "ldapi":
        return (yield from _connected(lambda: _unix(server.path, timeout), f"the socket {server.path} is there", timeout))
    try:
        ip_address(server.host)
    except ValueError:
        try:
            found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                return unreachable("name", f"{server.host}: no name server answers")
            return failed("name", f"{server.host} has no address ({error.strerror}): correct servers, or the name in the DNS or /etc/hosts")
        yield passed("name", f"{server.host} is {', '.join(dict.fromkeys(str(address[0]) for *_, address in found))}")
    place = (server.host, server.port)
    return (yield from _connected(lambda: socket.create_connection(place, timeout), f"port {server.port} answers", timeout))


def _connected(connect: Callable[[], socket.socket], answers: str, timeout: float) -> Generator[Said, None, Said | None]:
    try:
        connect().close()
    except TimeoutError:
        return unreachable("connect", f"no answer within {timeout:g} s: is it the right address, and does a firewall let it through?")
    except PermissionError as error:
        return failed("connect", f"{_told(error)}: this process's user may not open the socket")
    except OSError as error:
        return unreachable("connect", f"{_told(error)}: does the server run, and listen there?")
    yield passed("connect", answers)
    return None


def _unix(path: str, timeout: float) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    try:
        client.settimeout(timeout)
        client.connect(path)
    except BaseException:
        client.close()
        raise
    return client


class _Way:
    """One way to a connection of ldap3's, by the TLS settings of logins."""

    def __init__(self, server: LdapServer, settings: LdapSettings, context: ssl.SSLContext | None) -> None:
        self.has_tls = server.scheme == "ldaps" or settings.start_tls
        self._server = server
        self._settings = settings
        self._tls = _Tls(context, server.host) if context is not None else None
        self._starting = settings.start_tls
        self._connection = self._made()

    def open(self) -> ldap3.Connection:
        """Connected, and encrypted where it is to be; not bound. Raises LDAPExceptionError or OSError, and `fault` says why."""
        try:
            self._connection.open(read_server_info=False)
            if self._starting:
                self._connection.start_tls(read_server_info=False)
        except BaseException:
            self._connection.strategy.close()
            raise
        return self._connection

    def fault(self) -> Said:
        """What is wrong, after `open` has raised."""
        met = self._tls.failure if self._tls is not None else None
        if isinstance(met, ssl.SSLCertVerificationError):
            return failed("certificate", self._refused(met))
        if isinstance(met, TimeoutError):
            return unreachable("tls", f"no answer to the TLS handshake within {self._settings.timeout:g} s")
        if isinstance(met, ssl.SSLError):
            what = "start_tls = true with ldap://, or no TLS at all" if self._server.scheme == "ldaps" else "a TLS of today"
            return failed("tls", f"no TLS can be begun there ({met.reason or 'it ends the connection'}): the server may want {what}")
        if met is not None:
            return unreachable("tls", f"it ends the connection in the TLS handshake ({_told(met)}): has the server a certificate?")
        result = self._connection.result
        if self._starting and isinstance(result, dict) and result.get("result"):
            told = f"{describe(result['result'])} {result['message']}".strip()
            return failed("tls", f"refuses StartTLS ({told}): set TLS up at the server, or use ldaps://")
        return unreachable("tls" if self._starting else "connect", f"no answer within {self._settings.timeout:g} s, or not of LDAP")

    def _made(self) -> ldap3.Connection:
        server, patience = self._server, math.ceil(self._settings.timeout)
        ipc = server.scheme == "ldapi"
        described = ldap3.Server(
            f"ldapi://{quote(server.path, safe='')}" if ipc else server.host,
            port=None if ipc else server.port,
            use_ssl=server.scheme == "ldaps",
            tls=self._tls,
            get_info=ldap3.NONE,
            connect_timeout=self._settings.timeout,
        )
        return ldap3.Connection(
            described,
            client_strategy=ldap3.SYNC,
            auto_referrals=False,
            check_names=False,
            read_only=True,
            receive_timeout=patience,
        )

    def _refused(self, met: ssl.SSLCertVerificationError) -> str:
        host = self._server.host
        if met.verify_code in _OTHER_NAME:
            return f"it is not for {host}{self._names()}: write a name that it is for into servers, or have one made for {host}"
        if met.verify_code == _EXPIRED:
            return "it has expired: the server needs a new one"
        if met.verify_code == _NOT_YET:
            return "it is not valid yet: compare the clocks of server and machine"
        known = self._settings.ca_file or "the system's certificates"
        return f"it does not come from {known} ({met.verify_message}): name its CA's certificate in ca_file"

    def _names(self) -> str:
        """Those that the certificate has, as another connection shows them; nothing where it does not."""
        context = ssl.create_default_context(cafile=self._settings.ca_file)
        context.check_hostname = False
        try:
            connection = _Way(self._server, self._settings, context).open()
        except (*_NO_ANSWER, OSError):
            return ""
        names = _alternatives(connection.socket.getpeercert())
        connection.strategy.close()
        return f", but for {names}" if names else ""


class _Tls(ldap3.Tls):
    """ldap3's hook for TLS, with a context of ours: host names are checked as in a login, and what was met is kept."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        super().__init__()
        self.failure: OSError | None = None
        self._context = context
        self._host = host

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:  # noqa: ARG002 - ldap3's signature
        try:
            connection.socket = self._context.wrap_socket(connection.socket, server_hostname=self._host)
        except OSError as error:
            self.failure = error
            raise


def _certificate(shown: Mapping[str, Any] | None, server: LdapServer, settings: LdapSettings) -> Said:
    if not settings.verify or not shown:
        return warned("certificate", "it is not looked at: verify is false, so whoever stands between reads every password")
    end = ssl.cert_time_to_seconds(shown["notAfter"])
    days = int((end - time.time()) // _DAY)
    until = time.strftime("%Y-%m-%d", time.gmtime(end))
    whose = f"of {_common_name(shown['subject']) or _alternatives(shown)}, from {_common_name(shown['issuer'])}, for {server.host}"
    if days < _SOON:
        return warned("certificate", f"{whose}, ends on {until}, in {days} days: the server needs a new one, or every login will fail")
    return passed("certificate", f"{whose}, until {until}")


def _common_name(name: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """The last of its parts where none is a common name."""
    parts = [part for names in name for part in names]
    return next((value for key, value in parts if key == "commonName"), parts[-1][1] if parts else "")


def _alternatives(shown: Mapping[str, Any] | None) -> str:
    return ", ".join(value for _, value in (shown or {}).get("subjectAltName", ()))


def _told(error: OSError) -> str:
    number = error.errno
    return os.strerror(number).lower() if number else str(error)
