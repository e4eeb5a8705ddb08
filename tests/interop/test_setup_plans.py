"""What setup would do on machines of other kinds: a new Postfix, one without TLS, one half in its chroot; Cyrus IMAP."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from saslauthd_py.config.load import parse
from saslauthd_py.mta import machine as reader
from saslauthd_py.mta.machine import Wanted
from saslauthd_py.setup import cyrus_imap, postfix
from saslauthd_py.setup.plan import Plan
from saslauthd_py.setup.site import Refused, Site
from saslauthd_py.setup.steps import MadeDirectory, State
from tests.interop import postfix as private_postfix

pytestmark = pytest.mark.peer("postfix")

_OURS = """\
[[listen]]
protocol = "pwcheck"
path = "/nonexistent/pwcheck"
[backend.users]
type = "store"
[[route]]
realm = "*"
backends = ["users"]
[control]
path = "/run/saslauthd-py-of-nobody/control"
"""
_SASL = "smtpd_sasl_", "broken_sasl", "smtpd_tls_auth_only"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A Postfix that has never heard of logins, with TLS, smtpd in its chroot."""
    ports = dict(zip(private_postfix.SERVICES, (10025, 10587, 10465), strict=True))
    private_postfix.write_configuration(tmp_path / "postfix", ports, chroot=True)
    conf = tmp_path / "postfix" / "conf"
    main = (conf / "main.cf").read_text().splitlines(keepends=True)
    (conf / "main.cf").write_text("".join(line for line in main if not line.startswith(_SASL)))
    (conf / "master.cf").write_text("smtp inet n - y - - smtpd\n")
    (conf / "sasl" / "smtpd.conf").unlink()
    (conf / "sasl").rmdir()
    private_postfix.make_old(conf)
    return conf


def ours(tmp_path: Path) -> Site:
    path = tmp_path / "ours.toml"
    path.write_text(_OURS)
    return Site(str(path), parse(_OURS, str(path)), _OURS)


def planned(conf: Path, kind: str) -> Plan:
    return postfix.plan(ours(conf.parent), reader.read(Wanted("postfix", str(conf))), kind)


def change(conf: Path, *arguments: str) -> None:
    subprocess.run(["postconf", "-c", conf, *arguments], check=True)
    private_postfix.make_old(conf)


def test_a_new_postfix_takes_logins_over_tls_at_its_one_port(conf: Path) -> None:
    plan = planned(conf, "dovecot")
    at = f"postconf -c {conf} -e"
    assert plan.commands == (
        f"{at} 'smtpd_sasl_type = dovecot'",
        f"{at} 'smtpd_sasl_path = private/auth'",
        f"{at} 'smtpd_sasl_auth_enable = yes'",
        f"{at} 'smtpd_tls_auth_only = yes'",
    )
    assert [door.name for door in plan.doors] == ["127.0.0.1:25 (smtpd of smtp)"]


def test_where_mail_programs_have_ports_of_their_own_logins_are_switched_on_there_alone(conf: Path) -> None:
    with (conf / "master.cf").open("a") as file:
        file.write("submission inet n - y - - smtpd\n")
    private_postfix.make_old(conf)
    plan = planned(conf, "dovecot")
    assert f"postconf -c {conf} -P submission/inet/smtpd_sasl_auth_enable=yes" in plan.commands
    assert not [line for line in plan.commands if "-e 'smtpd_sasl_auth_enable" in line]
    assert [door.name for door in plan.doors] == ["127.0.0.1:587 (smtpd of submission)"]


def test_by_way_of_cyrus_sasl_its_file_is_made_where_it_is_read(conf: Path) -> None:
    plan = planned(conf, "cyrus")
    directory, file = plan.theirs[:2]
    assert directory == MadeDirectory(str(conf / "sasl"))
    assert str(file) == str(conf / "sasl" / "smtpd.conf")
    assert "+pwcheck_method: saslauthd\n+saslauthd_path: /private/saslauthd\n+mech_list: PLAIN LOGIN\n" in file.shown()


def test_a_service_with_its_own_word_gets_another(conf: Path) -> None:
    change(conf, "-P", "smtp/inet/smtpd_sasl_auth_enable=yes")
    change(conf, "-P", "smtp/inet/smtpd_sasl_path=elsewhere")
    plan = planned(conf, "dovecot")
    assert f"postconf -c {conf} -P smtp/inet/smtpd_sasl_path=private/auth" in plan.commands


