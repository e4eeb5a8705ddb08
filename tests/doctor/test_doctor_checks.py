"""Checks one by one, on cases made for them."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.config.load import load
from saslauthd_py.credential import Credential, Kind
from saslauthd_py.doctor import boot, closed_ways, password_files, reading_only, store_look, unasked
from saslauthd_py.doctor.case import Case, Target
from saslauthd_py.doctor.checks import (
    accounts,
    addresses,
    capacity,
    daemon,
    denials,
    letters,
    login,
    mechanisms,
    names,
    pam,
    path,
    realm,
    remembered,
    rights,
    sasldb,
    secrets,
    versions,
)
from saslauthd_py.doctor.lookups import look_up, sent
from saslauthd_py.doctor.said import Outcome
from saslauthd_py.identity import Identity
from saslauthd_py.monitor import accounts as shadow_entries
from saslauthd_py.mta import forked, processes, programs, smtp
from saslauthd_py.mta.cyrus_imap import CyrusImap
from saslauthd_py.mta.distribution import DEBIAN, OTHER
from saslauthd_py.mta.exim import Authenticator, Exim
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.master_cf import Service
from saslauthd_py.mta.postfix import Postfix
from saslauthd_py.mta.processes import Process, Who
from saslauthd_py.mta.reach import Obstacle, Reached
from saslauthd_py.mta.smtp import Server, Tried
from saslauthd_py.mta.smtpd_conf import SaslConf
from saslauthd_py.store.model import Account
from tests.doctor.cases import ROUTE, STORE, caller, case, file, only, outcomes, settings
from tests.interop.daemon import searchable

SUBMISSION = Service("submission", "inet", False, None, "smtpd", (), {"smtpd_sasl_auth_enable": "yes"})
WELL = {
    "smtpd_sasl_type": "cyrus",
    "smtpd_tls_security_level": "may",
    "smtpd_tls_auth_only": "yes",
    "smtpd_tls_chain_files": "/etc/hostname",
    "mail_owner": "root",
}


def postfix(**values: str) -> Postfix:
    return Postfix("/etc/postfix", {**WELL, **values}, (SUBMISSION,), frozenset({"cyrus", "dovecot"}))


def serving(service: Service, **values: str) -> Postfix:
    """With this one service."""
    return replace(postfix(**values), services=(service,))


def sasl(**options: str) -> SaslConf:
    return SaslConf(("/etc/postfix/sasl/smtpd.conf",), "/etc/postfix/sasl/smtpd.conf", {"pwcheck_method": "saslauthd", **options})


def with_postfix(found: Postfix, conf: SaslConf | None = None) -> Case:
    return case(settings(), machine=Machine(DEBIAN, found, conf))


# path


def test_a_machine_without_a_mail_server_is_warned_of() -> None:
    assert "no Postfix, Exim or Cyrus IMAP" in only(path.find(case(settings())), Outcome.WARN).cause


def test_a_postfix_that_asks_nobody_is_told_why() -> None:
    off = replace(SUBMISSION, overrides={})
    assert "smtpd_sasl_auth_enable is no" in only(unasked.reasons(Machine(DEBIAN, serving(off))), Outcome.FAIL).cause
    unknown = Postfix("/etc/postfix", {**WELL, "smtpd_sasl_type": "cyrus"}, (SUBMISSION,), frozenset({"dovecot"}))
    assert "this Postfix knows dovecot" in only(unasked.reasons(Machine(DEBIAN, unknown)), Outcome.FAIL).cause
    auxprop = sasl(pwcheck_method="auxprop")
    assert "pwcheck_method is auxprop" in only(unasked.reasons(Machine(DEBIAN, postfix(), auxprop)), Outcome.FAIL).cause
    nowhere = SaslConf(("/etc/postfix/sasl/smtpd.conf",))
    assert "finds no smtpd.conf" in only(unasked.reasons(Machine(DEBIAN, postfix(), nowhere)), Outcome.FAIL).cause
    nobody = postfix(mail_owner="no-such-user")
    assert "no such user" in only(unasked.reasons(Machine(DEBIAN, nobody, sasl())), Outcome.FAIL).cause
    assert only(unasked.reasons(Machine(DEBIAN, faults={"postfix": "fatal: x"})), Outcome.FAIL).cause == "postfix: fatal: x"


def test_exim_and_cyrus_imap_that_ask_nobody_are_told() -> None:
    assert "no authenticator" in only(unasked.reasons(Machine(DEBIAN, exim=Exim("exim", "", {}, ()))), Outcome.FAIL).cause
    imap = CyrusImap("/etc/imapd.conf", {"sasl_pwcheck_method": "auxprop"})
    found = only(unasked.reasons(Machine(DEBIAN, cyrus_imap=imap)), Outcome.FAIL)
    assert found.mend == "in /etc/imapd.conf: sasl_pwcheck_method: saslauthd"


def test_paths_that_no_program_can_open() -> None:
    long = Target(caller("/run/" + "x" * 110), ("smtpd of smtp",))
    assert "115 bytes" in getattr(closed_ways.badly_written(long), "cause", "")
    assert "no whole path" in getattr(closed_ways.badly_written(Target(caller("mux"), ("smtpd",))), "cause", "")
    assert closed_ways.badly_written(Target(caller("inet:127.0.0.1:1"), ("smtpd",))) is None


def test_a_socket_that_nobody_has_a_listener_for(tmp_path: Path) -> None:
    asking = caller(str(tmp_path / "queue/run/mux"))
    configured = settings(listen="/run/test/mux").model_copy(update={"listen": ()})
    written = file(tmp_path, "saslauthd-py.toml", f'[[listen]]\nprotocol = "saslauthd"\npath = "/run/test/mux"\n{STORE}{ROUTE}')
    said = closed_ways.diagnosed(case(configured, asking, path=written), Target(asking, ("smtpd",)), Reached(2))
    assert said.outcome is Outcome.FAIL
    command, reload = said.mend.rsplit(" && ", 1)
    assert reload.split()[-2:] == ["reload", "saslauthd-py"] or "saslauthd-py reload" in reload
    subprocess.run(["sh", "-ec", command], check=True)
    assert [one.path for one in load(written).listen] == ["/run/test/mux", asking.path], "the printed command does what it says"
    assert Path(asking.path).parent.is_dir()
    full = closed_ways.diagnosed(case(configured, asking), Target(asking, ("smtpd",)), Reached(11, 0o140000))
    assert "queue is full" in full.cause


def test_a_tcp_address_where_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        asking = caller(f"inet:127.0.0.1:{port}", protocol="dovecot", whole=True)
        assert outcomes(path.find(case(settings(), asking))) == ["pass"]
    assert "nobody answers" in only(path.find(case(settings(), asking)), Outcome.FAIL).cause


# realm


@pytest.mark.parametrize(
    ("name", "realm_of_server", "whole", "said"),
    [
        ("alice", "", False, ("alice", "")),
        ("alice", "mx.test", False, ("alice", "mx.test")),
        ("a@b@c.test", "mx.test", False, ("a@b", "c.test")),
        ("a@b@c.test", "", True, ("a@b@c.test", "")),
    ],
)
def test_what_a_mail_server_makes_of_a_name(name: str, realm_of_server: str, whole: bool, said: tuple[str, str]) -> None:
    assert sent(name, caller(realm=realm_of_server, whole=whole)) == said


@given(st.text(min_size=1, max_size=40))
def test_any_name_is_looked_up_or_refused(name: str) -> None:
    try:
        found = look_up(settings(), name, caller(), None)
    except ValueError:
        return
    assert str(found)


def test_a_realm_that_a_mail_server_makes_up_is_told() -> None:
    bare = settings(route='[[route]]\nrealm = ""\nbackends = ["users"]\n')
    said = only(realm.find(case(bare, caller(realm="mx.test"))), Outcome.FAIL)
    assert "sends a name without @ with realm mx.test" in said.cause
    assert outcomes(realm.find(case(bare, caller()))) == ["pass"]
    with_server = case(bare, machine=Machine(DEBIAN, postfix(), sasl(), callers=(caller(realm="mx.test"),)))
    assert "smtpd_sasl_local_domain = '" in only(realm.find(with_server), Outcome.FAIL).mend


def test_two_domains_in_one_account_are_warned_of() -> None:
    loses = settings(
        route='[[route]]\nrealm = ["a.test", "b.test"]\nbackends = ["users"]\nignore_realm = true\n',
        backend=STORE + 'login = "{local}"\n',
    )
    assert "one account" in only(realm.find(case(loses, caller())), Outcome.WARN).cause


def test_an_account_s_trace_is_shown() -> None:
    said = only(realm.find(case(settings(), caller(), account="Alice@example.test")), Outcome.PASS)
    assert said.cause == "Alice@example.test is Alice, realm example.test: asked as Alice@example.test in users"
    assert "no account can have" in only(realm.find(case(settings(), caller(), account="a\0b")), Outcome.FAIL).cause


# mechanisms


def mechanism_faults(found: Postfix, conf: SaslConf | None = None) -> list[str]:
    return [one.cause for one in mechanisms.find(with_postfix(found, conf)) if one.outcome is not Outcome.PASS]


def test_a_postfix_that_is_well_offers_what_works(tmp_path: Path) -> None:
    for name in ("libplain.so", "liblogin.so"):
        (tmp_path / name).touch()
    found = postfix(import_environment=f"SASL_PATH={tmp_path}")
    assert mechanism_faults(found, sasl(mech_list="plain login")) == []
    (tmp_path / "liblogin.so").unlink()
    assert ["plugin of LOGIN" in fault for fault in mechanism_faults(found, sasl(mech_list="plain login"))] == [True]
    (tmp_path / "liblogin.so").touch()
    assert mechanism_faults(found, sasl(mech_list="GSSAPI EXTERNAL PLAIN")) == [], "neither asks for a password"
    assert mechanism_faults(found, sasl()) == [], "all that is installed works"
    (tmp_path / "libscram.so.2").touch()
    (fault,) = mechanism_faults(found, sasl())
    assert "has no mech_list: whatever plugin is installed is offered (scram too)" in fault
    assert mechanism_faults(found, sasl(pwcheck_method="saslauthd auxprop")) == [], "auxprop can do more than PLAIN"


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"smtpd_tls_security_level": "none"}, "there is no TLS: AUTH is never offered"),
        ({"smtpd_tls_security_level": ""}, "there is no TLS: AUTH is never offered"),
        ({"smtpd_tls_chain_files": ""}, "no certificate is set"),
        ({"smtpd_tls_chain_files": "/nonexistent/chain.pem"}, "its certificate /nonexistent/chain.pem is not there"),
        ({"smtpd_tls_auth_only": "no"}, "passwords are taken without TLS"),
        ({"smtpd_sasl_tls_security_options": "noanonymous, noplaintext"}, "has noplaintext"),
    ],
)
def test_what_keeps_auth_from_being_offered(values: dict[str, str], fault: str) -> None:
    (found,) = mechanism_faults(postfix(**values))
    assert fault in found


@pytest.mark.parametrize(
    "values",
    [{"smtpd_tls_security_level": "", "smtpd_use_tls": "yes"}, {"smtpd_tls_security_level": "encrypt", "smtpd_tls_auth_only": "no"}],
)
def test_other_ways_to_have_tls(values: dict[str, str]) -> None:
    assert mechanism_faults(postfix(**values)) == []
    wrapped = replace(SUBMISSION, overrides={**SUBMISSION.overrides, "smtpd_tls_wrappermode": "yes"})
    assert mechanism_faults(serving(wrapped, smtpd_tls_security_level="")) == []


def test_another_smtpd_conf_that_is_not_read_is_warned_of(tmp_path: Path) -> None:
    other = file(tmp_path, "smtpd.conf", "mech_list: PLAIN\n")
    conf = replace(sasl(pwcheck_method="auxprop saslauthd"), elsewhere=(other,))
    assert [f"{other} says otherwise" in fault for fault in mechanism_faults(postfix(), conf)] == [True]
    same = replace(conf, options={"mech_list": "PLAIN"})
    assert mechanism_faults(postfix(), same) == []


def test_exim_that_offers_what_saslauthd_cannot_do() -> None:
    bad = Authenticator("cram", {"driver": "plaintext", "public_name": "CRAM-MD5", "server_condition": "${if saslauthd{{$1}{$2}}}"})
    machine = Machine(DEBIAN, exim=Exim("exim", "", {}, (bad,)))
    assert "cram offers CRAM-MD5" in only(mechanisms.find(case(settings(), machine=machine)), Outcome.FAIL).cause


# accounts


def test_lines_of_a_password_file_without_a_hash(tmp_path: Path) -> None:
    hashed = "$6$rounds=5000$saltsalt$1Oxv7/FP.f9BfdMN7ugTc4ILqHvLmQ1XsY5d9SOMiY5u8wYpvT4Oq8cCqk2vQbkDG1q6Ejk0mGpNYBrYUZbGZ/"
    path = file(tmp_path, "passwd", f"# no account\nalice:{hashed}\nbob:clear\ncarol:!{hashed}\n\ndave:x:1:1::/:\neve\n")
    found = password_files.look(path, None, Identity("carol"))
    assert (found.accounts, [line for line, _ in found.faults], found.faulty) == (5, [3], 1)
    assert (found.known, found.locked) == (True, True)
    assert "clear" not in found.faults[0][1]
    assert not password_files.look(path, None, Identity("zoe")).known
    with pytest.raises(password_files.Unlooked, match="no such file"):
        password_files.look(str(tmp_path / "missing"), None, None)


@pytest.mark.root
def test_a_child_that_only_reads_reads_everything_and_writes_nothing(tmp_path: Path) -> None:
    secret = file(tmp_path, "secret", "text", 0o600)
    tmp_path.chmod(0o700)
    assert reading_only.ask(lambda: Path(secret).read_text(), 0, 10) == "text"

    def writing() -> list[str]:
        refused = []
        for mode in ("r+b", "wb", "ab"):
            try:
                open(secret, mode).close()
            except PermissionError:
                refused.append(mode)
        try:
            (tmp_path / "new").touch()
        except PermissionError:
            refused.append("new")
        return refused

    assert reading_only.ask(writing, 65534, 10) == ["r+b", "wb", "ab", "new"]
    assert forked.ask(lambda: os.geteuid(), 10) == 0


# pam


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    modules = tmp_path / "security"
    modules.mkdir()
    (modules / "pam_unix.so").touch()
    monkeypatch.setattr(pam, "_DIRECTORIES", (str(tmp_path),))
    monkeypatch.setattr(pam, "_MODULES", (str(modules),))
    return tmp_path


PAM = '[backend.users]\ntype = "pam"\n'
BARE = '[[route]]\nrealm = ""\nbackends = ["users"]\n'


@pytest.mark.parametrize(
    ("stack", "fault"),
    [
        ("auth required pam_unix.so\n", ""),
        ("@include common\n", ""),
        ("auth include common\n-auth optional pam_missing.so\nsession required pam_missing.so\n", ""),
        ("auth [success=1 default=ignore] \\\n  pam_missing.so # why\n", "pam_missing.so, which is not installed"),
        ("auth substack deeper\n", "deeper, which is not installed"),
        ("@include loop\n", ""),
        ("account required /nonexistent/pam_own.so\n", "/nonexistent/pam_own.so"),
    ],
)
def test_modules_of_a_stack(stacks: Path, stack: str, fault: str) -> None:
    file(stacks, "smtp", stack)
    file(stacks, "common", "auth required pam_unix.so\naccount required pam_unix.so\n")
    file(stacks, "loop", "@include loop\n")
    said = only(pam.find(case(settings(backend=PAM, route=BARE), caller())), Outcome.FAIL if fault else Outcome.PASS)
    assert fault in said.cause


def test_a_service_without_a_file_or_without_leave(stacks: Path) -> None:
    missing = only(pam.find(case(settings(backend=PAM, route=BARE), caller())), Outcome.FAIL)
    assert missing.mend.endswith(" > /etc/pam.d/smtp")
    shown = subprocess.run(["sh", "-c", missing.mend.removesuffix(" > /etc/pam.d/smtp")], capture_output=True, text=True, check=True)
    file(stacks, "smtp", shown.stdout)
    assert outcomes(pam.find(case(settings(backend=PAM, route=BARE), caller()))) == ["pass"], "it mends"
    other = settings(backend=PAM + 'services = ["imap"]\n', route=BARE)
    assert "may not be asked for service smtp" in only(pam.find(case(other, caller())), Outcome.FAIL).cause


# capacity and the rest


@pytest.mark.parametrize(("deadline", "seconds", "word"), [(8, 0.05, None), (1, 0.4, "warn"), (1, 1.2, "fail"), (1, 1.0, "fail")])
def test_a_hash_and_a_deadline(deadline: float, seconds: float, word: str | None) -> None:
    found = capacity.judged("users", deadline, seconds)
    assert (found[0] if found else None) == word


def test_more_processes_than_connections() -> None:
    few = settings("[server]\nmax_connections_per_peer = 50\n")
    machine = Machine(DEBIAN, postfix(default_process_limit="100"))
    assert any("may run 100 smtpd" in one.cause for one in capacity.find(case(few, machine=machine)))


def test_addresses_that_are_not_believed_and_networks_of_everybody() -> None:
    open_socket = settings().model_copy(update={"listen": ()})
    assert outcomes(addresses.find(case(open_socket, caller()))) == ["pass"]
    everybody = Machine(DEBIAN, postfix(mynetworks="127.0.0.0/8, 0.0.0.0/0"))
    assert "0.0.0.0/0" in only(addresses.find(case(settings(), machine=everybody)), Outcome.WARN).cause


def test_passwords_that_are_remembered_past_their_change() -> None:
    cached = settings(backend=PAM + 'cache = "5m"\n', route=BARE)
    assert "stays good for 300 s" in only(remembered.find(case(cached)), Outcome.WARN).cause
    assert outcomes(remembered.find(case(settings()))) == ["pass"]


def test_a_sasldb_that_is_missing_open_or_no_sasldb(tmp_path: Path) -> None:
    path = tmp_path / "sasldb2"
    configured = settings(backend=f'[backend.users]\ntype = "sasldb"\npath = "{path}"\n')
    found = case(configured)
    assert "no such file" in only(sasldb.find(found), Outcome.FAIL).cause
    file(tmp_path, "sasldb2", "text, and no database", 0o644)
    os.utime(path, (0, 0))
    said = list(sasldb.find(found))
    assert "every user of this machine may read it" in said[0].cause
    assert outcomes(said) == ["fail", "fail"]
    assert said[1].mend.startswith("chgrp saslauthd-py ")
    os.chown(path, -1, 1)
    assert said[1].mend != (mend := list(sasldb.find(found))[1].mend)
    assert mend.startswith("usermod -aG daemon saslauthd-py "), "whoever is in its group may go on reading it"


@pytest.mark.parametrize(
    ("line", "concerns"),
    [
        ('type=AVC msg=audit(1): avc:  denied  { connectto } for  pid=1 comm="smtpd" path="/x"', True),
        ('kernel: audit: apparmor="DENIED" operation="connect" profile="x" name="/run/test/mux" comm="foo"', True),
        ('type=AVC msg=audit(1): avc:  denied  { read } for  pid=1 comm="httpd" path="/x"', False),
        ('avc:  granted  { connectto } for  pid=1 comm="smtpd"', False),
    ],
)
def test_denials_that_concern_a_login(line: str, concerns: bool) -> None:
    assert denials.concerns(line, ("/run/test/mux",)) is concerns


def test_the_last_denial_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "_SELINUX", file(tmp_path, "enforce", "1"))
    log = file(tmp_path, "audit.log", 'avc:  denied { x } comm="smtpd" first\navc:  denied { x } comm="smtpd" last\n')
    monkeypatch.setattr(denials, "_LOGS", (log,))
    monkeypatch.setattr(programs, "find", lambda _: None)
    assert "last" in only(denials.find(case(settings(), caller())), Outcome.WARN).cause
    Path(log).write_text("")
    assert outcomes(denials.find(case(settings(), caller()))) == ["pass"]


def test_a_journal_that_cannot_be_read_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "_SELINUX", file(tmp_path, "enforce", "1"))
    log = file(tmp_path, "audit.log", "")
    monkeypatch.setattr(denials, "_LOGS", (log,))
    journal = file(tmp_path, "journalctl", "#!/bin/sh\necho no journal >&2\nexit 1\n", 0o755)
    monkeypatch.setattr(programs, "find", lambda _: journal)
    assert only(denials.find(case(settings(), caller())), Outcome.SKIP).cause.endswith(": no journal")
    Path(log).write_text('avc:  denied { x } comm="smtpd"\n')
    assert outcomes(denials.find(case(settings(), caller()))) == ["warn"]


def test_a_log_that_cannot_be_read_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With auditd at work, what SELinux has denied stands in its log alone, which only root may read."""
    monkeypatch.setattr(denials, "_SELINUX", file(tmp_path, "enforce", "1"))
    monkeypatch.setattr(denials, "_LOGS", (str(tmp_path), str(tmp_path / "none")))  # root, too, cannot read a directory
    journal = file(tmp_path, "journalctl", "#!/bin/sh\n", 0o755)
    monkeypatch.setattr(programs, "find", lambda _: journal)
    assert only(denials.find(case(settings(), caller())), Outcome.SKIP).cause.endswith(f"{tmp_path}: is a directory")
    Path(journal).write_text("#!/bin/sh\necho 'avc:  denied { x } comm=\"smtpd\"'\n")
    assert outcomes(denials.find(case(settings(), caller()))) == ["warn"]


