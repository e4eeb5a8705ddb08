"""From a server's URI to a connection that may be asked: reached, encrypted, and introduced where it is to search."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from saslauthd_py.backends.ldap import verdicts
from saslauthd_py.backends.ldap.connection import LAST, Connection, told
from saslauthd_py.backends.ldap.link import Link, LinkBroken
from saslauthd_py.backends.ldap.reaching import reach
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.config.settings.ldap_server import LdapServer
from saslauthd_py.wire.ldap import (
    START_TLS,
    AnonymousBind,
    BindRequest,
    ExternalBind,
    Fault,
    Request,
    Result,
    ResultCode,
    Stream,
    encode,
)

_MAY_PASS = frozenset({ResultCode.OPERATIONS_ERROR, ResultCode.BUSY, ResultCode.UNAVAILABLE, ResultCode.OTHER})
"""What a server says of a bind that it may take a moment later, when it has started."""


class Refused(LinkBroken):
    """The server answers, and does not take the service's bind: as long as nobody mends that, each try is one more wrong password."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How all connections of a backend are opened. `service`: as whom its searches are made. `context` None: none has TLS."""

    context: ssl.SSLContext | None
    start_tls: bool
    service: Request = field(repr=False)

    @classmethod
    def of(cls, settings: LdapSettings) -> Manner:
        """As the settings say. Reads the certificates; OSError for those that cannot be: its text is one line, with the file."""
        return cls(_context(settings) if settings.tls else None, settings.start_tls, _service(settings))


async def open_connection(server: LdapServer, manner: Manner, *, for_searches: bool) -> Connection:
    """A connection, not yet served. For searches it is bound as the service, so the server has answered there.

    Raises LinkBroken, Refused. Cancelled, it leaves nothing open.
    """
    link = await reach(server)
    try:
        return await _introduced(link, server, manner, for_searches=for_searches)
    except BaseException:
        link.close()
        raise


async def _introduced(link: Link, server: LdapServer, manner: Manner, *, for_searches: bool) -> Connection:
    stream, number = Stream(), 0
    if manner.start_tls:
        number += 1
        result = await _asked(link, stream, number, START_TLS)
        if result.code != ResultCode.SUCCESS:
            raise LinkBroken(f"refuses StartTLS: {told(result)}")
        if stream.pending:
            raise LinkBroken("sent bytes in clear behind its answer to StartTLS: somebody may stand between")
    if manner.context is not None and (manner.start_tls or server.scheme == "ldaps"):
        await link.begin_tls(manner.context, server.host)
    if for_searches:
        number += 1
        result = await _asked(link, stream, number, manner.service)
        if result.code != ResultCode.SUCCESS and not isinstance(manner.service, AnonymousBind):  # nobody is not let in: no matter yet
            raise _refused(result)
    return Connection(link, stream, number)


def _refused(result: Result) -> LinkBroken:
    words = result.diagnostic.decode(errors="replace")
    passes = result.code in _MAY_PASS or verdicts.refuses_nobody(result.code, words)
    said = "; ".join(filter(None, (told(result), verdicts.meaning(result.code, words))))
    return (LinkBroken if passes else Refused)(f"refuses the service's own bind: {said}")


async def _asked(link: Link, stream: Stream, number: int, request: Request) -> Result:
    """The answer to the only request there is. Raises LinkBroken."""
    link.send(encode(number, request))
    await link.flush()
    while (message := stream.next_message()) is None:
        data = await link.receive()
        if not data:
            raise LinkBroken("ended the connection before it was introduced")
        stream.feed(data)
    if isinstance(message, Fault):
        raise LinkBroken(message.text)
    answer = message.answer
    if message.number == 0 and isinstance(answer, Result):
        raise LinkBroken(f"ended the connection: {told(answer)}")
    if message.number != number or not isinstance(answer, LAST[type(request)]):
        raise LinkBroken("answers what it was not asked")
    return answer


def _context(settings: LdapSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # an ssl.SSLError too; neither has the file in its text
        why = "it holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise OSError(f"ca_file {settings.ca_file}: {why}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _service(settings: LdapSettings) -> Request:
    if settings.sasl_external:
        return ExternalBind(b"")
    if settings.bind_dn is None or settings.password is None:
        return AnonymousBind()
    return BindRequest(settings.bind_dn.encode(), settings.password)