def test_from_dovecot_to_cyrus_the_file_is_not_called_by_the_socket(conf: Path) -> None:
    change(conf, "-e", "smtpd_sasl_type = dovecot", "smtpd_sasl_path = private/auth", "smtpd_sasl_auth_enable = yes")
    plan = planned(conf, "cyrus")
    assert [Path(str(step)).name for step in plan.theirs] == ["sasl", "smtpd.conf", "main.cf"]


def test_no_logins_are_switched_on_without_tls(conf: Path) -> None:
    change(conf, "-e", "smtpd_tls_security_level = none")
    with pytest.raises(Refused, match="passwords would cross the network in clear"):
        planned(conf, "dovecot")


def test_half_in_the_chroot_cyrus_sasl_cannot_name_one_path(conf: Path) -> None:
    change(conf, "-e", "smtpd_sasl_auth_enable = yes")
    with (conf / "master.cf").open("a") as file:
        file.write("submission inet n - n - - smtpd\n")
    private_postfix.make_old(conf)
    with pytest.raises(Refused, match="choose --type dovecot"):
        planned(conf, "cyrus")
    assert planned(conf, "dovecot").commands[-1].endswith("'smtpd_sasl_path = private/auth'")


def test_tls_from_the_first_byte_is_no_password_in_clear(conf: Path) -> None:
    with (conf / "master.cf").open("a") as file:
        file.write("submissions inet n - y - - smtpd\n  -o smtpd_tls_wrappermode=yes\n")
    change(conf, "-e", "smtpd_sasl_auth_enable = yes")
    clear = [note for note in planned(conf, "dovecot").notes if "without TLS" in note]
    assert clear == ["smtpd of smtp: passwords are taken without TLS too: smtpd_tls_auth_only = yes ends that"]


def test_main_cf_edited_while_postconf_works_on_its_copy_is_not_overruled(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old = postfix._make_old

    def edited(directory: str) -> None:
        with (conf / "main.cf").open("a") as file:
            file.write("# mine\n")
        make_old(directory)

    monkeypatch.setattr(postfix, "_make_old", edited)
    [step] = planned(conf, "dovecot").theirs
    assert step.state() is State.OTHER


def test_what_an_included_file_says_of_cyrus_imap_is_not_said_twice(tmp_path: Path) -> None:
    file, included = tmp_path / "imapd.conf", tmp_path / "sasl.conf"
    file.write_text(f"cyrus_user: nobody\nautocreate_quota: 0\n@include: {included}\n")
    included.write_text("sasl_pwcheck_method: auxprop\n")
    with pytest.raises(Refused, match=r"sasl\.conf: sasl_pwcheck_method cannot be said again in .*imapd\.conf"):
        cyrus_imap.plan(ours(tmp_path), reader.read(Wanted("cyrus-imap", imapd_conf=str(file))))
    included.write_text("servername: mx\n")
    [note] = cyrus_imap.plan(ours(tmp_path), reader.read(Wanted("cyrus-imap", imapd_conf=str(file)))).notes
    assert "the throw-away account a mailbox, which stays" in note


def test_a_cyrus_imap_that_would_not_have_a_new_group_gets_a_socket_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "imapd.conf"
    file.write_text("cyrus_user: nobody\n")
    plan = cyrus_imap.plan(ours(tmp_path), reader.read(Wanted("cyrus-imap", imapd_conf=str(file))))
    assert not plan.asker.regroups


def test_no_postfix_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no main\.cf there"):
        planned(tmp_path / "nowhere", "dovecot")


def test_imapd_conf_names_the_socket_and_keeps_its_other_lines(tmp_path: Path) -> None:
    file = tmp_path / "imapd.conf"
    file.write_text("configdirectory: /var/lib/cyrus\ncyrus_user: nobody\nsasl_pwcheck_method: auxprop\nsasl_mech_list: PLAIN CRAM-MD5\n")
    plan = cyrus_imap.plan(ours(tmp_path), reader.read(Wanted("cyrus-imap", imapd_conf=str(file))))
    socket = "/run/saslauthd-py-of-nobody/imapd"
    assert plan.socket.path == socket
    assert f'path = "{socket}"\nuser = "nobody"\n' in plan.socket.table
    [step] = plan.theirs
    assert step.shown().splitlines()[2:] == [
        "@@ -3,2 +3,3 @@",
        "-sasl_pwcheck_method: auxprop",
        "-sasl_mech_list: PLAIN CRAM-MD5",
        "+sasl_pwcheck_method: saslauthd",
        "+sasl_mech_list: PLAIN LOGIN",
        f"+sasl_saslauthd_path: {socket}",
    ]
    assert plan.service == "imap"
