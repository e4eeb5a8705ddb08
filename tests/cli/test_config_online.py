"""`config check --online`, against a real slapd: what is right, and each thing that can be wrong, with a line that says what to do."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.commands import Outcome, invoke
from tests.cli.sites import Site as PlainSite
from tests.interop import directory_tree as tree
from tests.interop import slapd as private_slapd
from tests.interop.slapd import Slapd, black_hole

pytestmark = pytest.mark.peer("slapd")

LISTEN = '[[listen]]\nprotocol = "saslauthd"\npath = "/run/saslauthd/mux"\n'
ROUTE = '[[route]]\nrealm = "example.test"\nbackends = ["directory"]\n'
GROUP = f"cn=mail,{tree.GROUPS}"
IMPATIENT = "500ms"
REACHED = ["connect", "tls", "certificate", "bind"]

Keys = dict[str, str | bool | list[str]]


class Said(NamedTuple):
    """One line of the report."""

    outcome: str
    step: str
    text: str
    unreachable: bool


class Report(NamedTuple):
    """A whole run."""

    code: int
    said: list[Said]

    @property
    def steps(self) -> list[str]:
        return [one.step for one in self.said]

    @property
    def wrong(self) -> Said:
        """The one that is not as it should be, after which there is no other."""
        assert [one for one in self.said if one.outcome != "pass"] == self.said[-1:]
        return self.said[-1]


class Site:
    """A configuration with one directory."""

    def __init__(self, directory: Path, slapd: Slapd) -> None:
        self._file = directory / "saslauthd-py.toml"
        self._slapd = slapd

    def keys(self, **own: str | bool | list[str]) -> Keys:
        """Those of a backend that is right, and `own` in their place; an empty text leaves a key out."""
        right: Keys = {
            "servers": [self._slapd.ldaps],
            "ca_file": str(self._slapd.ca),
            "bind_dn": self._slapd.service,
            "password": self._slapd.service_password,
            "base": tree.PEOPLE,
        }
        return {key: value for key, value in {**right, **own}.items() if value != ""}

    def run(self, *flags: str, **own: str | bool | list[str]) -> Outcome:
        """`config check --online`; no output ever holds the service's password."""
        keys = self.keys(**own)
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        self._file.touch(mode=0o600)
        self._file.write_text("\n".join([LISTEN, "[backend.directory]", 'type = "ldap"', *lines, ROUTE]))
        outcome = invoke("config", "check", "--online", "--config", str(self._file), *flags)
        if "password" in keys and keys["bind_dn"] != self._slapd.admin:  # whose password is a part of that name
            assert str(keys["password"]) not in outcome.out + outcome.err
        return outcome

    def report(self, **own: str | bool | list[str]) -> Report:
        outcome = self.run("--json", **own)
        fields: dict[str, Any] = json.loads(outcome.out)
        said = [Said(one["outcome"], one["step"], one["text"], one["unreachable"]) for one in fields["online"]]
        assert fields["ok"] == (outcome.code == 0) == all(one.outcome != "fail" for one in said)
        assert {one["backend"] for one in fields["online"]} == {"directory"}
        return Report(outcome.code, said)


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    directory = Path(tempfile.mkdtemp(prefix="saslauthd-py-"))
    directory.chmod(0o755)
    with private_slapd.slapd(directory / "slapd", users=3) as running:
        yield running
    shutil.rmtree(directory)


@pytest.fixture
def site(slapd: Slapd, tmp_path: Path) -> Site:
    return Site(tmp_path, slapd)


def test_what_is_right_is_a_line_each(site: Site, slapd: Slapd) -> None:
    outcome = site.run()
    assert (outcome.code, outcome.err) == (0, "")
    *lines, last = outcome.out.splitlines()
    assert last.endswith("saslauthd-py.toml: ok")
    assert [line.split("  ")[:2] for line in lines] == [["pass", f"backend.directory {slapd.ldaps}"]] * 7
    assert f"pass  backend.directory {slapd.ldaps}  bind: as {slapd.service}" in lines