def test_a_journal_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "_SELINUX", file(tmp_path, "enforce", "1"))
    monkeypatch.setattr(denials, "_LOGS", ())
    journal = file(tmp_path, "journalctl", "#!/bin/sh\nexec tail -f /dev/null\n", 0o755)
    monkeypatch.setattr(programs, "find", lambda _: journal)
    monkeypatch.setattr(programs, "SECONDS", 0.1)
    assert "does not end within 0.1 s" in only(denials.find(case(settings(), caller())), Outcome.SKIP).cause


def test_limits_on_what_a_password_may_be() -> None:
    tight = settings("[server]\ncompat_limits = true\n", STORE + 'scheme = "bcrypt"\n')
    machine = Machine(DEBIAN, postfix(smtpd_sasl_response_limit="512"))
    assert outcomes(letters.find(case(tight, machine=machine))) == ["warn"] * 3


def test_the_name_of_this_machine_counts_only_for_a_sasldb(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcomes(names.find(case(settings()))) == ["pass"]
    own = settings(backend='[backend.users]\ntype = "sasldb"\n')
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    assert "no name of its own" in only(names.find(case(own)), Outcome.FAIL).cause
    monkeypatch.setattr(socket, "gethostname", lambda: "mx.invalid")

    def unknown(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "has no address" in only(names.find(case(own)), Outcome.WARN).cause


def test_secrets_that_others_can_read(tmp_path: Path) -> None:
    key = file(tmp_path, "key.pem", "-----BEGIN PRIVATE KEY-----\n", 0o644)
    file(tmp_path, "cert.pem", "-----BEGIN CERTIFICATE-----\n", 0o644)
    loud = replace(SUBMISSION, arguments=("-v",))
    values = {"smtpd_tls_chain_files": f"{key}, {tmp_path}/cert.pem", "debug_peer_list": "192.0.2.1"}
    found = list(secrets.find(with_postfix(serving(loud, **values), sasl(log_level="7"))))
    assert [word in one.cause for word, one in zip((key, "log_level: 7", "-v", "debug_peer_list"), found, strict=True)] == [True] * 4
    os.chmod(key, 0o600)
    assert outcomes(secrets.find(with_postfix(postfix(smtpd_tls_chain_files=key), sasl()))) == ["pass"]


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("3.7.8", True),
        ("3.7.9", False),
        ("3.8.3", True),
        ("3.4.2", True),
        ("3.9.0", False),
        ("3.10-20250101", False),
        ("", False),
        ("4", False),
    ],
)
def test_versions_without_a_defence(version: str, old: bool) -> None:
    assert versions.smuggled(version) is old


