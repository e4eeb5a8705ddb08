"""The flags of `import`, `export`, `backup` and `restore`."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.exits import Exit
from saslauthd_py.cli.syntax import CONFIGURED, Parser, Words
from saslauthd_py.cli.user.flags import takes_store

FORMATS = ("sasldb", "passwd-file", "htpasswd", "shadow", "ldif", "jsonl")
ON_CONFLICT = ("fail", "skip", "replace")
"""Those of `store.merging.OnConflict`, for a help text that does not import SQLite; a test compares them."""

_MOST_LISTED = 100

_STORE = CONFIGURED | {
    Exit.NO_FILE: "no such file, or no such store",
    Exit.UNAVAILABLE: "the store cannot be used now: busy, broken, or newer than this program; or a file cannot be written",
    Exit.DENIED: "not permitted, or others could read or replace the store",
}
_IMPORT = Words(
    summary="take users over from another program",
    description="Takes the users in FILE into the store, all in one transaction: either all that can be is in it then, or nothing. "
    "Hashes are kept as they are; passwords in clear are hashed on the way, on all cores. sasldb: /etc/sasldb2 of Cyrus "
    "SASL. passwd-file: Dovecot's. htpasswd: Apache's. shadow: a hash behind ! comes locked, the end of account or password "
    "becomes its expiry, root and accounts without a password stay behind. ldif: what slapcat or ldapsearch writes; an "
    "account has one password, of several the strongest hash. jsonl: what export writes, see the README. Every line that is "
    "not taken over, and why, is told on standard error: broken ones, schemes that are not known, names that come again. A "
    "daemon that runs answers by the new users at once.",
    exits=_STORE
    | {
        Exit.DONE: "all is in the store, or would be; with --on-conflict skip also what was there",
        Exit.BAD_INPUT: "some of the file is not in the store; or nothing is, where --on-conflict fail found a name, or the file has none",
    },
    examples=(
        ("saslauthd-py import sasldb /etc/sasldb2", "the users of saslpasswd2"),
        ("saslauthd-py import passwd-file /etc/dovecot/users --dry-run", "what would come of it; hashes nothing, changes nothing"),
        ("saslauthd-py import shadow /etc/shadow --realm example.org", "alice becomes alice@example.org"),
        ("slapcat | saslauthd-py import ldif - --name-attribute mail --on-conflict replace", "again, with what has changed since"),
    ),
)
_EXPORT = Words(
    summary="all users, as JSON lines",
    description="Writes all that the store knows of its users, at one moment and beside a daemon that runs: a header, then an account a "
    "line, which import jsonl reads back without a loss. It holds the hashes of all passwords, and the key that hides which "
    "names exist: keep it as secret as the store. FILE is made with mode 0600; of standard output that is for the shell: "
    "umask 077.",
    exits=_STORE | {Exit.DONE: "exported", Exit.BAD_INPUT: "a realm that none can be; or FILE is something else than an export, and stays"},
    examples=(
        ("saslauthd-py export --output users.jsonl", "0600, whole or not at all"),
        ("saslauthd-py export --realm example.org", "one realm, to standard output"),
    ),
)
_BACKUP = Words(
    summary="a copy of the store, while it is in use",
    description="Writes a copy of the store, of one moment and looked through, to FILE: mode 0600, on the disk when this returns, and "
    "an older backup of that name stays until then. It holds the hashes of all passwords. Last logins are not in it, they "
    "are in usage.db beside the store.",
    exits=_STORE | {Exit.DONE: "FILE is the copy", Exit.BAD_INPUT: "FILE is something else than a backup, and stays"},
    examples=(("saslauthd-py backup /var/backups/users.db", "from cron, say: each night over the last"),),
)
_RESTORE = Words(
    summary="the store as a backup has it",
    description="Puts what is in the backup FILE in the place of all that the store holds, in one transaction, also under a daemon that "
    "runs: it answers by the restored users at once. Owner and mode of the store stay. What was there is kept beside it, as "
    "users.db.before-restore. Where the store is gone it is made; a daemon that runs has to be restarted then.",
    exits=_STORE | {Exit.DONE: "restored, or could be", Exit.BAD_INPUT: "FILE is no backup, a damaged one, or of a newer program"},
    examples=(("saslauthd-py restore /var/backups/users.db --dry-run", "is it a good backup, and how many users has it?"),),
)


def add_transfer(program: Parser) -> None:
    """`import` and what else moves a whole store."""
    _add_import(program)
    export = program.command("export", _EXPORT)
    export.add_argument("--realm", metavar="R", help="only the users of this realm; an empty one means those without a realm")
    export.add_argument("--output", metavar="FILE", help="where to write it (default: standard output)")
    takes_store(export)
    backup = program.command("backup", _BACKUP)
    backup.add_argument("file", metavar="FILE", help="the copy")
    takes_store(backup)
    restore = program.command("restore", _RESTORE)
    restore.add_argument("file", metavar="FILE", help="a backup")
    restore.add_argument("--dry-run", action="store_true", help="look through FILE, and change nothing")
    takes_store(restore)


def _add_import(program: Parser) -> None:
    add = program.command("import", _IMPORT)
    add.add_argument("format", choices=FORMATS, metavar="FORMAT", help=f"one of {', '.join(FORMATS)}")
    add.add_argument("file", metavar="FILE", help="what to read; - for standard input")
    add.add_argument("--dry-run", action="store_true", help="tell what would come of it, and change nothing")
    add.add_argument(
        "--on-conflict",
        choices=ON_CONFLICT,
        default=ON_CONFLICT[0],
        help="a name that the store has already: import nothing at all (default), leave that user as it is, or take the file's. replace "
        "keeps what a format does not speak of, such as app passwords, a lock and restrictions; jsonl speaks of all",
    )
    add.add_argument("--realm", metavar="R", help="for names without one (default: default_realm of the configuration)")
    add.add_argument("--name-attribute", metavar="A", help="ldif: the attribute with the name, such as mail (default: uid)")
    add.add_argument("--scheme", metavar="S", help="how to hash what is in clear (default: the configuration's, argon2id)")
    add.add_argument(
        "--scram", action="store_true", help="make keys for SCRAM of what is in clear, as scram_upgrade = true does; of a hash nobody can"
    )
    add.add_argument(
        "--most-listed",
        metavar="N",
        type=_number,
        default=_MOST_LISTED,
        help="list so many faulty lines at most, and count the rest (default: %(default)s)",
    )
    takes_store(add)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < len("1000000000")):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return int(text)
