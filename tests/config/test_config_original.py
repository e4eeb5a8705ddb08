"""`saslauthd_conf`: the original's file beneath our own keys."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from saslauthd_py.config.load import Checked, ConfigurationError, check, differences, load, render_toml
from saslauthd_py.config.settings import LdapSettings
from tests.config.samples import LISTEN

WHOLE = """\
ldap_servers: ldap://192.0.2.1/ ldap://192.0.2.2/
ldap_start_tls: yes
ldap_bind_dn: cn=mail,dc=example,dc=org
ldap_password: correct horse
ldap_search_base: ou=people,dc=example,dc=org
ldap_filter: (mail=%U@%d)
"""
ROUTE = '[[route]]\nrealm = "example.org"\nbackends = ["old"]\n'


class Site:
    """A configuration with one backend by the original's file."""

    def __init__(self, directory: Path) -> None:
        self.original = directory / "saslauthd.conf"
        self.file = directory / "saslauthd-py.toml"
        self.write(WHOLE)
        self.configure()

    def write(self, text: str, mode: int = 0o640) -> None:
        self.original.write_bytes(text.encode("utf-8", "surrogateescape"))
        self.original.chmod(mode)

    def configure(self, own: str = "", more: str = "") -> None:
        backend = f'[backend.old]\ntype = "ldap"\nsaslauthd_conf = "{self.original}"\n{own}'
        self.file.write_text(LISTEN + backend + ROUTE + more)
        self.file.chmod(0o644)

    @property
    def settings(self) -> LdapSettings:
        settings = load(str(self.file)).backend["old"]
        assert isinstance(settings, LdapSettings)
        return settings

    @property
    def checked(self) -> Checked:
        return check(str(self.file))

    def warnings(self) -> list[str]:
        return [str(warning).removeprefix(f"{self.file}:") for warning in self.checked.warnings]

    def complaints(self) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            load(str(self.file))
        return [str(problem).removeprefix(f"{self.file}:") for problem in caught.value.problems]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_original_s_file_alone_is_a_backend(site: Site) -> None:
    settings = site.settings
    assert [str(server) for server in settings.servers] == ["ldap://192.0.2.1", "ldap://192.0.2.2"]
    assert (settings.start_tls, settings.verify, settings.method) == (True, True, "bind")
    assert (settings.bind_dn, settings.base, settings.filter) == (
        "cn=mail,dc=example,dc=org",
        "ou=people,dc=example,dc=org",
        "(mail=%U@%d)",
    )
    assert settings.password is not None
    assert settings.password.reveal() == b"correct horse"
    assert settings.saslauthd_conf == str(site.original)


@pytest.mark.parametrize("own", ["", 'base = "dc=org"\n', "start_tls = false\n", 'servers = ["ldaps://a"]\nstart_tls = false\n'])
def test_own_keys_win_over_the_file_s(site: Site, own: str) -> None:
    site.configure(own)
    settings = site.settings.model_dump(mode="json")
    for key, value in tomllib.loads(own).items():
        assert settings[key] == value
    assert settings["filter"] == "(mail=%U@%d)"


@pytest.mark.parametrize("in_line", [True, False])
def test_own_password_wins_over_the_file_s(site: Site, tmp_path: Path, in_line: bool) -> None:
    kept = tmp_path / "password"
    kept.touch(mode=0o600)
    kept.write_text("another\n")
    site.configure('password = "another"\n' if in_line else f'password_file = "{kept}"\n')
    site.file.chmod(0o600)
    assert site.settings.password is not None
    assert site.settings.password.reveal() == b"another"


def test_a8_password_of_the_file_is_no_secret_in_line_and_shown_nowhere(site: Site) -> None:
    checked = site.checked
    assert checked.warnings
    shown = render_toml(differences(checked.settings))
    assert "correct horse" not in shown + repr(checked) + "".join(site.warnings())
    assert tomllib.loads(shown)["backend"]["old"]["bind_dn"] == "cn=mail,dc=example,dc=org"


def test_what_is_shown_is_loaded_again_to_the_same(site: Site) -> None:
    site.configure('group_dn = "cn=a,dc=org"\ngroup_attribute = "member"\n')
    before = load(str(site.file))
    site.file.write_text(render_toml(differences(before)))
    assert load(str(site.file)).model_dump() == before.model_dump() | {}
    assert site.settings.password is not None


def test_a_password_file_of_one_s_own_is_shown(site: Site, tmp_path: Path) -> None:
    kept = tmp_path / "password"
    kept.touch(mode=0o600)
    kept.write_text("another\n")
    site.configure(f'password_file = "{kept}"\n')
    assert differences(load(str(site.file)))["backend"]["old"]["password_file"] == str(kept)


