"""The keys of backends beside the store, and of admission."""

from __future__ import annotations

import os
import stat
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from saslauthd_py.config.load import ConfigurationError, check, differences, parse
from saslauthd_py.config.settings import PamSettings, PasswdFileSettings, ShadowSettings
from saslauthd_py.config.settings.admission import AdmissionSettings, Rate
from saslauthd_py.config.settings.pam import is_file_name
from tests.config.samples import LISTEN, complaints

CORES = len(os.sched_getaffinity(0))


def site(backend: str, realm: str = '""', more: str = "") -> str:
    return f"{LISTEN}[backend.system]\n{backend}\n[[route]]\nrealm = {realm}\nbackends = ['system']\n{more}"


def backend(text: str) -> Any:
    return parse(site(text), "FILE").backend["system"]


def test_pam_s_defaults() -> None:
    pam = backend("type = 'pam'")
    assert isinstance(pam, PamSettings)
    assert (pam.login, pam.fold_case, pam.cache, pam.pam_service) == ("{local}", False, 0.0, "{service}")
    assert pam.services == ("smtp", "imap", "pop", "sieve", "ldap")
    assert (pam.workers, pam.serial, pam.processes) == (2 * CORES, False, 2 * CORES)
    assert (pam.min_uid, pam.deny, pam.recycle_after) == (1000, ("root",), 1000)


def test_serial_is_one_worker() -> None:
    assert backend("type = 'pam'\nserial = true\nworkers = 7").processes == 1


def test_pop3_is_pop() -> None:
    assert backend("type = 'pam'\nservices = ['POP3']").services == ("pop",)


def test_shadow_s_defaults() -> None:
    shadow = backend("type = 'shadow'")
    assert isinstance(shadow, ShadowSettings)
    assert (shadow.login, shadow.fold_case, shadow.cache, shadow.processes) == ("{local}", False, 0.0, CORES)
    assert (shadow.min_uid, shadow.deny, shadow.recycle_after) == (1000, ("root",), 100_000)


def test_passwd_file_s_defaults() -> None:
    file = backend("type = 'passwd_file'\npath = '/etc/passwd.mail'")
    assert isinstance(file, PasswdFileSettings)
    assert (file.login, file.fold_case, file.cache, file.format, file.realm_in_path) == ("{local}@{realm}", True, 60.0, "auto", False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("type = 'pam'\npam_service = '../login'", 'backend.system.pam_service: must be the name of a file in /etc/pam.d, such as "smtp"'),
        ("type = 'pam'\npam_service = 'SMTP'", "backend.system.pam_service: must be the name of a file"),
        ("type = 'pam'\npam_service = '.smtp'", "backend.system.pam_service: must be the name of a file"),
        ("type = 'pam'\npam_service = '{realm}'", "backend.system.pam_service: must be the name of a file"),
        ("type = 'pam'\nworkers = 0", "backend.system.workers: must be at least 1"),
        ("type = 'pam'\nrecycle_after = 0", "backend.system.recycle_after: must be at least 1"),
        ("type = 'pam'\nmin_uid = -1", "backend.system.min_uid: must be at least 0"),
        ("type = 'passwd_file'", "backend.system.path: is missing"),
        ("type = 'passwd_file'\npath = 'passwd'", "backend.system.path: must be an absolute path"),
        ("type = 'passwd_file'\npath = '/etc/{local}'", "backend.system.path: "),
        ("type = 'passwd_file'\npath = '/etc/../{realm}'", "backend.system.path: "),
        ("type = 'passwd_file'\npath = '/etc/x'\nformat = 'ini'", "backend.system.format: must be "),
    ],
)
def test_what_a_backend_cannot_be(text: str, complaint: str) -> None:
    assert any(complaint in line for line in complaints(site(text)))


@pytest.mark.parametrize("name", ["smtp", "saslauthd-py", "a.b_c-1", "x" * 64])
def test_names_of_pam_files(name: str) -> None:
    assert is_file_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".smtp", "a/b", "SMTP", "smtp\0", "smtp\n", "x" * 65, "bücher", "a b"])
def test_what_is_no_name_of_a_pam_file(name: str) -> None:
    assert not is_file_name(name)


