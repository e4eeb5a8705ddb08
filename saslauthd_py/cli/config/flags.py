"""The flags of `config ...`."""

from __future__ import annotations

import argparse
import re

from saslauthd_py.cli.exits import Exit
from saslauthd_py.cli.syntax import CONFIGURED, Parser, Words, takes_config, takes_json

_NO_FILE = {Exit.NO_FILE: "no such configuration"}

_CONFIG = Words(summary="look at the configuration", description="Checks, shows and describes the configuration; changes nothing.")
_CHECK = Words(
    summary="every problem of the configuration at once",
    description="Prints every problem with file, line, key and, where a key is unknown, the nearest one; else that the file is ok. With "
    "--online it then tries each server of each ldap, imap and http_form backend: its name, connection, TLS and certificate; of a "
    "directory the service's bind, base, filter, stored passwords and group too. Nobody's login is tried; each step is one line: pass, "
    "skip, warn or fail, and what to do.",
    exits={Exit.DONE: "no problem (warnings count as none)", Exit.UNAVAILABLE: "--online: a server cannot be reached, and no more is wrong"}
    | CONFIGURED
    | _NO_FILE,
    examples=(
        ("saslauthd-py config check --config new.toml", "before it is put in place"),
        ("saslauthd-py config check --online", "do the directories do what the configuration says?"),
    ),
)
_CONVERT = Words(
    summary="another program's configuration, written as this one's",
    description="Prints what starts the original saslauthd as one configuration of this program: each FILE is Debian's "
    "/etc/default/saslauthd... or Red Hat's /etc/sysconfig/saslauthd, and without one all of these are read. They are read, never run. "
    "With --saslauthd-conf and no FILE it is the sections for that file alone. What the original was silent about, and what is not the "
    "same here, is said in comments. A password is not printed: a comment says how it gets into a file of its own.",
    exits={
        Exit.DONE: "printed",
        Exit.BAD_INPUT: "the original could not start by that file, or refused every login for it, or it asks for what is not there; "
        "printed all the same where a comment says what keeps it from being used",
        Exit.NO_FILE: "no such file",
        Exit.DENIED: "the file may not be read",
    },
    examples=(
        ("saslauthd-py config convert", "all that starts saslauthd on this machine"),
        ("saslauthd-py config convert --saslauthd-conf /etc/saslauthd.conf", "what saslauthd -a ldap reads"),
    ),
)
_SHOW = Words(
    summary="what differs from the defaults",
    description="Prints as TOML only what the configuration changes, with secrets masked.",
    exits={Exit.DONE: "shown"} | CONFIGURED | _NO_FILE,
    examples=(("saslauthd-py config show --json", "for programs"),),
)
_SCHEMA = Words(
    summary="the JSON Schema of the configuration",
    description="Prints the JSON Schema of the configuration, for editors that complete and check TOML.",
    exits={Exit.DONE: "printed"},
    examples=(("saslauthd-py config schema > saslauthd-py.schema.json", "for an editor"),),
)


def add_config(program: Parser) -> None:
    """Everything below `config`."""
    config = program.command("config", _CONFIG)
    check, show = config.command("check", _CHECK), config.command("show", _SHOW)
    check.add_argument("--online", action="store_true", help="try the servers of ldap, imap and http_form too")
    for command in (check, show):
        takes_config(command)
        takes_json(command)
    _add_convert(config.command("convert", _CONVERT))
    config.command("schema", _SCHEMA)


def _add_convert(convert: Parser) -> None:
    convert.add_argument("file", metavar="FILE", nargs="*", help="what starts saslauthd")
    convert.add_argument("--saslauthd-conf", metavar="FILE", help="the file of saslauthd -a ldap; with others: it is there, not in /etc")
    convert.add_argument("--backend", metavar="NAME", type=_backend, help="--saslauthd-conf alone: how it is called here (default: ldap)")
    convert.add_argument(
        "--whole-logins",
        action="store_true",
        help="logins came to the original with their realm in them: it ran with -r, or its client does not split them (Exim)",
    )
    takes_json(convert)


def _backend(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise argparse.ArgumentTypeError("a name of letters, digits, - and _, 64 at most")
    return name