def test_numbers_tell_nothing_where_faults_are_mended_without_a_new_one() -> None:
    found = postfix(mail_version="3.4.2")
    assert [one for one in versions.find(case(settings(), machine=Machine(DEBIAN, found))) if "Postfix 3.4.2 lets" in one.cause] == []
    assert [one for one in versions.find(case(settings(), machine=Machine(OTHER, found))) if "Postfix 3.4.2 lets" in one.cause]


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left = os.statvfs("/")

    class Full:
        f_bavail, f_frsize, f_files, f_favail = 1, left.f_frsize, left.f_files, left.f_favail

    monkeypatch.setattr(os, "statvfs", lambda _: Full())
    found = settings(backend=f'[backend.users]\ntype = "store"\npath = "{tmp_path}/users.db"\n')
    assert "0 MiB are left" in only(versions.find(case(found)), Outcome.FAIL).cause


def test_a_socket_for_everybody_in_a_directory_for_everybody(tmp_path: Path) -> None:
    mux = tmp_path / "mux"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(mux))
    mux.chmod(0o660)
    tmp_path.chmod(0o777)
    assert "in the place of" in next(iter(rights.find(case(settings(), caller(str(mux)))))).cause
    shutil.rmtree(tmp_path)
    assert outcomes(rights.find(case(settings(), caller(str(mux))))) == ["pass"], "what is not there is check `path`'s"


