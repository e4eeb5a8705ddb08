"""`config convert` of what starts the original: what it prints loads, and says what changes."""

from __future__ import annotations

import grp
import json
import os
import tomllib
from pathlib import Path

import pytest

from saslauthd_py.cli.config import convert_started, originals
from saslauthd_py.config.load import parse
from saslauthd_py.monitor import pam_call
from tests.cli.commands import Outcome, invoke


def written(directory: Path, name: str, text: str) -> str:
    file = directory / name
    file.write_text(text)
    return str(file)


def converted(directory: Path, text: str, *flags: str) -> Outcome:
    return invoke("config", "convert", written(directory, "saslauthd", text), *flags)


@pytest.fixture(autouse=True)
def _own_pam_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pam_call, "DIRECTORIES", (str(tmp_path / "pam.d"),))


def test_services_with_a_file_in_pam_d_are_told_from_the_others(tmp_path: Path) -> None:
    started = f"SOCKETDIR={tmp_path}\nMECH=pam\n"
    (tmp_path / "pam.d").mkdir()
    (tmp_path / "pam.d" / "pop3").touch()
    assert tomllib.loads(converted(tmp_path, started).out)["backend"] == {"pam": {"type": "pam"}}, "without `other` there is nobody to ask"
    (tmp_path / "pam.d" / "other").touch()
    outcome = converted(tmp_path, started)
    assert tomllib.loads(outcome.out)["backend"] == {
        "pam": {"type": "pam", "services": ["pop"]},
        "pam_other": {"type": "pam", "pam_service": "other", "services": []},
    }
    assert "services without their own file in /etc/pam.d are asked of its `other`" in outcome.out


def test_debians_file_goes_on_working(tmp_path: Path) -> None:
    outcome = converted(tmp_path, f'START=yes\nMECHANISMS=pam\nTHREADS=5\nOPTIONS="-c -m {tmp_path}/absent"\n')
    assert (outcome.code, outcome.err) == (0, "")
    assert tomllib.loads(outcome.out) == {
        "log": {"to": "syslog", "style": "cyrus"},
        "listen": [{"protocol": "saslauthd", "path": f"{tmp_path}/absent/mux", "group": "sasl"}],
        "backend": {"pam": {"type": "pam", "workers": 5, "cache": "8h"}},
        "route": [{"realm": "*", "backends": ["pam"], "ignore_realm": True}],
    }
    assert parse(outcome.out, "").route[0].ignore_realm
    comments = [line for line in outcome.out.splitlines() if line.startswith("#")]
    assert f"# {tmp_path}/saslauthd: -c: a password that was changed is good for up to 8h still, as it was; " in "\n".join(comments)
    fields = json.loads(converted(tmp_path, (tmp_path / "saslauthd").read_text(), "--json").out)
    assert fields["configuration"] == tomllib.loads(outcome.out)
    assert [f"# {note}" for note in fields["notes"]] == comments[-len(fields["notes"]) :]
    assert fields["problems"] == []


def test_red_hats_directory_is_open_to_everybody(tmp_path: Path) -> None:
    outcome = converted(tmp_path, f"SOCKETDIR={tmp_path}/absent\nMECH=shadow\nFLAGS=-r\n")
    assert tomllib.loads(outcome.out)["listen"] == [{"protocol": "saslauthd", "path": f"{tmp_path}/absent/mux", "mode": "0777"}]
    assert tomllib.loads(outcome.out)["backend"] == {"shadow": {"type": "shadow", "login": "{local}@{realm}"}}


@pytest.mark.root
@pytest.mark.parametrize(("mode", "group"), [(0o710, "daemon"), (0o755, ""), (0o700, "")])
def test_directory_that_is_there_says_who_may_ask(tmp_path: Path, mode: int, group: str) -> None:
    os.chown(tmp_path, 0, grp.getgrnam("daemon").gr_gid)
    tmp_path.chmod(mode)
    assert originals.group_of_directory(str(tmp_path), "sasl") == group
    os.chown(tmp_path, 65534, -1)
    assert originals.group_of_directory(str(tmp_path), "sasl") == ""


