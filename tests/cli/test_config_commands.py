"""`config ...`: the loader's findings, as a command tells them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from saslauthd_py.config.load import differences, load, schema
from tests.cli.commands import Screen, forked, invoke
from tests.cli.sites import OWNER, Site


def test_check_says_ok(site: Site) -> None:
    assert invoke("config", "check", "--config", site.configuration) == (0, f"{site.configuration}: ok\n", "")
    outcome = invoke("config", "check", "--config", site.configuration, "--json")
    assert json.loads(outcome.out) == {"file": site.configuration, "ok": True, "problems": [], "warnings": []}


def test_check_tells_every_problem_at_once(site: Site) -> None:
    site.configure("[cach]\nmax_entries = 1\n[identity]\ndefault_realm = 7")
    outcome = invoke("config", "check", "--config", site.configuration)
    assert (outcome.code, outcome.err) == (78, "")
    first, second = outcome.out.splitlines()
    assert first.startswith(f"{site.configuration}:")
    assert "did you mean" in first
    assert "identity.default_realm" in second
    fields = json.loads(invoke("config", "check", "--config", site.configuration, "--json").out)
    assert (fields["ok"], fields["warnings"]) == (False, [])
    assert [sorted(problem) for problem in fields["problems"]] == [["line", "path", "text"]] * 2
    assert [problem["path"] for problem in fields["problems"]] == ["cach", "identity.default_realm"]


def test_check_warns_of_what_is_hardly_meant(site: Site) -> None:
    site.configure('[backend.unused]\ntype = "store"\npath = "/nonexistent/users.db"')
    outcome = invoke("config", "check", "--config", site.configuration)
    assert (outcome.code, outcome.out) == (0, f"{site.configuration}: ok\n")
    assert outcome.error.startswith("warning: ")
    assert "no route uses this backend" in outcome.error
    outcome = invoke("config", "check", "--config", site.configuration, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert [warning["path"] for warning in json.loads(outcome.out)["warnings"]] == ["backend.unused"]


@pytest.mark.parametrize("command", ["check", "show"])
def test_file_that_is_not_there_is_66(command: str, tmp_path: Path) -> None:
    outcome = invoke("config", command, "--config", str(tmp_path / "none"))
    assert (outcome.code, outcome.out) == (66, "")
    assert outcome.error == f"{tmp_path}/none: cannot be read: no such file or directory"


@pytest.mark.root
@pytest.mark.parametrize("command", ["check", "show"])
def test_file_that_may_not_be_read_is_77(command: str, site: Site) -> None:
    Path(site.configuration).chmod(0o600)
    outcome = forked("config", command, "--config", site.configuration, uid=OWNER.pw_uid)
    assert (outcome.code, outcome.out) == (77, "")
    assert "permission denied" in outcome.error


def test_show_is_toml_of_what_differs(site: Site) -> None:
    outcome = invoke("config", "show", "--config", site.configuration)
    assert (outcome.code, outcome.err) == (0, "")
    changed = differences(load(site.configuration))
    assert changed["failure"] == {"delay": "0s"}
    assert "cache" not in changed
    assert tomllib.loads(outcome.out) == changed
    assert json.loads(invoke("config", "show", "--config", site.configuration, "--json").out) == changed


def test_show_of_a_wrong_file_is_78(site: Site) -> None:
    site.configure("[cach]")
    outcome = invoke("config", "show", "--config", site.configuration)
    assert (outcome.code, outcome.out) == (78, "")
    assert outcome.error.startswith(f"{site.configuration}:")


def test_schema_is_json() -> None:
    outcome = invoke("config", "schema", stdout=Screen())
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == schema()
