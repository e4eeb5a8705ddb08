"""The flags of the commands that ask the running daemon over its control socket."""

from __future__ import annotations

from saslauthd_py.cli.exits import Exit
from saslauthd_py.cli.syntax import CONFIGURED, Parser, Words, takes_config, takes_json

ASKS_DAEMON = CONFIGURED | {
    Exit.NO_FILE: "no such configuration",
    Exit.NOT_RUNNING: "no daemon runs with this configuration",
    Exit.UNAVAILABLE: "the daemon did not answer, or its answer makes no sense",
    Exit.DENIED: "not permitted: the daemon answers root and its own user only",
}

_STATUS = Words(
    summary="how the running daemon is",
    description="Shows its listeners, its backends with what they did lately, the cache, what waits, its workers, and who is near a limit "
    "of failed logins. With --check one line and the exit codes of a Nagios plugin: critical where a backend's last three answers were "
    "outages, its data cannot be read, it has no worker left, or no daemon runs; warning where its last answer was an outage, more logins "
    "wait than there are places for them, or nine tenths of max_connections are open.",
    exits=ASKS_DAEMON
    | {
        Exit.DONE: "shown; --check: all is well",
        Exit.WARNING: "--check: look at it soon",
        Exit.CRITICAL: "--check: logins fail, or no daemon runs",
        Exit.UNKNOWN: "--check: the daemon cannot be asked",
    },
    examples=(
        ("saslauthd-py status", "for people"),
        ("saslauthd-py status --check", "for Nagios, Icinga and their kin"),
        ("saslauthd-py status --json", "for programs"),
    ),
)
_RELOAD = Words(
    summary="serve with the configuration as it is now",
    description="Has the daemon read its configuration anew, as SIGHUP does, and returns when that serves. No login is lost: those "
    "that have begun end with the configuration they began with. One that is wrong changes nothing, and is told here and in the log; so "
    "is a log file that could not be opened anew, and what in the configuration is hardly meant.",
    exits=ASKS_DAEMON
    | {
        Exit.DONE: "the new configuration serves",
        Exit.CONFIGURATION: "the configuration is wrong, or cannot be had on this machine; the one before serves on",
    },
    examples=(("saslauthd-py reload", "after a change of the configuration"),),
)
_UNBLOCK = Words(
    summary="forget failed logins",
    description="Has the daemon forget the failed logins that count against a user, wherever they came from; or against an IP address, its "
    "network, and all users from there. `status` shows who is near a limit.",
    exits=ASKS_DAEMON
    | {Exit.DONE: "forgotten, or there were none", Exit.BAD_INPUT: "a name that no user may have, or an address that is none"},
    examples=(
        ("saslauthd-py unblock alice@example.org", "she has found her password again"),
        ("saslauthd-py unblock 192.0.2.7", "an office with a forgotten phone"),
    ),
)


def add_control(program: Parser) -> None:
    """`status`, `reload` and `unblock`."""
    status = program.command("status", _STATUS)
    status.add_argument("--check", action="store_true", help="as a Nagios plugin: one line, and 0, 1, 2 or 3")
    reload = program.command("reload", _RELOAD)
    unblock = program.command("unblock", _UNBLOCK)
    unblock.add_argument("what", metavar="USER|IP", help="name, name@realm or address")
    for parser in (status, reload, unblock):
        takes_config(parser)
        takes_json(parser)
