"""What a client said, as values. Messages are Secret: a PLAIN message is a password, a LOGIN response may be one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from saslauthd_py.secret import Secret


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One AUTH, until its final reply. Two with the same `number` are not equal: a number comes again once its request is over.

    `final_resp_ok`: its client takes a mechanism's last message with OK, and not only before it.
    """

    number: int
    final_resp_ok: bool = False


@dataclass(frozen=True, slots=True)
class MailClient:
    """What an AUTH says of the mail client behind its sender: to be believed as far as the listener is trusted (rule D10).

    `secured`: it came over TLS, or from the same host. `certified`: its certificate was verified, and names `certificate_user`.
    """

    address: IPv4Address | IPv6Address | None = None
    secured: bool = False
    certified: bool = False
    certificate_user: bytes = b""
    session: bytes = b""


@dataclass(frozen=True, slots=True)
class Hello:
    """The client's handshake is over: its minor version of 1, and its pid as it gave it (any text is taken)."""

    minor: int
    pid: bytes


@dataclass(frozen=True, slots=True)
class Auth:
    """An exchange begins, in one of the connection's mechanisms (upper case). `initial`: None without an initial response.

    `span`: the line's bytes behind its number, as the function `span` finds them. The request waits for our answer.
    """

    request: Request
    mechanism: str
    service: bytes
    initial: Secret | None
    client: MailClient
    span: Secret


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to our challenge. The request waits for ours."""

    request: Request
    message: Secret


@dataclass(frozen=True, slots=True)
class Cancel:
    """The client gave the request up. It is over, without a reply."""

    request: Request


@dataclass(frozen=True, slots=True)
class Refused:
    """The connection has answered FAIL by itself, `reply` is to be sent. `request` is over; None: it never began, or was over before."""

    number: int
    reason: str
    reply: bytes
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """The client has taken the mechanism's last message: `reply`, the OK that was given for the request, is to be sent. It is over."""

    request: Request
    reply: bytes


class Violation(Enum):
    """The peer does not speak this protocol: the connection is over, and to be closed. The value is its one line for the log."""

    NO_VERSION = "the first line is not VERSION"
    BAD_VERSION = "VERSION without two numbers"
    OTHER_MAJOR = "a major version other than 1"
    SECOND_VERSION = "a second VERSION"
    NO_CPID = "a command before CPID"
    EMPTY_CPID = "CPID without a process id"
    MASTER = "a command for Dovecot's master or userdb socket; this one only authenticates, its client needs another path"
    UNKNOWN_COMMAND = "a command that is none of AUTH, CONT, CANCEL"
    LINE_TOO_LONG = "a line of more than 16384 bytes"
    EMPTY_LINE = "an empty line"
    NUL = "NUL in a line"
    BAD_ID = "a request's number that is missing, 0, or not decimal in 32 bits"
    DUPLICATE_ID = "AUTH with the number of a request that is not answered yet"
    NO_MECHANISM = "AUTH without a mechanism"
    NO_SERVICE = "AUTH without service="
    AFTER_RESP = "AUTH with a parameter after resp="
    NO_MESSAGE = "CONT without its message"


Event = Hello | Auth | Response | Cancel | Refused | Completed | Violation