def test_every_way_to_a_server_that_is_right(site: Site, slapd: Slapd) -> None:
    asked = ["base", "filter", "users"]
    assert site.report().steps == [*REACHED, *asked]
    assert site.report(servers=[slapd.ldap], start_tls=True).steps == [*REACHED, *asked]
    named = site.report(servers=[f"ldaps://localhost:{slapd.tls_port}"])
    assert (named.code, named.steps) == (0, ["name", *REACHED, *asked])
    plain = site.report(servers=[slapd.ldap], ca_file="")
    assert (plain.code, plain.steps) == (0, ["connect", "bind", *asked])
    socket = site.report(servers=[slapd.ldapi], ca_file="", bind_dn="", password="", sasl_external=True)
    assert (socket.code, socket.steps) == (0, ["connect", "bind", *asked])
    assert f"which is dn:{slapd.service} there" in socket.said[1].text


@pytest.mark.parametrize("way", ["ldaps", "start_tls"])
def test_a_wrong_ca_is_told(site: Site, slapd: Slapd, way: str) -> None:
    tls: Keys = {"servers": [slapd.ldap], "start_tls": True} if way == "start_tls" else {}
    report = site.report(ca_file=str(slapd.other_ca), **tls)
    assert (report.code, report.wrong.step, report.wrong.unreachable) == (78, "certificate", False)
    assert report.wrong.text.startswith(f"it does not come from {slapd.other_ca} (")
    assert "name its CA's certificate in ca_file" in report.wrong.text
    assert "the system's certificates" in site.report(ca_file="", **tls).wrong.text


@pytest.mark.parametrize("way", ["ldaps", "start_tls"])
def test_a_wrong_host_name_is_told_with_those_that_are_right(site: Site, slapd: Slapd, way: str) -> None:
    tls: Keys = {"servers": [slapd.ldap_unnamed], "start_tls": True} if way == "start_tls" else {"servers": [slapd.ldaps_unnamed]}
    report = site.report(**tls)
    assert (report.code, report.wrong.step) == (78, "certificate")
    assert report.wrong.text.startswith("it is not for 127.0.0.2, but for localhost, ")


def test_a_certificate_that_is_not_looked_at_is_a_warning(site: Site, slapd: Slapd) -> None:
    report = site.report(servers=[slapd.ldaps_unnamed], ca_file="", verify=False)
    assert report.code == 0
    assert [one.step for one in report.said if one.outcome == "warn"] == ["certificate"]


def test_a8_wrong_password_is_told_and_shown_nowhere(site: Site) -> None:
    report = site.report(password="not the right one")
    assert (report.code, report.wrong.step) == (78, "bind")
    assert "invalidCredentials (49); correct bind_dn or its password" in report.wrong.text


def test_nobody_may_read_there(site: Site) -> None:
    report = site.report(bind_dn="", password="")
    assert (report.code, report.wrong.step) == (78, "base")
    assert "set bind_dn" in report.wrong.text


@pytest.mark.parametrize("base", [f"ou=none,{tree.BASE}", "dc=elsewhere"])
def test_a_wrong_base_is_told(site: Site, base: str) -> None:
    report = site.report(base=base)
    assert (report.code, report.wrong.step) == (78, "base")
    assert report.wrong.text.startswith(f"{base}: noSuchObject (32); there is no such entry")


def test_a_base_that_needs_a_login_is_skipped(site: Site) -> None:
    report = site.report(base="ou=people,dc=%2,dc=%1")
    assert (report.code, report.wrong.outcome, report.wrong.step) == (0, "skip", "filter")
    assert "`saslauthd-py test NAME --trace`" in report.wrong.text