def test_a8_file_with_a_password_is_not_open_to_others(site: Site) -> None:
    for mode in (0o644, 0o642):
        site.original.chmod(mode)
        why = "holds a password and is open to every user of this machine: chmod o= it, and change the password"
        assert site.complaints() == [f'6: backend.old.saslauthd_conf: "{site.original}" {why}']
    site.write("ldap_search_base: dc=example,dc=org\nldap_filter: (mail=%u@%r)\n", mode=0o644)
    assert site.settings.password is None


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (Path.exists, "cannot be read: no such file or directory"),
        (Path.mkdir, "cannot be read: is a directory"),
        (os.mkfifo, "is no regular file"),
        (lambda path: path.write_bytes(b"#" * (1 << 20) + b"\n"), "has over 1048576 bytes: that is no configuration"),
    ],
    ids=["none", "directory", "fifo", "endless"],
)
def test_a_file_that_cannot_be_read_is_told(site: Site, make: object, why: str) -> None:
    site.original.unlink()
    assert callable(make)
    make(site.original)
    assert site.complaints() == [f'6: backend.old.saslauthd_conf: "{site.original}" {why}']


def test_every_fault_has_its_line_in_the_file(site: Site) -> None:
    site.write("ldap_search_base dc=x\nldap_filter:\nldap_use_sasl: yes\n")
    place = f"6: backend.old.saslauthd_conf: {site.original}"
    *first, last = site.complaints()
    assert last.startswith(f"{place}:3: ldap_use_sasl: users are bound by SASL")
    assert [complaint.partition(": the original")[0] for complaint in first] == [
        f"{place}:1: ldap_search_base: must be a key, a colon right after it, and a value",
        f"{place}:2: ldap_filter: has no value",
    ]


def test_key_that_the_file_makes_wrong_is_told_of_the_file(site: Site) -> None:
    site.write("ldap_servers: http://a\n")
    (complaint,) = site.complaints()
    assert complaint.startswith(f"6: backend.old.saslauthd_conf: {site.original}: makes servers, which must be a server such as")
    site.configure('servers = ["ftp://a"]\n')
    (complaint,) = site.complaints()
    assert complaint.startswith("7: backend.old.servers[0]: must be a server such as")


def test_own_keys_of_a_file_that_cannot_be_read_are_looked_at_all_the_same(site: Site) -> None:
    site.original.unlink()
    site.configure('scope = "all"\nbas = "dc=x"\n')
    assert [complaint.partition(":")[0] for complaint in site.complaints()] == ["6", "7", "8"]


def test_what_is_not_utf_8_is_told_and_a_password_may_be_of_any_bytes(site: Site) -> None:
    site.write(WHOLE.replace("correct", "c\udce4rrect"))
    assert site.settings.password is not None
    assert site.settings.password.reveal() == b"c\xe4rrect horse"
    site.write(WHOLE.replace("people", "b\udcfccher"))
    (complaint,) = site.complaints()
    assert complaint.endswith(f"{site.original}: what is to be base here is not UTF-8: save the file as UTF-8")


def test_notes_are_warnings_with_their_lines(site: Site) -> None:
    site.write(WHOLE + "ldap_debug: 1\nldap_default_realm: example.org\n")
    (realms, debug, default) = site.warnings()
    place = f"6: backend.old.saslauthd_conf: {site.original}"
    assert realms.startswith(f"{place}:6: ldap_filter: a login without a realm is refused here")
    assert debug == f"{place}:7: ldap_debug: `test --trace` shows the steps of a login here"
    assert default.startswith(f"{place}:8: ldap_default_realm: is default_realm of [identity] here")


def test_a_default_realm_that_is_configured_is_no_news(site: Site) -> None:
    site.write(WHOLE + "ldap_default_realm: example.org\n")
    site.configure(more='[identity]\ndefault_realm = "example.org"\n')
    assert not [warning for warning in site.warnings() if "ldap_default_realm" in warning]
    site.configure(more='[identity]\ndefault_realm = "other.example"\n')
    assert [warning for warning in site.warnings() if "ldap_default_realm" in warning]


@pytest.mark.parametrize("document", ["backend = 1\n", "backend.old = 1\n", '[backend.old]\ntype = "ldap"\nsaslauthd_conf = 1\n'])
def test_a_document_that_is_none_is_told_as_ever(tmp_path: Path, document: str) -> None:
    file = tmp_path / "saslauthd-py.toml"
    file.write_text(document)
    with pytest.raises(ConfigurationError):
        load(str(file))


def test_b2_templates_that_drop_the_realm_are_named(site: Site) -> None:
    site.write("ldap_search_base: dc=x\nldap_filter: (uid=%u)\n")
    site.file.write_text(site.file.read_text().replace('"example.org"', '"*"'))
    (complaint,) = site.complaints()
    assert 'backend "old" drops it (filter = "(uid=%U)"): alice@any.example would be its alice' in complaint
    assert "put %r into its filter, or say ignore_realm" in complaint
