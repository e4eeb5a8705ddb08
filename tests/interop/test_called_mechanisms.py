"""Called as saslauthd with flags alone, for each mechanism but pam and shadow: who is let in, beside the real one where Debian has it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop import directory_tree as tree
from tests.interop.called_programs import DAEMON_UID, Machine, link_all
from tests.interop.kdc import REALM, kdc, system_gssapi
from tests.interop.mail_server import mail_server
from tests.interop.mux import NO, OK, ask
from tests.interop.pam_machine import PamMachine, hashed, pam_machine
from tests.interop.slapd import slapd
from tests.interop.web_form import web_page
from tests.sasldb.sasldbs import set_password

pytestmark = [pytest.mark.root, pytest.mark.peer("saslauthd", "saslpasswd2", "unshare", "slapd", "dovecot-imapd", "krb5", "openssl")]

MECHANISMS = ("sasldb", "getpwent", "rimap", "httpform", "ldap", "kerberos5")
NOT_BUILT = "httpform"
"""Debian leaves it out."""

NOBODY = 65534
_LDAP = "ldap_servers: {}\nldap_bind_dn: {}\nldap_bind_pw: {}\nldap_search_base: {}\nldap_filter: (uid=%U)\n"
_FORM = "httpform_host: 127.0.0.1\nhttpform_port: {}\nhttpform_uri: /login\nhttpform_data: user=%u&password=%p\n"
_KERBEROS = "krb5_keytab: {}\nkrb5_verify_principal: host\nkrb5_servername: mx.test\n"


@dataclass(frozen=True, slots=True)
class Started:
    """Flags, whom they let in with the password "pw1", and what a shell does before it becomes the program."""

    flags: tuple[str, ...]
    name: str = "alice@example.test"
    before: str = "exec"


@dataclass(frozen=True, slots=True)
class Answers:
    """To the right password and to a wrong one; `original`: None where there is none."""

    ours: tuple[bytes, bytes]
    original: tuple[bytes, bytes] | None


def _written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def _started(directory: Path, stack: ExitStack) -> Mapping[str, Started]:
    """Every mechanism's server, running, and its flags."""
    for name in ("kdc", "gssapi"):
        (directory / name).mkdir(mode=0o755)
    set_password(directory / "sasldb2", "alice", b"pw1")
    shutil.chown(directory / "sasldb2", group="sasl")
    (directory / "sasldb2").chmod(0o640)
    mail = stack.enter_context(mail_server(directory / "mail"))
    page = stack.enter_context(web_page())
    people = stack.enter_context(slapd(directory / "slapd", users=0))
    realm = stack.enter_context(kdc(directory / "kdc"))
    realm.admin("addprinc -pw pw1 alice")
    library = system_gssapi(directory / "gssapi")
    ldap = _written(directory / "ldap.conf", _LDAP.format(people.ldap, people.service, people.service_password, tree.PEOPLE))
    Path(ldap).chmod(0o640)
    os.chown(ldap, 0, DAEMON_UID)
    form = _written(directory / "form.conf", _FORM.format(page.port))
    kerberos = _written(directory / "kerberos.conf", _KERBEROS.format(realm.keytab))
    as_nobody = (
        f"export KRB5_CONFIG={realm.configuration} PYTHONPATH={library}\nexec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups"
    )
    return {
        "sasldb": Started((), before=f"mount --bind {directory}/sasldb2 /etc/sasldb2\nexec"),
        "getpwent": Started((), "bob@any.example"),
        "rimap": Started(("-r", "-O", f"127.0.0.1/{mail.port}")),
        "httpform": Started(("-r", "-O", form)),
        "ldap": Started(("-O", ldap), "alice"),
        "kerberos5": Started(("-O", kerberos), f"alice@{REALM}", as_nobody),
    }


def _machine(accounts: PamMachine, directory: Path) -> Machine:
    directory.mkdir(mode=0o755)
    link_all(directory)
    made = Machine(accounts, directory)
    made.have_daemon_user()
    made.run_directory.mkdir()
    return made


def _asked(machine: Machine, mechanism: str, started: Started) -> Answers:
    """The original first: it is quick, and the two keep each other out."""

    def answers(program: str) -> tuple[bytes, bytes]:
        script = _written(machine.directory / "started", f'#!/bin/sh -e\n{started.before} {program} "$@"\n')
        Path(script).chmod(0o755)
        with machine.serving(script, "-a", mechanism, *started.flags):
            return ask(machine.mux, started.name, "pw1")[:4], ask(machine.mux, started.name, "wrong")[:4]

    original = None if mechanism == NOT_BUILT else answers(machine.original)
    return Answers(answers(machine.ours), original)


@pytest.fixture(scope="module")
def answers(machine: Path) -> Iterator[Mapping[str, Answers]]:
    """All at once: a wrong password is answered after two seconds."""
    with ExitStack() as stack:
        accounts = stack.enter_context(pam_machine(machine))
        accounts.account("bob", hashed("pw1"), shadowed=False)
        started = _started(accounts.directory, stack)
        machines = {name: _machine(accounts, accounts.directory / f"by-{name}") for name in MECHANISMS}
        shutil.chown(machines["kerberos5"].run_directory, NOBODY, NOBODY)
        with ThreadPoolExecutor(len(MECHANISMS)) as pool:
            found = pool.map(lambda name: _asked(machines[name], name, started[name]), MECHANISMS)
            yield dict(zip(MECHANISMS, found, strict=True))


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_right_password_is_let_in_and_a_wrong_one_is_not(answers: Mapping[str, Answers], mechanism: str) -> None:
    found = answers[mechanism]
    assert found.ours == (OK, NO)
    if found.original is not None:
        assert [answer[2:] for answer in found.original] == [b"OK", b"NO"]
