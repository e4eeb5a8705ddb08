"""Called as `testsaslauthd`: one login, or several, sent to a saslauthd socket unsplit.

The password may come by standard input: on the command line, every user of the machine can read it.
"""

from __future__ import annotations

import getopt
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from saslauthd_py.cli.called.options import as_getopt
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.prompt import ask_secret
from saslauthd_py.cli.secret_input import MAX_SECRET
from saslauthd_py.cli.socket_client import name_bytes
from saslauthd_py.config.legacy.saslauthd_lines import number
from saslauthd_py.secret import Secret
from saslauthd_py.wire import saslauthd
from saslauthd_py.wire.saslauthd import Request

MUX = "/var/run/saslauthd/mux"
"""Where Debian's build asks; on other systems it is the same socket, by /var/run's link to /run."""

REJECTED = 255
WRONG = 1

_MOST_READ = 1023
"""Bytes of a reply that libsasl reads; a longer one has fewer for it than it was told."""

_USAGE = """\
testsaslauthd: usage: testsaslauthd -u username [-p password]
              [-r realm] [-s servicename] [-a clientaddress]
              [-f socket path] [-R repeatnum]
without -p the password is asked for, or one line of standard input
"""


class _Broken(Exception):
    """No answer. What the original says of it."""


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    path: str
    times: int


def run(arguments: Sequence[str], environment: Environment) -> int:
    """0: OK; 255: NO, or no answer; of several tries the last one counts. 1: wrong command line."""
    try:
        given = dict(getopt.gnu_getopt(list(arguments), "u:p:r:s:f:R:a:")[0])
    except getopt.GetoptError as error:
        environment.stderr.write(f"testsaslauthd: {as_getopt(error)}\n{_USAGE}")
        return WRONG
    if "-u" not in given:
        environment.stderr.write(_USAGE)
        return WRONG
    asked = _Asked(_request(given, environment), given.get("-f", MUX), _times(given.get("-R", "1")))
    code = 0
    for turn in range(asked.times):
        code = _try(asked, turn, environment)
    return code


def _request(given: dict[str, str], environment: Environment) -> Request:
    secret = Secret(name_bytes(given["-p"])) if "-p" in given else _secret(environment)
    texts = (given["-u"], given.get("-s", "imap"), given.get("-r", ""), given.get("-a", ""))
    login, service, realm, client = map(name_bytes, texts)
    return Request(login, secret, service, realm, client)


def _secret(environment: Environment) -> Secret:
    """The original knows -p alone, which every user of the machine can read."""
    if environment.stdin.isatty():
        return Secret(ask_secret(environment.tty, "Password: ", "-p"))
    return Secret(environment.stdin.readline(MAX_SECRET + 1).removesuffix(b"\n"))


def _times(text: str) -> int:
    """As atoi(3), but that 0, and what is no number, is one time."""
    return number(text.strip()) or 1


def _try(asked: _Asked, number: int, environment: Environment) -> int:
    environment.stdout.write(f"{number}: ")
    environment.stdout.flush()
    try:
        accepted = _ask(asked)
    except _Broken as broken:
        environment.stderr.write(f"{broken}\n")
        environment.stderr.flush()
        return REJECTED
    environment.stdout.write('OK "Success."\n' if accepted else 'NO "authentication failed"\n')
    environment.stdout.flush()
    return 0 if accepted else REJECTED


def _ask(asked: _Asked) -> bool:
    """As `lib/checkpw.c` does: the first two bytes of the reply decide. Raises _Broken."""
    try:
        encoded = saslauthd.encode(asked.request)
    except OverflowError:
        raise _Broken("a field over 65535 bytes: the protocol cannot carry it") from None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(asked.path)
        except OSError as error:
            raise _Broken(f"connect() : {os.strerror(error.errno) if error.errno else error}") from None
        try:
            connection.sendall(encoded)
        except OSError:
            raise _Broken("write failed") from None
        size = _received(connection, 2, "size read failed")
        count = int.from_bytes(size, "big")
        if count < len(saslauthd.OK) - len(size):
            raise _Broken("bad response from saslauthd")
        return _received(connection, min(count, _MOST_READ), "read failed").startswith(saslauthd.OK[2:])


def _received(connection: socket.socket, size: int, complaint: str) -> bytes:
    data = b""
    while len(data) < size:
        try:
            piece = connection.recv(size - len(data))
        except OSError:
            raise _Broken(complaint) from None
        if not piece:
            raise _Broken(complaint)
        data += piece
    return data
