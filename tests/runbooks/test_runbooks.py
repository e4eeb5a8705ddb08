"""README.md's runbooks, run from their own blocks: a real systemd, Debian's own saslauthd service and files, a real Postfix and swaks.

Each machine is private (systemd_machine): /etc is an overlay, /run, /var/spool and the like are empty, the network is its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.interop.waiting import until
from tests.packaging.systemd_machine import NoSystemd, SystemdMachine, systemd_machine
from tests.runbooks.readme import ROOT, blocks, lines, subsections

pytestmark = [pytest.mark.root, pytest.mark.peer("openssl", "postfix", "saslauthd", "saslpasswd2", "swaks", "systemd")]

RUNBOOKS = ("Switch from Cyrus saslauthd, and back", "A new Postfix site from nothing", "Move users from sasldb2", "Restore a backup")
SWITCH, NEW, MOVE, RESTORE = RUNBOOKS
PASSWORD = "pw1"

ASKING = re.compile(r"^(saslauthd-py (?:user add|test) \S+)", re.MULTILINE)
"""Commands that ask for a password on the terminal. Here they read it: the one thing that is not run as it stands."""

INSTALL = (
    "install -d -m 755 /etc/saslauthd-py",
    "install -m 644 packaging/systemd/saslauthd-py.service packaging/systemd/saslauthd-py-monitor.service /etc/systemd/system/",
    "install -D -m 644 packaging/systemd/saslauthd-py.sysusers /etc/sysusers.d/saslauthd-py.conf",
    "install -D -m 644 packaging/systemd/saslauthd-py.tmpfiles /etc/tmpfiles.d/saslauthd-py.conf",
    "systemd-sysusers && systemd-tmpfiles --create saslauthd-py.conf",
)
"""Of *Set it up*. The command itself is there, and its user; what is left out needs packages from elsewhere, or starts the daemon."""

POSTFIX = """
cp /usr/share/postfix/main.cf.debian /etc/postfix/main.cf
mkdir -p /var/spool/postfix /var/lib/postfix
chown postfix: /var/lib/postfix
postconf -e myhostname=mail.example.org mydestination=localhost maillog_file=/var/log/mail.log $MORE
sed -i 's/^smtp  *inet/127.0.0.1:25 inet/' /etc/postfix/master.cf
touch -d '1 minute ago' /etc/postfix/main.cf /etc/postfix/master.cf
postfix start
"""
"""What installing the package as "Internet Site" does, as far as a login has to do with it; $MORE is set besides."""

CYRUS = """
cat > /etc/default/saslauthd <<'END'
START=yes
DESC="SASL Authentication Daemon"
NAME="saslauthd"
MECHANISMS="{mechanism}"
MECH_OPTIONS=""
THREADS=5
OPTIONS="-c -m /var/spool/postfix/var/run/saslauthd"
END
mkdir -p /var/spool/postfix/var/run
usermod -a -G sasl postfix
printf 'pwcheck_method: saslauthd\\nmech_list: PLAIN LOGIN\\n' > /etc/postfix/sasl/smtpd.conf
systemctl start saslauthd
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mail.example.org \
    -keyout /etc/postfix/key.pem -out /etc/postfix/cert.pem 2>/dev/null
MORE="smtpd_sasl_auth_enable=yes smtpd_tls_security_level=may smtpd_tls_chain_files=/etc/postfix/key.pem,/etc/postfix/cert.pem"
"""
"""A site of Debian's README.Debian for sasl2-bin: Postfix in its chroot."""


@pytest.fixture
def machine() -> Iterator[SystemdMachine]:
    """With the daemon installed and not configured."""
    try:
        with systemd_machine() as made:
            run(made, "\n".join(INSTALL))
            yield made
    except NoSystemd as error:
        pytest.skip(f"no systemd can be process 1 here: {error}")


def run(machine: SystemdMachine, script: str, secret: str = PASSWORD) -> str:
    """A block as the admin's shell runs it, up to the first line that fails; what it says."""
    script = ASKING.sub(r"\1 --password-stdin", script)
    done = machine.run("bash", "-ec", f"cd {ROOT}\n{script}", secret=f"{secret}\n")
    return done.stdout + done.stderr