def test_all_instances_become_one_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, mechanism in (("saslauthd-postfix", "sasldb"), ("saslauthd", "pam"), ("saslauthd.dpkg-old", "nope"), ("other", "nope")):
        written(tmp_path, name, f'START=yes\nMECHANISMS={mechanism}\nOPTIONS="-m {tmp_path}/{name}"\n')
    red_hat = written(tmp_path, "sysconfig", f"SOCKETDIR={tmp_path}/red\nMECH=shadow\n")
    monkeypatch.setattr(convert_started, "DEFAULTS", str(tmp_path))
    monkeypatch.setattr(convert_started, "SYSCONFIG", red_hat)
    outcome = invoke("config", "convert")
    assert outcome.code == 0, outcome.err
    settings = parse(outcome.out, "")
    assert [listen.path for listen in settings.listen] == [f"{tmp_path}/{name}/mux" for name in ("saslauthd", "saslauthd-postfix", "red")]
    assert [route.backends for route in settings.route] == [("pam",), ("sasldb",), ("shadow",)]
    monkeypatch.setattr(convert_started, "DEFAULTS", str(tmp_path / "none"))
    monkeypatch.setattr(convert_started, "SYSCONFIG", str(tmp_path / "none"))
    outcome = invoke("config", "convert")
    assert outcome.code == 66
    assert "nothing here starts saslauthd" in outcome.error


def test_two_instances_in_one_directory_are_printed_and_65(tmp_path: Path) -> None:
    files = [written(tmp_path, name, f"SOCKETDIR={tmp_path}\nMECH=pam\n") for name in ("a", "b")]
    outcome = invoke("config", "convert", *files)
    assert outcome.code == 65
    assert f'# listen[1].path: "{tmp_path}/mux" is the path of listen[0] already' in outcome.out
    assert len(tomllib.loads(outcome.out)["listen"]) == 2


def test_ldaps_file_may_lie_elsewhere_than_in_etc(tmp_path: Path) -> None:
    conf = written(tmp_path, "conf", "ldap_servers: ldap://127.0.0.1\nldap_search_base: dc=x\nldap_filter: (mail=%u)\n")
    started = f"SOCKETDIR={tmp_path}\nMECH=ldap\n"
    backend = tomllib.loads(converted(tmp_path, started, "--saslauthd-conf", conf).out)["backend"]["ldap"]
    assert backend == {"type": "ldap", "saslauthd_conf": conf}
    backend = tomllib.loads(converted(tmp_path, started, "--saslauthd-conf", conf, "--whole-logins").out)["backend"]["ldap"]
    assert backend == {"type": "ldap", "saslauthd_conf": conf, "filter": "(mail=%u)"}
    outcome = converted(tmp_path, started, "--saslauthd-conf", f"{conf}.none")
    assert outcome.code == 65
    assert f'# backend.ldap.saslauthd_conf: "{conf}.none" cannot be read: no such file or directory\n' in outcome.out


@pytest.mark.root
def test_daemon_is_of_the_sasldbs_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Path(written(tmp_path, "sasldb2", ""))
    monkeypatch.setattr(originals, "SASLDB", str(database))
    started = f"SOCKETDIR={tmp_path}\nMECH=sasldb\n"
    for mode, group, server in (
        (0o660, "daemon", {"group": "daemon"}),
        (0o664, "daemon", None),
        (0o660, "root", None),
        (0o600, "daemon", None),
    ):
        os.chown(database, 0, grp.getgrnam(group).gr_gid)
        database.chmod(mode)
        assert tomllib.loads(converted(tmp_path, started).out).get("server") == server


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("MECHANISMS=pam\nrm x\n", ":2: "),
        ("MECH=nope\n", ": unknown authentication mechanism: nope"),
        ("MECH=pam\nFLAGS=-x\n", ": option -x not recognized"),
        ("MECH=pam\nFLAGS=-h\n", ": -h or -v: no saslauthd was started by that"),
        ("MECH=rimap\n", ": failed to initialize mechanism rimap"),
        ("x=1\n", ": MECHANISMS names no mechanism"),
    ],
)
def test_a_file_that_started_nothing_is_65(tmp_path: Path, text: str, line: str) -> None:
    outcome = converted(tmp_path, text)
    assert (outcome.code, outcome.out) == (65, "")
    assert outcome.error.startswith(f"{tmp_path}/saslauthd{line}")


def test_no_file_is_66_and_a_name_for_several_backends_is_64(tmp_path: Path) -> None:
    assert invoke("config", "convert", str(tmp_path / "none")).code == 66
    assert converted(tmp_path, "MECH=pam\n", "--backend", "x").code == 64
