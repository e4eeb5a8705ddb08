"""Called as `sasldblistusers2`: a line for each user, `NAME@REALM: userPassword`, of our store or, property by property, of a sasldb2."""

from __future__ import annotations

import getopt
from collections.abc import Iterator, Sequence

from saslauthd_py import __version__, sasldb
from saslauthd_py.cli.called import database
from saslauthd_py.cli.called.database import Original
from saslauthd_py.cli.called.options import as_getopt
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, line_of
from saslauthd_py.cli.render import printable
from saslauthd_py.cli.user import place
from saslauthd_py.cli.user.place import Place
from saslauthd_py.credential import Kind
from saslauthd_py.sasldb import SasldbError
from saslauthd_py.store.errors import StoreError

NAME = "sasldblistusers2"

_WRONG = 1

_USAGE = f"""
saslauthd-py {__version__}

{NAME}: usage: {NAME} [-v] [[-f] sasldb]
\t-f sasldb\tlist this file: a store or a sasldb2
\t-v\tprint the version and exit
"""

_UNKNOWN = "Unrecognized command line option\n"


def run(arguments: Sequence[str], environment: Environment) -> int:
    """0 also where nothing could be listed, as the original's: standard error says why. 1 for a wrong command line or configuration."""
    try:
        options, operands = getopt.gnu_getopt(list(arguments), "vf:h?")
    except getopt.GetoptError as error:
        environment.stderr.write(f"{NAME}: {as_getopt(error)}\n{_USAGE}{_UNKNOWN}")
        return _WRONG
    if ("-v", "") in options:
        environment.stderr.write(f"saslauthd-py {__version__}\n")
        return 0
    files = [value for option, value in options if option == "-f"]
    if not options and len(operands) == 1:
        files, operands = operands, []
    if operands or {"-h", "-?"} & {option for option, _ in options}:
        environment.stderr.write(_USAGE if ("-?", "") not in options else f"{_USAGE}{_UNKNOWN}")
        return _WRONG
    try:
        found = database.find(files[-1] if files else None, environment)
        for line in _of_original(found) if isinstance(found, Original) else _of_store(found):
            environment.stdout.write(f"{printable(line)}\n")
    except BrokenPipeError:
        return 0
    except (CommandFailed, SasldbError, StoreError, OSError) as error:
        environment.stderr.write(f"{NAME}: {printable(line_of(error))}\nlistusers failed\n")
    return 0


def _of_original(found: Original) -> Iterator[str]:
    for entry in sasldb.entries(found.path):
        yield f"{_shown(entry.authid)}@{_shown(entry.realm)}: {entry.property}"


def _of_store(found: Place) -> Iterator[str]:
    with place.opened(found) as store:
        for account in store.accounts():
            if any(credential.kind is Kind.MAIN for credential in account.credentials):
                yield f"{account.identity.local}@{account.identity.realm}: {sasldb.PASSWORD}"


def _shown(part: bytes) -> str:
    return part.decode(errors="backslashreplace")