def test_what_is_gone_after_a_reboot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "BOOTED", str(tmp_path))
    monkeypatch.setattr(boot, "_UNITS", (str(tmp_path / "units"),))
    monkeypatch.setattr(boot, "_TMPFILES", (str(tmp_path / "tmpfiles/*.conf"),))
    found = case(settings(listen="/run/own/mux"))
    assert ["not enabled" in one.cause or "gone after a reboot" in one.cause for one in boot.concerns(found)] == [True, True]
    wants = tmp_path / "units/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "saslauthd-py.service").touch()
    (tmp_path / "units/any.service").write_text("[Service]\nRuntimeDirectory=other own\n")
    assert list(boot.concerns(found)) == []
    (tmp_path / "units/any.service").unlink()
    (tmp_path / "tmpfiles").mkdir()
    (tmp_path / "tmpfiles/own.conf").write_text("d /run/own 0755 root root -\n")
    assert list(boot.concerns(found)) == []
    (wants / "saslauthd.service").touch()
    assert "the original's" in next(iter(boot.concerns(case(settings(listen="/run/saslauthd/mux"))))).cause


@pytest.mark.parametrize("module", [realm, pam, capacity, addresses, letters])
def test_without_a_configuration_a_check_is_skipped(module: object) -> None:
    said = only(module.find(case()), Outcome.SKIP)  # type: ignore[attr-defined]  # each is a module with a check
    assert said.mend == "saslauthd-py config check --config /etc/test.toml"