def login(machine: SystemdMachine, name: str, password: str = PASSWORD) -> str:
    """The code with which Postfix answers a login over TLS."""
    words = ["swaks", "--server", "127.0.0.1", "-tls", "-a", "PLAIN", "-au", name, "-ap", password, "--quit-after", "AUTH"]
    said = machine.run(*words, check=False).stdout
    found = re.search(r"^ ~> AUTH .*\n<~. +?(\d{3}) ", said, re.MULTILINE)
    assert found, said + log(machine)
    return found[1]


def log(machine: SystemdMachine) -> str:
    with suppress(FileNotFoundError):
        return (machine.root / "var/log/mail.log").read_text() + machine.told()
    return machine.told()


def cyrus_site(machine: SystemdMachine, mechanism: str) -> None:
    run(machine, CYRUS.format(mechanism=mechanism) + POSTFIX)


def test_every_runbook_is_run_here() -> None:
    assert tuple(subsections("Runbooks")) == RUNBOOKS


def test_what_is_installed_first_stands_in_the_readme() -> None:
    assert [line for line in lines("Set it up") if line in INSTALL] == list(INSTALL)


def test_switch_from_cyrus_and_back(machine: SystemdMachine) -> None:
    cyrus_site(machine, "pam")
    run(machine, "useradd alice; echo alice:pw1 | chpasswd")
    at_leisure, _, switch, back = blocks(SWITCH)
    run(machine, at_leisure)
    assert login(machine, "alice") == "235", "by the original"
    assert machine.states() == ("inactive", "inactive")
    assert "OK" in run(machine, switch)
    assert machine.states() == ("active", "active")
    assert (login(machine, "alice"), login(machine, "alice", "wrong")) == ("235", "535")
    run(machine, back)
    assert machine.states() == ("inactive", "inactive")
    assert login(machine, "alice") == "235"


def test_new_postfix_site(machine: SystemdMachine) -> None:
    run(machine, POSTFIX)
    daemon, postfix = blocks(NEW)
    run(machine, daemon)
    said = run(machine, postfix)
    assert "235 2.7.0 Authentication successful" in said
    assert [f":{port} (smtpd" in said for port in (25, 587, 465)] == [False, True, True], "what setup has proved"


def test_move_from_sasldb2(machine: SystemdMachine) -> None:
    users = (f"echo {PASSWORD} | saslpasswd2 -p -c {name}" for name in ("-u example.org alice", "bob"))
    run(machine, "\n".join(users))
    cyrus_site(machine, "sasldb")
    for block in blocks(SWITCH)[:3]:
        run(machine, block.replace("test alice", "test alice@example.org"))
    assert (login(machine, "alice@example.org"), login(machine, "bob")) == ("235", "235")
    (move,) = blocks(MOVE)
    before = (machine.root / "etc/sasldb2").read_bytes()
    assert "OK" in run(machine, move)
    assert (machine.root / "etc/sasldb2").read_bytes() == before
    run(machine, "mv /etc/sasldb2 /etc/sasldb2.away")
    assert (login(machine, "alice@example.org"), login(machine, "bob")) == ("235", "235")
    assert "$argon2id$" in run(machine, "saslauthd-py export")


def test_restore_a_backup(machine: SystemdMachine) -> None:
    run(machine, blocks(NEW)[0].replace("/var/spool/postfix/private/auth", "/run/saslauthd-py/auth"))
    until(lambda: machine.states() == ("active", "active"), "it serves")
    test = "saslauthd-py test alice@example.org --protocol dovecot"
    backup, restore, gone = blocks(RESTORE)
    run(machine, backup)
    run(machine, "saslauthd-py user passwd alice@example.org --password-stdin", secret="changed")
    run(machine, test, secret="changed")
    pids = machine.pids()
    run(machine, restore)
    assert "OK" in run(machine, test)
    assert machine.pids() == pids
    assert (machine.root / "var/lib/saslauthd-py/users.db.before-restore").exists()
    (machine.root / "var/lib/saslauthd-py/users.db").write_bytes(b"damaged" * 1000)
    run(machine, gone)
    assert "OK" in run(machine, test)
    assert machine.states() == ("active", "active")