def test_a_misspelt_filter_is_a_warning(site: Site) -> None:
    report = site.report(filter="(uidd=%U)")
    assert (report.code, report.wrong.outcome, report.wrong.step) == (0, "warn", "users")
    assert report.wrong.text.startswith("(uidd=*) finds none, so nobody can log in")


def test_a_filter_that_finds_anybody_is_a_failure(site: Site) -> None:
    report = site.report(filter="(|(uid=%U)(uid=alice))")
    assert (report.code, report.wrong.outcome, report.wrong.step) == (78, "fail", "filter")
    assert "finds an entry for a name that nobody has" in report.wrong.text


def test_stored_passwords_must_be_readable_and_are_not_read(site: Site, slapd: Slapd) -> None:
    report = site.report(method="compare")
    assert (report.code, report.wrong.step) == (78, "password_attribute")
    assert report.wrong.text.startswith("no entry shows userPassword: give the service the right to read it")
    right = site.report(method="compare", bind_dn=slapd.admin, password=slapd.admin_password)
    assert (right.code, right.said[-1].outcome, right.said[-1].text) == (0, "pass", "userPassword may be read")


def test_a_template_cannot_be_tried_without_a_login(site: Site) -> None:
    report = site.report(method="template", base="", dn_template=f"uid=%U,{tree.PEOPLE}")
    assert (report.code, report.steps, report.wrong.outcome) == (0, [*REACHED, "dn_template"], "skip")


@pytest.mark.parametrize("attribute", ["member", "memberOf"])
def test_a_group_that_is_right(site: Site, attribute: str) -> None:
    report = site.report(group_dn=GROUP, group_attribute=attribute)
    assert report.code == 0
    assert report.steps[-1] == "group_dn"
    assert {one.outcome for one in report.said} == {"pass"}


def test_a_group_filter_that_is_right(site: Site) -> None:
    report = site.report(group_filter="(&(cn=mail)(member=%D))", group_base=tree.GROUPS)
    assert (report.code, report.steps[-3:]) == (0, ["group_base", "group_filter", "groups"])
    assert {one.outcome for one in report.said} == {"pass"}


@pytest.mark.parametrize(
    ("keys", "code", "step", "text"),
    [
        ({"group_dn": f"cn=none,{tree.GROUPS}", "group_attribute": "member"}, 78, "group_dn", "noSuchObject (32); there is no such entry"),
        ({"group_dn": GROUP, "group_attribute": "uniqueMember"}, 78, "group_dn", "has no uniqueMember that the service may compare"),
        ({"group_dn": f"cn=none,{tree.GROUPS}", "group_attribute": "memberOf"}, 78, "group_dn", "noSuchObject (32)"),
        ({"group_dn": f"cn=%s,{tree.GROUPS}", "group_attribute": "member"}, 0, "group_dn", "needs a login"),
        ({"group_filter": "(member=%D)", "group_base": "ou=none,dc=test"}, 78, "group_base", "noSuchObject (32)"),
        ({"group_filter": "(member=%D)", "group_base": "ou=%s,dc=test"}, 0, "group_filter", "needs a login"),
        ({"group_filter": "(&(cn=none)(member=%D))", "group_base": tree.GROUPS}, 0, "groups", "finds none, so nobody can log in"),
    ],
)
def test_a_group_that_is_wrong_is_told(site: Site, keys: Keys, code: int, step: str, text: str) -> None:
    report = site.report(**keys)
    assert (report.code, report.said[-1].step) == (code, step)
    assert report.said[-1].outcome != "pass"
    assert text in report.said[-1].text


def test_a_server_that_is_stopped_is_75(site: Site, slapd: Slapd) -> None:
    with slapd.stopped():
        for servers in ([slapd.ldaps], [slapd.ldapi]):
            report = site.report(servers=servers, ca_file=str(slapd.ca) if servers == [slapd.ldaps] else "")
            assert (report.code, report.steps, report.wrong.unreachable) == (75, ["connect"], True)


