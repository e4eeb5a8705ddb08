"""Every command and its flags: the one source of the help, the man page and what `main` understands."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.cache.flags import add_cache
from saslauthd_py.cli.config.flags import add_config
from saslauthd_py.cli.control_flags import add_control
from saslauthd_py.cli.doctor_flags import add_doctor
from saslauthd_py.cli.exits import Exit
from saslauthd_py.cli.setup_flags import add_setup
from saslauthd_py.cli.socket_client import Tcp, tcp
from saslauthd_py.cli.syntax import CONFIGURED, Parser, Version, Words, takes_config, takes_json, takes_secret
from saslauthd_py.cli.transfer_flags import add_transfer
from saslauthd_py.cli.user.flags import add_user

_PROGRAM = Words(
    summary='answers "is this password right?" for mail servers',
    description="A daemon that takes the place of Cyrus saslauthd: Postfix and every other libsasl program ask it over a socket whether "
    "a password is right. The same command keeps its users, and tells why a login fails.",
    examples=(
        ("saslauthd-py demo", "see it work in a private directory, nothing installed or changed"),
        ("saslauthd-py user add alice@example.org", "the first user; the store is made when it is not there"),
        ("saslauthd-py test alice@example.org", "a login as Postfix would send it"),
    ),
)
_SERVE = Words(
    summary="the daemon, in the foreground",
    description="Runs until SIGTERM or Ctrl-C and finishes what it has begun. Started as root, it binds its sockets and then becomes the "
    "user of its configuration. What keeps it from starting, and what the half that stays root has to say, goes to standard error, with "
    "time and level: the log of the configuration is the other half's.",
    exits={Exit.DONE: "ended as asked, or --check found nothing"}
    | CONFIGURED
    | {
        Exit.NO_FILE: "no such configuration, or no such store",
        Exit.UNAVAILABLE: "a store that cannot be used now: busy, broken, or newer than this program",
        Exit.DENIED: "a file that may not be read, or a store that others could read or replace",
    },
    examples=(("saslauthd-py serve --check", "try everything a start would, serve nothing; also beside the daemon that runs"),),
)
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-1", "EXTERNAL", "PLAIN", "LOGIN")
"""Those of `mechanisms.table`, for a help text that does not import them; a test compares them."""

MEETING = "/run/saslauthd-py/monitor"
"""Where a monitor and a front that are units of their own meet."""

_MONITOR = Words(
    summary="the half of `serve` that is root, as a unit of its own",
    description="Binds the sockets, starts the processes that ask PAM, and waits for one front; it reads nothing from outside. "
    "When the front goes, it ends.",
    exits={Exit.DONE: "ended as asked", Exit.UNAVAILABLE: "the front has gone", Exit.DENIED: "not started as root"} | CONFIGURED,
    examples=(("saslauthd-py monitor", "as saslauthd-py-monitor.service does"),),
)
_FRONT = Words(
    summary="the half of `serve` that asks and answers, as a unit of its own",
    description="Goes to the monitor, which hands it the configuration and the sockets, and serves until SIGTERM. It needs no privilege.",
    exits={
        Exit.DONE: "ended as asked",
        Exit.NOT_RUNNING: "no monitor is there",
        Exit.UNAVAILABLE: "the monitor has gone, or a store that cannot be used now",
        Exit.DENIED: "started as root, or the monitor is not for this user",
        Exit.CONFIGURATION: "the configuration is wrong",
    },
    examples=(("saslauthd-py front", "as saslauthd-py.service does"),),
)
_DEMO = Words(
    summary="the whole thing, tried out in a private directory",
    description="Makes a configuration, a store and a user in a directory of its own, starts the daemon on it, proves a right and a wrong "
    "login through each socket, prints how to point Postfix there, and serves on until Ctrl-C. What it made is removed at its end.",
    exits={Exit.DONE: "the proof held (and Ctrl-C ended it)", Exit.UNAVAILABLE: "the daemon did not start, or the proof failed"},
    examples=(("saslauthd-py demo --once", "end after the proof"),),
)
_TEST = Words(
    summary="a login as a mail server would send it",
    description="Asks the daemon over the socket of its first listener, in the protocol of that: dovecot, as Postfix and Exim ask by "
    "themselves; saslauthd (USER is split at its last @) or pwcheck, as libsasl does. With --protocol it is the first listener of that "
    "one. The service is smtp. Prints the verdict and the time. With --socket or --address it needs no configuration. With --trace the "
    "daemon tells over its control socket how it decides: each step, what it took, and what the client would see. A login so traced is a "
    "real one: it is logged and counted, also towards the limits of failed logins, and the cache remembers it; only that no answer is held "
    "back.",
    exits={
        Exit.DONE: "accepted",
        Exit.BAD_INPUT: "another protocol is spoken there; dovecot: the mechanism is not offered, or SCRAM shows that the server does not "
        "know the password: a later try would change nothing",
        Exit.NOT_RUNNING: "nobody listens at the socket",
        Exit.UNAVAILABLE: "closed without an answer, or none in time: an MTA says 454, try later (over pwcheck: 535, as if it were wrong)",
        Exit.DENIED: "rejected, or the socket may not be opened",
        Exit.NO_FILE: "no such configuration, or with --direct no such store",
    }
    | CONFIGURED,
    examples=(
        ("saslauthd-py test alice@example.org", "asks for the password"),
        ("saslauthd-py test alice@example.org --protocol dovecot --mechanism SCRAM-SHA-256", "as a modern mail program through Postfix"),
        ("saslauthd-py test alice@example.org --socket /run/saslauthd/mux --count 100 --password-file pw", "how fast, how steady"),
        ("saslauthd-py test alice@example.org --direct", "is it the daemon, or the way to it?"),
        ("saslauthd-py test alice@example.org --trace", "why is it refused?"),
    ),
)
_DECODE = Words(
    summary="who logs in with this SASL message",
    description="Shows what is in the messages that a mail client sends with AUTH PLAIN or AUTH LOGIN (first its name, then its "
    "password), and in those of SCRAM, the server's too: names as they are; a secret, a proof or a signature by its length. Without "
    "BASE64, or with -, it reads standard input: arguments are seen by every user.",
    exits={Exit.DONE: "decoded", Exit.BAD_INPUT: "not base64, or no such message"},
    examples=(
        ("saslauthd-py decode AHRpbQB0YW5zdGFhZnRhbnN0YWFm", "PLAIN, told by its two NULs"),
        ("saslauthd-py decode YWxpY2U= c2VjcmV0", "LOGIN: name and password; one of them alone could be either, and is not shown"),
        ("saslauthd-py decode biwsbj1hbGljZSxyPVdtVjA=", "SCRAM: any of its four messages, or several"),
    ),
)
_HASH = Words(
    summary="hash a password, for a file of another program",
    description="Asks for a password twice and prints it hashed, as a Dovecot passwd-file or LDAP takes it: {LABEL} and text. --bare "
    "leaves the label out, for /etc/shadow, htpasswd, or a {CRYPT} of your own in front. Some schemes are made here only: the store takes "
    "stronger ones. Needs no configuration and writes nothing else. Each call takes another salt.",
    exits={
        Exit.DONE: "printed",
        Exit.BAD_INPUT: "the passwords differ, or the scheme cannot take it whole",
        Exit.NO_FILE: "no such --password-file",
        Exit.DENIED: "a --password-file that may not be read",
    },
    examples=(
        ("saslauthd-py hash", "asks for the password, twice"),
        ("saslauthd-py hash --scheme sha512crypt --bare --password-file pw", "for /etc/shadow"),
        ("saslauthd-py hash --scheme scram-sha-256", "for Dovecot, with SCRAM"),
        ("saslauthd-py hash --list", "the schemes, those too that are verified only"),
    ),
)
_VERIFY = Words(
    summary="is this the password in a hash",
    description="Asks for a password and says whether it is the one in HASH: a password field of a Dovecot passwd-file, htpasswd, "
    "/etc/shadow or LDAP, with or without {LABEL}; without one, it is never taken for a password in clear. HASH wants single quotes, or "
    "the shell eats its $. With -, one line of standard input is the hash: arguments are seen by every user.",
    exits={
        Exit.DONE: "right",
        Exit.BAD_INPUT: "no hash of a scheme that is known, a malformed one, or one that would take too long; no password",
        Exit.NO_FILE: "no such --password-file",
        Exit.DENIED: "wrong, or a --password-file that may not be read",
    },
    examples=(
        ("saslauthd-py verify '{SSHA}H/zrDv8FXUu1JmwvVYijfrYEF34jVZcO'", "asks for the password"),
        ("grep ^alice: users | cut -d: -f2 | saslauthd-py verify -", "the hash does not become an argument"),
    ),
)


def build() -> Parser:
    """The parser of the whole command line."""
    program = Parser("saslauthd-py", _PROGRAM)
    program.add_argument("--version", action=Version, nargs=0, help="print the version")
    _add_serve(program)
    _add_halves(program)
    _add_demo(program)
    _add_test(program)
    _add_decode(program)
    _add_hash(program)
    _add_verify(program)
    add_user(program)
    add_config(program)
    add_control(program)
    add_cache(program)
    add_transfer(program)
    add_setup(program)
    add_doctor(program)
    return program


def _add_halves(program: Parser) -> None:
    monitor, front = program.command("monitor", _MONITOR), program.command("front", _FRONT)
    takes_config(monitor)
    for half in (monitor, front):
        half.add_argument("--socket", default=MEETING, metavar="PATH", help="where the two meet (default: %(default)s)")


def _add_serve(program: Parser) -> None:
    serve = program.command("serve", _SERVE)
    takes_config(serve)
    serve.add_argument("--check", action="store_true", help="open everything a start would open, bind nothing, and say whether it would do")


def _add_demo(program: Parser) -> None:
    demo = program.command("demo", _DEMO)
    demo.add_argument("--dir", metavar="DIR", help="an empty or new directory to work in (default: a new one)")
    demo.add_argument("--once", action="store_true", help="end after the proof instead of serving on")


def _add_test(program: Parser) -> None:
    test = program.command("test", _TEST)
    test.add_argument("user", metavar="USER", help="name or name@realm")
    takes_secret(test)
    test.add_argument(
        "--protocol",
        choices=("saslauthd", "pwcheck", "dovecot"),
        help="how to ask (default: as the first listener wants it; with --socket saslauthd, with --address dovecot); pwcheck sends USER "
        "whole, and neither realm nor service nor address",
    )
    test.add_argument("--realm", metavar="R", default="", help="the realm of a USER without @; not for dovecot")
    test.add_argument("--service", metavar="S", help="the service that asks (default: smtp)")
    way = test.add_mutually_exclusive_group()
    way.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    way.add_argument("--address", metavar="HOST:PORT", type=_address, help="dovecot: the daemon's TCP address")
    way.add_argument("--direct", action="store_true", help="decide in this process instead of asking the daemon, as the user it says")
    test.add_argument("--trace", action="store_true", help="tell each step of the decision (--socket: the listener that it comes to)")
    test.add_argument("--client-ip", metavar="A", help="the mail client's address, sent as Cyrus SASL 2.2 does; dovecot: as rip=")
    test.add_argument(
        "--mechanism",
        choices=MECHANISMS,
        type=str.upper,
        help="dovecot: how the mail client proves itself (default: PLAIN); EXTERNAL: by a certificate in USER's name, without a password",
    )
    test.add_argument("--authzid", metavar="NAME", help="dovecot: act as this user")
    test.add_argument("--no-tls", action="store_true", help="dovecot: the mail client came without TLS")
    test.add_argument("--count", metavar="N", type=_positive, default=1, help="ask N times, one after the other")
    takes_config(test)
    takes_json(test)


def _add_decode(program: Parser) -> None:
    decode = program.command("decode", _DECODE)
    decode.add_argument("base64", metavar="BASE64", nargs="*", help="the message, as it went over the wire")
    decode.add_argument(
        "--mechanism", choices=("plain", "login", "scram", "auto"), default="auto", help="whose message it is (default: auto)"
    )
    decode.add_argument("--show-secret", action="store_true", help="show the secret itself, SCRAM's proof and signature too")
    takes_json(decode)


def _add_hash(program: Parser) -> None:
    hashing = program.command("hash", _HASH)
    takes_secret(hashing)
    what = hashing.add_mutually_exclusive_group()
    what.add_argument("--scheme", metavar="S", default="argon2id", help="how to hash it (default: argon2id)")
    what.add_argument("--list", action="store_true", help="list the schemes: which command makes them, at what cost, how they are read")
    hashing.add_argument("--bare", action="store_true", help="without {LABEL}")
    takes_json(hashing)


def _add_verify(program: Parser) -> None:
    verify = program.command("verify", _VERIFY)
    verify.add_argument("hash", metavar="HASH", help="the stored password, in single quotes, or - for standard input")
    takes_secret(verify)
    takes_json(verify)


def _address(text: str) -> Tcp:
    try:
        return tcp(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"{fault}, such as 127.0.0.1:12345 or [::1]:12345") from None


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)