def test_b2_a_file_for_each_realm_keeps_the_realm_although_its_login_has_none() -> None:
    keys = "type = 'passwd_file'\nlogin = '{local}'\npath = '/etc/mail/%s'"
    parse(site(keys % "{realm}/passwd", "'*'"), "FILE")
    with pytest.raises(ConfigurationError, match="ignore_realm"):
        parse(site(keys % "passwd", "'*'"), "FILE")


@pytest.mark.parametrize("kind", ["pam", "shadow", "getpwent", "kerberos"])
def test_b2_the_system_s_users_are_not_those_of_every_realm(kind: str) -> None:
    with pytest.raises(ConfigurationError, match="ignore_realm"):
        parse(site(f"type = '{kind}'", "'*'"), "FILE")
    parse(site(f"type = '{kind}'", "'*'", "ignore_realm = true\n"), "FILE")


def test_b4_pam_before_another_backend_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "configuration"
    text = (
        LISTEN + "[backend.users]\ntype = 'store'\n[backend.system]\ntype = 'pam'\n[[route]]\nrealm = ''\nbackends = ['system', 'users']\n"
    )
    file.write_text(text)
    (warning,) = check(str(file)).warnings
    assert (warning.line, warning.path) == (10, "route[0].backends[0]")
    assert "pam_faillock" in warning.text
    file.write_text(text.replace("['system', 'users']", "['users', 'system']"))
    assert check(str(file)).warnings == ()


@pytest.mark.root
def test_a3_what_root_goes_by_is_changed_by_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "configuration"
    file.write_text(site("type = 'pam'"))
    file.chmod(0o640)
    assert check(str(file), for_root=True).settings.backend
    for mode, owner in ((0o660, 0), (0o642, 0), (0o640, 65534)):
        file.chmod(mode)
        os.chown(file, owner, -1)
        with pytest.raises(ConfigurationError, match="others than root can change what root would do: chown root, chmod go-w"):
            check(str(file), for_root=True)
        assert check(str(file)).settings.backend
        file.chmod(stat.S_IRUSR | stat.S_IWUSR)
        os.chown(file, 0, -1)


def test_the_text_goes_with_what_was_read_from_it(tmp_path: Path) -> None:
    file = tmp_path / "configuration"
    file.write_text(site("type = 'pam'"))
    checked = check(str(file))
    assert checked.text == file.read_text()
    assert "backend.system" not in repr(checked)


def test_a3_a_client_never_chooses_among_all_pam_files() -> None:
    """Debian's `su` has pam_rootok: its PAM lets everybody in whom root asks for, and a worker is root."""
    assert any("name the services" in line for line in complaints(site("type = 'pam'\nservices = []")))
    parse(site("type = 'pam'\nservices = []\npam_service = 'mail'"), "FILE")
    parse(site("type = 'shadow'\nservices = []"), "FILE")


def test_limits_of_failed_logins() -> None:
    settings = AdmissionSettings.model_validate({"per_account": "5/90s", "per_network": "off", "trusted_networks": ["192.0.2.0/24"]})
    assert (settings.per_account, settings.per_network, settings.per_pair) == (Rate(5, 90.0), None, Rate(10, 600.0))
    assert settings.trusted_networks == (ip_network("192.0.2.0/24"),)


def test_limits_are_shown_as_they_are_written() -> None:
    text = site("type = 'pam'", more='[admission]\nper_account = "5/90s"\nper_pair = "off"\ntrusted_networks = ["192.0.2.0/24"]\n')
    assert differences(parse(text, "FILE"))["admission"] == {
        "per_account": "5/90s",
        "per_pair": "off",
        "trusted_networks": ["192.0.2.0/24"],
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("per_account = 30", 'must be failed logins in a time, such as "30/10m", or "off", not a whole number'),
        ('per_account = "30"', 'must be failed logins in a time, such as "30/10m", or "off", not "30"'),
        ('per_account = "0/10m"', 'would never let anybody in; write "off" for no limit'),
        ('per_account = "3/10ms"', "the time must be 1s to 7d"),
        ('per_account = "3/8d"', "the time must be 1s to 7d"),
        ("trusted_networks = [3]", "must be a network in quotes"),
        ('trusted_networks = ["192.0.2.1/24"]', '"192.0.2.1/24" is no network, such as "192.0.2.0/24"'),
        ('trusted_networks = ["mail"]', '"mail" is no network'),
    ],
)
def test_what_no_limit_can_be(text: str, complaint: str) -> None:
    assert any(complaint in line for line in complaints(site("type = 'pam'", more=f"[admission]\n{text}\n")))
