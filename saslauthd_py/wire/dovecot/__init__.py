"""Dovecot's auth-client protocol, versions 1.0 to 1.2, as bytes: the server's side.

Followed: Dovecot 2.3, 2.4 and main (`src/auth/auth-client-connection.c`, `auth-request-handler.c`), and its clients Postfix
(`xsasl_dovecot_server.c`, announces 1.0), Exim (`auths/dovecot.c`, 1.0), chasquid, Prosody, Radicale (1.1) and doveadm.

A line ends in LF, TAB parts its fields. Both sides begin with a handshake (`hello`; VERSION and CPID), then the client asks with AUTH
and CONT, and gets CONT, OK or FAIL with the number that it gave its request, in whatever order the answers come.
"""

from saslauthd_py.wire.dovecot.connection import Connection, OutOfTurn
from saslauthd_py.wire.dovecot.events import Auth, Cancel, Completed, Event, Hello, MailClient, Refused, Request, Response, Violation
from saslauthd_py.wire.dovecot.handshake import FLAGS, MAX_HELLO, MAX_MINOR, PLAINTEXT, hello
from saslauthd_py.wire.dovecot.lines import MAX_BUFFERED, MAX_HELD, MAX_LINE, MAX_REPLY, MAX_REQUESTS, ok, span, unescape
from saslauthd_py.wire.dovecot.replies import REJECTED, UNAVAILABLE, Code, Failure

__all__ = [
    "FLAGS",
    "MAX_BUFFERED",
    "MAX_HELD",
    "MAX_HELLO",
    "MAX_LINE",
    "MAX_MINOR",
    "MAX_REPLY",
    "MAX_REQUESTS",
    "PLAINTEXT",
    "REJECTED",
    "UNAVAILABLE",
    "Auth",
    "Cancel",
    "Code",
    "Completed",
    "Connection",
    "Event",
    "Failure",
    "Hello",
    "MailClient",
    "OutOfTurn",
    "Refused",
    "Request",
    "Response",
    "Violation",
    "hello",
    "ok",
    "span",
    "unescape",
]