def test_each_server_is_tried_and_one_that_is_down_is_75(site: Site, slapd: Slapd) -> None:
    with black_hole() as hole:
        closed = f"ldaps://127.0.0.1:{hole.port}"
    report = site.report(servers=[closed, slapd.ldaps])
    assert (report.code, report.said[0].outcome, report.said[-1].outcome) == (75, "fail", "pass")
    assert report.steps == ["connect", *REACHED, "base", "filter", "users"]


@pytest.mark.parametrize(("way", "step"), [("ldap", "answer"), ("ldaps", "tls"), ("start_tls", "tls")])
def test_a_server_that_says_nothing_is_75(site: Site, way: str, step: str) -> None:
    with black_hole() as hole:
        keys: Keys = {"servers": [hole.ldaps if way == "ldaps" else hole.ldap], "timeout": IMPATIENT}
        if way == "ldap":
            keys["ca_file"] = ""
        if way == "start_tls":
            keys["start_tls"] = True
        report = site.report(**keys)
    assert (report.code, report.wrong.step, report.wrong.unreachable) == (75, step, True)
    assert "within 0.5 s" in report.wrong.text


def test_a_server_that_is_frozen_is_75(site: Site, slapd: Slapd) -> None:
    with slapd.frozen():
        report = site.report(servers=[slapd.ldap], ca_file="", timeout=IMPATIENT)
    assert (report.code, report.wrong.step) == (75, "answer")


def test_tls_where_there_is_none_is_told(site: Site, slapd: Slapd) -> None:
    report = site.report(servers=[f"ldaps://127.0.0.1:{slapd.port}"])
    assert (report.code, report.wrong.step) == (78, "tls")
    assert "start_tls = true with ldap://" in report.wrong.text
    clear = site.report(servers=[f"ldap://127.0.0.1:{slapd.tls_port}"], ca_file="")
    assert (clear.code, clear.wrong.step) == (75, "answer")
    assert "does it want TLS there?" in clear.wrong.text


def test_a_name_that_has_no_address_is_told(site: Site) -> None:
    report = site.report(servers=["ldaps://nosuch.invalid"])
    assert report.wrong.step == "name"
    assert report.code == (75 if report.wrong.unreachable else 78)


def test_failures_are_seen_by_who_reads(site: Site) -> None:
    outcome = site.run(base="dc=elsewhere")
    assert outcome.code == 78
    assert "\nfail  backend.directory " in outcome.out
    assert outcome.out.splitlines()[-1].endswith(": see what failed above")


def test_warnings_of_the_file_are_told_as_ever(site: Site, slapd: Slapd) -> None:
    outcome = site.run(servers=[slapd.ldaps_unnamed], ca_file="", verify=False)
    assert "no certificate is checked" in outcome.error


def test_a_site_without_a_directory_has_nothing_to_try(site: Site) -> None:
    directory = Path(tempfile.mkdtemp(prefix="saslauthd-py-"))
    plain = PlainSite(directory)
    plain.configure()
    outcome = invoke("config", "check", "--online", "--config", plain.configuration)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"{plain.configuration}: ok; there is no backend to try online\n"
    shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"filter": "(uid=%U"}, '"(uid=%U" has a parenthesis that is not closed'),
        ({"ca_file": "/nonexistent/ca.pem"}, "/nonexistent/ca.pem: No such file or directory"),
    ],
)
def test_what_cannot_be_used_is_a_problem_with_its_line(site: Site, tmp_path: Path, keys: Keys, problem: str) -> None:
    outcome = site.run(**keys)
    (key,) = keys
    file = tmp_path / "saslauthd-py.toml"
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if text.startswith(key))
    assert (outcome.code, outcome.out) == (78, f"{file}:{line}: backend.directory.{key}: {problem}\n")
    offline = invoke("config", "check", "--config", str(file))
    assert (offline.code, offline.out) == (78, outcome.out)
