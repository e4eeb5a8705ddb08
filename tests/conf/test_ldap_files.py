"""conf/ldap: each file is a part of a configuration as it is, and the one for OpenLDAP does what it says with a real slapd."""

from __future__ import annotations

import grp
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from saslauthd_py.app.directories import prepared
from saslauthd_py.config.load import Checked, check
from saslauthd_py.config.settings import LdapSettings
from tests.cli.commands import forked, invoke
from tests.cli.sites import OWNER
from tests.interop import directory_tree as tree
from tests.interop import slapd as private_slapd
from tests.interop.slapd import Slapd

CONF = Path(__file__).resolve().parents[2] / "conf" / "ldap"
OPENLDAP = "openldap.toml"
UNTESTED = ("lldap.toml",)
TESTED = ("389-ds.toml", "active-directory.toml", OPENLDAP)
FILES = (*UNTESTED, *TESTED)
PASSWORD_FILE = "/etc/saslauthd-py/directory.password"
CA_FILE = "/etc/saslauthd-py/directory-ca.pem"
SERVER = f'[server]\nuser = "{OWNER.pw_name}"\ngroup = "{grp.getgrgid(OWNER.pw_gid).gr_name}"\n[failure]\ndelay = "0s"\n'
LISTEN = '[[listen]]\nprotocol = "saslauthd"\npath = "/run/saslauthd/mux"\n'


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that every user can search."""
    directory = Path(tempfile.mkdtemp(prefix="saslauthd-py-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def slapd(place: Path) -> Iterator[Slapd]:
    with private_slapd.slapd(place / "slapd", users=3) as running:
        yield running


def configured(directory: Path, text: str, password: str = "secret") -> str:  # noqa: S107 - of a test
    """The name of a whole configuration with this part."""
    kept, file = directory / "password", directory / "saslauthd-py.toml"
    kept.touch(mode=0o600)
    kept.write_text(f"{password}\n")
    file.write_text(SERVER + LISTEN + text.replace(PASSWORD_FILE, str(kept)))
    return str(file)


def loaded(directory: Path, name: str) -> Checked:
    return check(configured(directory, (CONF / name).read_text()))


def test_there_is_no_other_file() -> None:
    assert sorted(path.name for path in CONF.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_it_is_a_part_of_a_configuration(tmp_path: Path, name: str) -> None:
    checked = loaded(tmp_path, name)
    assert checked.warnings == ()
    (backend,) = checked.settings.backend.values()
    assert isinstance(backend, LdapSettings)
    assert backend.tls
    assert backend.verify
    assert not backend.drops_realm
    prepared(backend.model_copy(update={"ca_file": None}))


@pytest.mark.parametrize("name", FILES)
def test_its_head_says_whether_it_was_tested(name: str) -> None:
    head = (CONF / name).read_text().partition("\n[")[0]
    assert ("# NOT TESTED with a real " in head) == (name in UNTESTED)
    assert ("It follows " in head) == (name in UNTESTED)
    assert (" Tested with " in head) == (name in TESTED)
    assert PASSWORD_FILE in head


def test_active_directory_s_file_says_whose_controller_it_was_tested_with() -> None:
    head = (CONF / "active-directory.toml").read_text().partition("\n[")[0]
    assert "# Tested with Samba 4.17 as the domain controller. NOT TESTED with Microsoft's" in head


@pytest.mark.parametrize("name", FILES)
def test_it_is_readable(name: str) -> None:
    lines = (CONF / name).read_text().splitlines()
    assert max(map(len, lines)) <= 140
    assert all(line == line.rstrip() for line in lines)


@pytest.fixture
def site(slapd: Slapd, place: Path) -> str:
    """The configuration of OpenLDAP's file, with the names of the test's own directory, and a daemon's user who can read it."""
    text = (CONF / OPENLDAP).read_text()
    for example, real in (
        ('["ldaps://ldap1.example.org", "ldaps://ldap2.example.org"]', f'["{slapd.ldaps}"]'),
        (CA_FILE, str(slapd.ca)),
        ("dc=example,dc=org", tree.BASE),
        ('realm = "example.org"', f'realm = "{tree.DOMAIN}"'),
    ):
        assert example in text
        text = text.replace(example, real)
    return configured(place, text, slapd.service_password)


@pytest.mark.peer("slapd")
def test_openldap_s_file_is_good_for_a_real_slapd(site: str) -> None:
    outcome = invoke("config", "check", "--online", "--config", site, "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, found["ok"]) == (0, True)
    assert [one["step"] for one in found["online"]] == ["connect", "tls", "certificate", "bind", "base", "filter", "users", "group_dn"]
    assert {one["outcome"] for one in found["online"]} == {"pass"}


@pytest.mark.peer("slapd")
@pytest.mark.parametrize(
    ("login", "secret", "code"),
    [
        (tree.ALICE.mail, tree.ALICE.password, 0),
        (tree.numbered(1).mail, tree.numbered(1).password, 0),
        (tree.ALICE.mail, "wrong", 77),
        (tree.numbered(2).mail, tree.numbered(2).password, 77),  # not in the group
        (f"nobody@{tree.DOMAIN}", "wrong", 77),
    ],
)
def test_logins_by_openldap_s_file(site: str, login: str, secret: str, code: int) -> None:
    assert forked("test", login, "--direct", "--password-stdin", "--config", site, stdin=secret.encode()).code == code
