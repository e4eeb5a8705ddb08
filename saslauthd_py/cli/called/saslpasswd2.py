"""Called as `saslpasswd2`: sets or removes a user's password in our store; a sasldb2 is not written.

As with the original -c is not needed to make a user, and -d is content where there is none. Unlike there, a password is stored hashed,
whether -n is said or not, and never cut. A userid is split at its last @, as logins are; without one, and without -u, its realm is
[identity] default_realm: the one that a login of that name has. (The original took the host's name.)
"""

from __future__ import annotations

import getopt
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from typing import BinaryIO, cast

from saslauthd_py import __version__, identity, passwords
from saslauthd_py.cli.called import database
from saslauthd_py.cli.called.database import Original
from saslauthd_py.cli.called.options import as_getopt
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.prompt import ask_secret
from saslauthd_py.cli.render import printable
from saslauthd_py.cli.secret_input import MAX_SECRET
from saslauthd_py.cli.user import new_secret, place
from saslauthd_py.cli.user.place import Place
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.passwords import SecretTooLong
from saslauthd_py.secret import Secret
from saslauthd_py.store.errors import NoSuchUser

NAME = "saslpasswd2"

_FAIL = 1
_BADPARAM = 7
"""Exit codes: sasl.h's numbers without their sign."""

_USAGE = f"""
saslauthd-py {__version__}

{NAME}: usage: {NAME} [-v] [-c [-p] [-n]] [-d] [-a appname] [-f sasldb] [-u DOM] userid
\t-p\tpipe mode: no prompt, the password comes on stdin
\t-c\tmake the user, or set the password of one that is there
\t-d\tremove the user
\t-n\tno clear text, which is never stored here: changes nothing
\t-f sasldb\tuse this file: a store of saslauthd-py, which is made if need be
\t-a appname\tmeans nothing here
\t-u DOM\tthe realm of a userid without @
\t-v\tprint the version and exit
"""


class _BadParameter(Exception):
    """What the original calls an invalid parameter; the text, where there is one, says more."""


@dataclass(frozen=True, slots=True)
class _Asked:
    userid: str
    realm: str = ""
    file: str | None = None
    remove: bool = False
    piped: bool = False


def run(arguments: Sequence[str], environment: Environment) -> int:
    """0; 1: wrong command line, or it cannot be done; 7: no password, two that differ, or a name or password that cannot be.

    Silent where it is done. As root it becomes the owner of the store's directory first (rule A7).
    """
    try:
        options, operands = getopt.gnu_getopt(list(arguments), "vpcdnf:u:a:h?")
    except getopt.GetoptError as error:
        return _wrong(environment, f"{NAME}: {as_getopt(error)}\n{_USAGE}")
    given = dict(options)
    if "/" in given.get("-a", ""):
        return _wrong(environment, "appname must not contain /\n")
    if "-v" in given:
        environment.stderr.write(f"saslauthd-py {__version__}\n")
        return 0
    if len(operands) != 1 or {"-c", "-d"} <= given.keys() or {"-h", "-?"} & given.keys():
        return _wrong(environment, _USAGE)
    asked = _Asked(operands[0], given.get("-u", ""), given.get("-f"), "-d" in given, "-p" in given)
    try:
        return _do(asked, environment)
    except (_BadParameter, InvalidIdentity, SecretTooLong) as error:
        detail = f": {printable(str(error))}" if str(error) else ""
        environment.stderr.write(f"{NAME}: invalid parameter supplied{detail}\n")
        return _BADPARAM


def _wrong(environment: Environment, text: str) -> int:
    environment.stderr.write(text)
    return _FAIL


def _do(asked: _Asked, environment: Environment) -> int:
    at = database.find(asked.file, environment)
    if isinstance(at, Original):
        raise CommandFailed(
            Exit.DENIED,
            f"{at.path}: a sasldb2 ({at.kind}), which is only read here, so no password in it can be set or removed: do that with the "
            f"original's {NAME}, or take its users over into a store: saslauthd-py import sasldb {at.path}",
        )
    name = _identity(asked, at)
    if asked.remove:
        _remove(at, name)
        return 0
    secret = _secret(asked, environment)
    if secret is None:
        environment.stderr.write(f"{NAME}: passwords don't match; aborting\n")
        return _BADPARAM
    for warning in _set(at, name, secret):
        environment.stderr.write(f"{NAME}: warning: {printable(warning)}\n")
    return 0


def _identity(asked: _Asked, at: Place) -> Identity:
    name = identity.split(asked.userid, default_realm=asked.realm or at.settings.identity.default_realm)
    identity.key(name)  # a realm may need tables that the owner of the store cannot read any more
    return name


def _remove(at: Place, name: Identity) -> None:
    with place.opened(at) as store:
        try:
            store.remove(name)
        except NoSuchUser:
            return


def _set(at: Place, name: Identity, secret: Secret) -> tuple[str, ...]:
    """What is to be said of it."""
    as_configured = Namespace(scheme=None, scram=None)
    passwords.preload()  # the owner of the store may not be able to read where a library lies
    with place.opened(at, create=True) as store:
        try:
            present = store.get(name)
        except NoSuchUser:
            account = store.add(name, new_secret.make(as_configured, at, store, name, secret))
        else:
            account = store.set_secret(name, new_secret.make(as_configured, at, store, present, secret))
        return new_secret.keyless(at, store, account, "password set")


def _secret(asked: _Asked, environment: Environment) -> Secret | None:
    """None: a person gave two that differ."""
    if asked.piped or not environment.stdin.isatty():
        return _judged(_piped(environment.stdin))
    first = Secret(ask_secret(environment.tty, "Password: ", "-p"))
    again = Secret(ask_secret(environment.tty, "Again (for verification): ", "-p"))
    return _judged(first.reveal()) if first == again else None


def _piped(stdin: BinaryIO) -> bytes:
    """Up to the end, or to a newline at the end of what came at once: the original reads once, and its callers keep the pipe open."""
    found = b""
    while not found.endswith(b"\n") and len(found) <= MAX_SECRET + 1:
        some = cast(BufferedIOBase, stdin).read1(MAX_SECRET + 2)
        if not some:
            break
        found += some
    return found.removesuffix(b"\n")


def _judged(password: bytes) -> Secret:
    if not password:
        raise _BadParameter
    if b"\0" in password:
        raise _BadParameter("a NUL in the password: no mail client could send it")
    if len(password) > MAX_SECRET:
        raise _BadParameter(f"a password over {MAX_SECRET} bytes: no mail client could send it")
    return Secret(password)