# what was found on real machines


def test_a_line_that_libsasl_refuses_is_named(tmp_path: Path) -> None:
    """Proved with Postfix 3.7: smtpd ends with `SASL per-process initialization failed` for each of them."""
    well = "# fine\n\n  unknown: x\npwcheck_method: saslauthd\n"
    for broken in ("pwcheck_method = saslauthd", "pwcheck_method : saslauthd", "some words", "mech_list:"):
        path = file(tmp_path, "smtpd.conf", f"{well}{broken}\n")
        conf = SaslConf((path,), path, {"pwcheck_method": "saslauthd"})
        assert f"{path}:5:" in only(unasked.reasons(Machine(DEBIAN, postfix(), conf)), Outcome.FAIL).cause
    path = file(tmp_path, "smtpd.conf", well)
    assert list(unasked.reasons(Machine(DEBIAN, postfix(), SaslConf((path,), path, {"pwcheck_method": "saslauthd"})))) == []


def test_a_mail_server_that_asks_nobody_beside_one_that_does_is_no_fault() -> None:
    beside = Machine(DEBIAN, exim=Exim("exim", "", {}, ()), callers=(caller(),))
    assert only(unasked.reasons(beside), Outcome.WARN).cause == "exim has no authenticator that asks a daemon"


def test_a_stale_socket_that_is_none_of_ours_is_not_mended_by_a_start() -> None:
    asking = caller("/run/old/mux")
    said = closed_ways.diagnosed(case(settings(), asking), Target(asking, ("smtpd",)), Reached(errno.ECONNREFUSED, stat.S_IFSOCK))
    assert said.mend == "in /etc/postfix/sasl/smtpd.conf: saslauthd_path: /run/test/mux"
    ours = caller()
    said = closed_ways.diagnosed(case(settings(), ours), Target(ours, ("smtpd",)), Reached(errno.ECONNREFUSED, stat.S_IFSOCK))
    assert said.mend.startswith("saslauthd-py serve --config /etc/test.toml "), "no unit of systemd's knows this configuration"


