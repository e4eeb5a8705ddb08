"""The flags of `setup`."""

from __future__ import annotations

from saslauthd_py.cli.exits import Exit
from saslauthd_py.cli.syntax import CONFIGURED, Parser, Words, takes_config, takes_json, takes_secret

STATE_DIRECTORY = "/var/lib/saslauthd-py-setup"
"""`setup.journal.DEFAULT_DIRECTORY`, for a help text that does not import it; a test compares them."""

_SETUP = Words(
    summary="have a mail server ask the daemon",
    description="Prints exactly what is to change on this machine for its mail server to ask the daemon: lines of its files, a listener in "
    "the configuration, a group to join, and the commands. It changes nothing. With --apply it makes these changes, each file's copy kept "
    "first, has them taken by the running daemon and mail server, and proves them: a throw-away account logs in through every port, and a "
    "wrong password has to be refused. Where that fails, everything is put back as it was. With --undo all of it is taken back, byte for "
    "byte, whenever that is, also after a crash; a file that somebody has edited since is named and left alone. Run it as root.",
    exits=CONFIGURED
    | {
        Exit.DONE: "printed; applied and proved; taken back whole",
        Exit.BAD_INPUT: "--undo: a file was edited since, and left alone",
        Exit.NO_FILE: "--undo: nothing was applied; no such configuration",
        Exit.NOT_RUNNING: "--apply: the daemon, or the mail server, does not run: nothing was changed",
        Exit.UNAVAILABLE: "--apply: the proof failed, and everything was taken back",
        Exit.DENIED: "not started as root, or the directory of the copies can be written by others",
        Exit.CONFIGURATION: "this machine cannot be set up so, or the configuration is wrong: see why",
    },
    examples=(
        ("saslauthd-py setup postfix", "what would change"),
        ("saslauthd-py setup postfix --apply", "change it, and prove it"),
        ("saslauthd-py setup postfix --undo", "as it was before"),
        ("saslauthd-py setup postfix --type cyrus --apply", "by way of Cyrus SASL (smtpd.conf), where that has to stay"),
        ("saslauthd-py setup exim --apply --user alice@example.org", "prove it with an account of yours; asks for its password"),
    ),
)


def add_setup(program: Parser) -> None:
    """`setup`."""
    setup = program.command("setup", _SETUP)
    setup.add_argument("mail_server", metavar="MAIL_SERVER", choices=("postfix", "exim", "cyrus-imap"), help="postfix, exim or cyrus-imap")
    setup.add_argument(
        "--type",
        choices=("dovecot", "cyrus"),
        help="how it asks: by Dovecot's protocol, or by way of Cyrus SASL (default: dovecot; Cyrus IMAP can do cyrus alone, Exim dovecot)",
    )
    what = setup.add_mutually_exclusive_group()
    what.add_argument("--apply", action="store_true", help="make the changes, prove them, and take them back where the proof fails")
    what.add_argument("--undo", action="store_true", help="take back what --apply has changed")
    setup.add_argument("--postfix-config", metavar="DIR", help="Postfix's configuration directory (default: /etc/postfix)")
    setup.add_argument("--exim-config", metavar="FILE", help="Exim's configuration (default: its own)")
    setup.add_argument("--exim-program", metavar="FILE", help="Exim itself (default: the system's exim4 or exim)")
    setup.add_argument("--imapd-conf", metavar="FILE", help="Cyrus IMAP's configuration (default: /etc/imapd.conf)")
    setup.add_argument("--state-dir", metavar="DIR", default=STATE_DIRECTORY, help="where the copies are kept (default: %(default)s)")
    setup.add_argument("--user", metavar="USER", help="prove it with this account, which is left as it is, and not with a throw-away one")
    takes_secret(setup)
    takes_config(setup)
    takes_json(setup)
