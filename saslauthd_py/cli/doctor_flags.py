"""The flags of `doctor`."""

from __future__ import annotations

from saslauthd_py.cli.exits import Exit
from saslauthd_py.cli.syntax import Parser, Words, takes_config, takes_json, takes_secret

_DOCTOR = Words(
    summary="why mail logins fail",
    description="Looks at the whole way of a login: from the mail server's configuration, as its own user and from inside its chroot, to "
    "the daemon, the routes, the stores, PAM and the directories. Eighteen checks, in the order in which they bite; each says pass, skip, "
    "warn or fail, the cause in one line, and the exact command or line that mends it: begin with the first one that is no pass. With "
    "--user it logs in through every port of the mail server too. It changes nothing, and is through within 10 s whatever hangs. Run it "
    "as root: others cannot try the way as the mail server's user.",
    exits={
        Exit.DONE: "no fault (warnings count as none)",
        Exit.BAD_INPUT: "faults found",
        Exit.NO_FILE: "no such --password-file",
        Exit.DENIED: "a --password-file that may not be read",
    },
    examples=(
        ("saslauthd-py doctor", "every mail server that is here"),
        ("saslauthd-py doctor --user alice@example.org", "and a real login, with its times; asks for the password"),
        ("saslauthd-py doctor --mta postfix --postfix-config /etc/postfix-out", "one of several Postfix instances"),
    ),
)


def add_doctor(program: Parser) -> None:
    """`doctor`."""
    doctor = program.command("doctor", _DOCTOR)
    doctor.add_argument(
        "--mta", choices=("postfix", "exim", "cyrus-imap"), help="look at this mail server alone (default: all that are here)"
    )
    doctor.add_argument("--postfix-config", metavar="DIR", help="Postfix's configuration directory (default: /etc/postfix)")
    doctor.add_argument("--exim-config", metavar="FILE", help="Exim's configuration (default: its own)")
    doctor.add_argument("--exim-program", metavar="FILE", help="Exim itself (default: the system's exim4 or exim)")
    doctor.add_argument("--imapd-conf", metavar="FILE", help="Cyrus IMAP's configuration (default: /etc/imapd.conf)")
    doctor.add_argument("--user", metavar="USER", help="a test account, as its user types it: log in with it")
    takes_secret(doctor)
    takes_config(doctor)
    takes_json(doctor)