def test_a_group_is_not_taken_from_the_mail_server_that_has_it() -> None:
    imapd = replace(caller(), name="imapd", who=Who(107, 8))
    denied = Reached(errno.EACCES, stat.S_IFSOCK, obstacle=Obstacle("/run/test/mux", "w", stat.S_IFSOCK | 0o660, 0, 105))
    both = closed_ways.diagnosed(case(settings(), caller(), imapd), Target(imapd, ("imapd",)), denied)
    assert both.mend.startswith("usermod -aG ")
    assert "cyrus-imapd" in both.mend
    assert "postfix" not in both.mend.partition("&&")[2]
    alone = closed_ways.diagnosed(case(settings(), imapd), Target(imapd, ("imapd",)), denied)
    assert 'mode = "0660"; then saslauthd-py reload --config /etc/test.toml' in alone.mend
    assert "(//" not in both.cause, "a path as everybody writes it"
    assert "//" not in both.cause


def test_a_socket_in_a_directory_that_is_mounted_twice_is_one(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "mux"))
    os.link(tmp_path / "mux", tmp_path / "other")
    asking = caller(str(tmp_path / "other"))
    assert case(settings(listen=str(tmp_path / "mux")), asking).listener(asking) is not None


def test_a_domain_that_cyrus_imap_takes_off_a_name_is_told() -> None:
    """Proved with Cyrus 3.6, virtdomains: userid: alice@DEFAULTDOMAIN comes as alice with no realm; others come whole."""
    imapd = replace(caller(), realm_taken_off="example.test")
    assert [sent(f"alice{at}", imapd) for at in ("", "@Example.test", "@b.test")] == [("alice", ""), ("alice", ""), ("alice", "b.test")]
    said = only(realm.find(case(settings(), imapd)), Outcome.WARN)
    assert '[identity] default_realm = "example.test"' in said.mend
    assert outcomes(realm.find(case(settings('[identity]\ndefault_realm = "example.test"\n'), imapd))) == ["pass"]


