"""The flags of `cache ...`."""

from __future__ import annotations

from saslauthd_py.cli.control_flags import ASKS_DAEMON
from saslauthd_py.cli.exits import Exit
from saslauthd_py.cli.syntax import Parser, Words, takes_config, takes_json

_CACHE = Words(
    summary="what the running daemon remembers",
    description="The daemon remembers for a while that a password was right. Changes in the store and in files it sees by itself, and at "
    "once; those of other systems, such as PAM, only when this command tells it, or the time of the backend's `cache` is over. LDAP "
    "backends remember for their `dn_cache` and `group_cache` where a user's entry is, and that it is in the group.",
)
_FLUSH = Words(
    summary="forget what was proved",
    description="Has the daemon forget the right passwords of USER, or of all users: the next login asks the backends again. It says how "
    "many it had. LDAP backends forget the entries and groups of all their users, whoever is named. No limit of failed logins and no "
    "running login is touched.",
    exits=ASKS_DAEMON | {Exit.DONE: "forgotten, or there was nothing", Exit.BAD_INPUT: "a name that no user may have"},
    examples=(
        ("saslauthd-py cache flush alice@example.org", "after a password was changed where the daemon does not look"),
        ("saslauthd-py cache flush", "everything"),
    ),
)


def add_cache(program: Parser) -> None:
    """Everything below `cache`."""
    flush = program.command("cache", _CACHE).command("flush", _FLUSH)
    flush.add_argument("user", metavar="USER", nargs="?", help="name or name@realm (default: all)")
    takes_config(flush)
    takes_json(flush)
