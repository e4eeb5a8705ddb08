"""The flags of `user ...`."""

from __future__ import annotations

from saslauthd_py.cli.exits import Exit
from saslauthd_py.cli.syntax import CONFIGURED, Parser, Words, takes_config, takes_json, takes_secret

_STORE = CONFIGURED | {
    Exit.NO_FILE: "there is no store, or no such file",
    Exit.UNAVAILABLE: "the store cannot be used now: busy, broken, or newer than this program",
    Exit.DENIED: "not permitted, or others could read or replace the store",
}
_ONE = _STORE | {Exit.NO_USER: "no such user", Exit.BAD_INPUT: "a name that no user may have"}

_NETWORK = (
    "only from this network or address; may be given again. Over Dovecot's protocol the mail client's address comes with the login; "
    "over the saslauthd socket no released Postfix or libsasl sends one, and over pwcheck none can: such a login is always refused there"
)

_SCRAM = (
    "store keys for SCRAM-SHA-256 and SCRAM-SHA-1 too (default: where the configuration has scram_upgrade = true, "
    "and where the password before had some)"
)

_NO_SCRAM = (
    "store none: no login by SCRAM, which a listener then offers nobody unless its `mechanisms` names it. "
    "Where the configuration has scram_upgrade = true, the next login by PLAIN or LOGIN makes them all the same"
)

_USER = Words(
    summary="the users in the store",
    description="Adds, changes and lists users. USER is a name or a name@realm; upper and lower case are one. As root, these commands "
    "become the owner of the store's directory first. Once one has returned, a running daemon answers by what it changed.",
)
_ADD = Words(
    summary="add a user",
    description="Adds a user with a password, which is asked for twice without an echo. The store is made when it is not there.",
    exits=_STORE | {Exit.DONE: "added", Exit.BAD_INPUT: "the name exists, or name or password cannot be"},
    examples=(
        ("saslauthd-py user add alice@example.org", "asks for the password"),
        ("pwgen 20 1 | saslauthd-py user add scanner --password-stdin --service smtp", "a device that only sends"),
        ("saslauthd-py user add alice@example.org --scram", "for mail programs that log in by SCRAM"),
        ("saslauthd-py user add alice@example.org --password-file pw --if-missing", "for configuration management"),
    ),
)
_PASSWD = Words(
    summary="change a password",
    description="Gives a user another password; the old one is refused from then on. Restrictions stay as they are unless they are given.",
    exits=_ONE | {Exit.DONE: "changed", Exit.BAD_INPUT: "a name or a password that cannot be"},
    examples=(("saslauthd-py user passwd alice@example.org --expires 90d", "asks for the password, which expires in 90 days"),),
)
_LIST = Words(
    summary="list the users",
    description="Prints each user with the scheme of the password, the lock, the restrictions and the last login. Columns on a terminal, "
    "tabs in a pipe, one JSON object a line with --json.",
    exits=_STORE | {Exit.DONE: "listed"},
    examples=(("saslauthd-py user list --realm example.org --json", "one realm, for programs"),),
)
_SHOW = Words(
    summary="one user in detail",
    description="Prints everything about a user but the stored password.",
    exits=_ONE | {Exit.DONE: "shown"},
    examples=(("saslauthd-py user show alice@example.org", "is the account locked, when was its last login"),),
)
_REMOVE = Words(
    summary="remove a user",
    description="Removes a user with every password. Asks first.",
    exits=_ONE | {Exit.DONE: "removed", Exit.BAD_INPUT: f"answered no, or {_ONE[Exit.BAD_INPUT]}"},
    examples=(("saslauthd-py user remove alice@example.org --yes", "without a question"),),
)
_RENAME = Words(
    summary="give a user another name",
    description="Changes the name and keeps the passwords, the lock and the restrictions.",
    exits=_ONE | {Exit.DONE: "renamed", Exit.BAD_INPUT: "the new name exists, or cannot be"},
    examples=(("saslauthd-py user rename alice@example.org alice@example.net", "to another realm"),),
)
_LOCK = Words(
    summary="refuse every login of a user",
    description="Refuses every login of a user until `user unlock`; the passwords stay.",
    exits=_ONE | {Exit.DONE: "locked"},
    examples=(('saslauthd-py user lock alice@example.org --reason "sent spam, ticket 4711"', "`user show` says why; the log: locked"),),
)
_UNLOCK = Words(
    summary="end a lock",
    description="Lets a locked user log in again.",
    exits=_ONE | {Exit.DONE: "unlocked"},
    examples=(("saslauthd-py user unlock alice@example.org", "the same password is right again"),),
)


def add_user(program: Parser) -> None:
    """Everything below `user`."""
    user = program.command("user", _USER)
    add = _named(user, "add", _ADD)
    _takes_password(add)
    add.add_argument("--if-missing", action="store_true", help="change nothing and succeed where the user exists")
    passwd = _named(user, "passwd", _PASSWD)
    _takes_password(passwd)
    passwd.add_argument("--unrestricted", action="store_true", help="lift the restrictions there are")
    listing = user.command("list", _LIST)
    listing.add_argument("--realm", metavar="R", help="only the users of this realm; an empty one means those without a realm")
    takes_store(listing)
    _named(user, "show", _SHOW)
    remove = _named(user, "remove", _REMOVE)
    remove.add_argument("--yes", action="store_true", help="do not ask")
    rename = _named(user, "rename", _RENAME)
    rename.add_argument("to", metavar="NEW", help="the new name or name@realm")
    lock = _named(user, "lock", _LOCK)
    lock.add_argument("--reason", metavar="TEXT", help='why, for `user show` (default: the reason that is there, or "by command")')
    _named(user, "unlock", _UNLOCK)


def _named(user: Parser, name: str, words: Words) -> Parser:
    command = user.command(name, words)
    command.add_argument("user", metavar="USER", help="name or name@realm")
    takes_store(command)
    return command


def takes_store(command: Parser) -> None:
    """Which store: --backend, --config; and --json."""
    command.add_argument("--backend", metavar="NAME", help="the store among several: NAME of its [backend.NAME]")
    takes_config(command)
    takes_json(command)


def _takes_password(command: Parser) -> None:
    takes_secret(command)
    command.add_argument("--scheme", metavar="S", help="how to store the password (default: the configuration's, argon2id)")
    keys = command.add_mutually_exclusive_group()
    keys.add_argument("--scram", action="store_const", const=True, help=_SCRAM)
    keys.add_argument("--no-scram", action="store_const", const=False, dest="scram", help=_NO_SCRAM)
    command.add_argument("--service", metavar="S", action="append", help="only for this service; may be given again")
    command.add_argument("--network", metavar="NET", action="append", help=_NETWORK)
    command.add_argument("--expires", metavar="WHEN", help="until a day begins (2027-01-31, local time) or for a time (90d, 8h)")