def test_what_the_shell_would_take_for_its_own_is_quoted() -> None:
    assert case(settings(), path="/etc/a b.toml").command("status") == "saslauthd-py status --config '/etc/a b.toml'"


def test_a_clock_that_was_set_back_is_told(tmp_path: Path) -> None:
    path = file(tmp_path, "users.db", "")
    found = case(settings(backend=f'[backend.users]\ntype = "store"\npath = "{path}"\n'))
    assert outcomes(remembered.find(found)) == ["pass"]
    os.utime(path, (time.time() + 3600,) * 2)
    assert "the clock was or is wrong" in only(remembered.find(found), Outcome.WARN).cause


def test_an_original_that_nobody_asks_may_remember_what_it_likes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mux = str(tmp_path / "mux")
    original = Process(os.getpid(), "saslauthd", Who(0, 0), "/", ("saslauthd", "-c"), 1)
    monkeypatch.setattr(processes, "running", lambda *_: (original,))
    assert outcomes(remembered.find(case(settings(), caller(mux)))) == ["pass"]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(mux)
        server.listen()
        assert "stays good for 8 h" in only(remembered.find(case(settings(), caller(mux))), Outcome.WARN).cause


def test_a_site_that_has_not_moved_yet_is_well(tmp_path: Path) -> None:
    mux, missing = str(tmp_path / "mux"), str(tmp_path / "missing.toml")
    found = case(None, caller(mux), path=missing)
    assert only(daemon.find(found), Outcome.FAIL).mend == f"saslauthd-py config convert > {missing}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(mux)
        server.listen()
        assert "has not moved" in only(daemon.find(found), Outcome.WARN).cause


def test_sockets_that_answer_are_no_daemon_that_does_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mux = str(tmp_path / "mux")
    found = case(settings(f'[control]\npath = "{tmp_path}/gone/control"\n', listen=mux))
    assert "no daemon runs" in only(daemon.find(found), Outcome.FAIL).cause
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(mux)
        server.listen()
        assert f"install -d -m 755 {tmp_path}/gone;" in only(daemon.find(found), Outcome.WARN).mend
        monkeypatch.setattr(processes, "process", lambda pid: Process(pid, "saslauthd", Who(0, 0), "/", (), 1))
        assert only(daemon.find(found), Outcome.FAIL).mend.startswith("systemctl stop saslauthd && ")


@pytest.mark.parametrize(("networks", "outcome"), [("", "fail"), ("127.0.0.0/8", "skip")])
def test_who_is_offered_no_login_by_intent_has_not_failed(monkeypatch: pytest.MonkeyPatch, networks: str, outcome: str) -> None:
    silent = Tried("AUTH", 0, "it offers no AUTH PLAIN or LOGIN")
    monkeypatch.setattr(smtp, "login", lambda *_: silent)
    machine = Machine(DEBIAN, postfix(smtpd_sasl_exceptions_networks=networks), sasl())
    assert outcomes(login.find(case(settings(), machine=machine, account="alice"))) == [outcome]


@pytest.mark.root
def test_another_user_s_configuration_is_no_fault() -> None:
    with searchable() as directory:
        path = file(directory, "own.toml", "", 0o600)

        def asked() -> list[str]:
            os.setresuid(65534, 65534, 65534)
            return outcomes(daemon.find(case(None, path=path)))

        assert forked.ask(asked, 10) == ["skip"]


def test_a_port_that_stalls_keeps_no_other_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one ends only when the second has been tried."""
    other = threading.Event()

    def stalls(server: Server, *_: object) -> Tried:
        if server.port == 25:
            return Tried("greeting", 0, "in time" if other.wait(20) else "too late")
        other.set()
        return Tried("AUTH", 235, "")

    monkeypatch.setattr(smtp, "login", stalls)
    found = replace(postfix(), services=(replace(SUBMISSION, name="25"), replace(SUBMISSION, name="587")))
    first, second = login.find(case(settings(), machine=Machine(DEBIAN, found), account="alice"))
    assert "in time" in first.cause
    assert second.outcome is Outcome.PASS


@pytest.mark.parametrize(("kind", "outcome"), [("shadow", "fail"), ("pam", "warn")])
def test_a_lock_in_shadow_is_pam_s_only_where_it_looks_there(monkeypatch: pytest.MonkeyPatch, kind: str, outcome: str) -> None:
    monkeypatch.setattr(shadow_entries, "find_shadow", lambda _: SimpleNamespace(password=b"!"))
    found = settings(backend=f'[backend.users]\ntype = "{kind}"\n', route=BARE)
    assert outcomes(accounts.find(case(found, caller(), account="alice"))) == [outcome]


def test_an_app_password_logs_in_whatever_the_main_one_is() -> None:
    main = Credential(1, Kind.MAIN, "", (), disabled=True)
    app = replace(main, kind=Kind.APP, disabled=False)
    account = Account(1, Identity("alice"), None, 0.0, 0.0, (main,))
    assert store_look._hindrance(account) == "its password is disabled"
    assert store_look._hindrance(replace(account, credentials=(main, app))) == ""
    gone = replace(app, restrictions=replace(app.restrictions, expires=1.0))
    assert store_look._hindrance(replace(account, credentials=(main, gone))) == "its password is disabled"
