"""What lies in the repository: nothing that is not meant to, and set-up files that agree with each other."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
TOP = {
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", ".gitignore", ".ci"),
    *("saslauthd_py", "tests", "conf", "packaging"),
}
HOMES = ("home", "root", "Users", "mnt", "media", "work", "workspace", "builds")
"""Where people and build machines keep their things: a path below one of these tells where a file was written."""
HOSTS = {"keepachangelog.com", "json-schema.org", "trio.readthedocs.io"}
"""The hosts that a file may name, beside the reserved names of RFC 2606 and this machine's own."""

_HOME_PATH = re.compile(rf"(?<![\w.~>/-])/({'|'.join(HOMES)})/[\w.-]+")
_HOST = re.compile(r"\bhttps?://(?:[^/\s@]*@)?([A-Za-z0-9.-]+\.[A-Za-z]{2,})")
_RESERVED = re.compile(r"(^|\.)(example|test|invalid|localhost|example\.(com|net|org))$")


@functools.cache
def files() -> tuple[str, ...]:
    """All that git has or would take, by path."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return tuple(sorted({name for name in listed if name and (ROOT / name).is_file()}))


def lines() -> Iterator[tuple[str, str]]:
    """Place and text of every line."""
    for name in files():
        for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1):
            yield f"{name}:{number}", line


def pyproject() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(name: str) -> dict[str, str]:
    """The version of each project in a file of requirements."""
    found = re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", (ROOT / "packaging" / name).read_text(), re.MULTILINE)
    return {canonicalize_name(project): version for project, version in found}


def test_top_level_holds_only_what_belongs_there() -> None:
    assert {name.split("/")[0] for name in files()} == TOP


def test_no_file_tells_where_it_was_written() -> None:
    places = re.compile("|".join(re.escape(place) + r"(?![\w.-])" for place in {str(ROOT), sys.prefix} if len(place) > len("/usr")))
    assert [f"{where}: {line}" for where, line in lines() if _HOME_PATH.search(line) or places.search(line)] == []


@pytest.mark.parametrize("home", HOMES)
def test_a_path_below_somebodys_home_is_seen(home: str) -> None:
    for line in (f"see /{home}/alice/mail", f"cd '/{home}/tool'", f"PATH=/{home}/.local:/usr/bin"):
        assert _HOME_PATH.search(line)


@pytest.mark.parametrize("line", ["/var/spool/postfix/private/auth", "a chroot/root/x", "tests/work/x", "/usr/lib/opt/x", "<b>/home/<b>"])
def test_a_path_that_every_machine_has_is_not(line: str) -> None:
    assert not _HOME_PATH.search(line)


def test_no_file_names_a_host_that_is_not_listed() -> None:
    named = [(where, host.lower()) for where, line in lines() for host in _HOST.findall(line)]
    assert [f"{where}: {host}" for where, host in named if host not in HOSTS and not _RESERVED.search(host)] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned_with_hashes_and_name_no_place(name: str) -> None:
    text = (ROOT / "packaging" / name).read_text()
    entries = re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines()
    pinned = re.compile(r"[a-z0-9._-]+==[\w.+!]+( ; [^@]+?)?( +--hash=sha256:[0-9a-f]{64})+ *")
    assert [entry for entry in entries if not pinned.fullmatch(entry)] == []


def test_pins_are_what_pyproject_asks_for() -> None:
    project = pyproject()
    run, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    wanted = [(requirement, run) for requirement in [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]]
    wanted += [(requirement, dev) for requirement in project["dependency-groups"]["dev"]]
    assert len(wanted) > 10
    for text, pinned in wanted:
        requirement = Requirement(text)
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{text}: not pinned: run `make pins`"
        assert version in requirement.specifier, f"{text}: pinned at {version}: run `make pins`"
    assert {name: version for name, version in dev.items() if run.get(name, version) != version} == {}


def test_pinned_build_backend_is_the_one_that_pyproject_requires() -> None:
    assert pyproject()["dependency-groups"]["build"] == pyproject()["build-system"]["requires"]


def test_changelog_has_a_place_for_the_next_change() -> None:
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text()


def test_ci_calls_make_test_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines() == ["#!/bin/bash", 'cd "$(dirname "${BASH_SOURCE[0]}")/.." && exec make test']


def test_make_lists_its_targets() -> None:
    shown = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = ["help", "run", "test", "lint", "types", "format", "bench", "man", "pins", "clean"]
    assert [line.split()[1] for line in shown.splitlines()] == targets


SAMPLE = """
import pytest

@pytest.mark.peer("there", "gone")
def test_with_gone_peer(): ...

@pytest.mark.peer("there")
def test_with_peer(): ...
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A repository with a peer that is there, one that is not, and a test of each."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "packaging").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "packaging" / "peers.txt").write_text("# peer\nthere sh dash\ngone sh dash\ngone No::Such::Module libgone-perl\n")
    (tmp_path / "tests" / "test_sample.py").write_text(SAMPLE)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['peer', 'root']\naddopts = '--import-mode=importlib'\n")
    return tmp_path


def run_sample(sample: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """pytest in the sample, as another process."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *flags, "tests"]
    return subprocess.run(command, cwd=sample, env={**kept, **environment}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("flags", [(), ("-n", "2")], ids=["one process", "workers"])
def test_a_missing_peer_skips_its_tests_by_name_and_is_listed_at_the_end(sample: Path, flags: tuple[str, ...]) -> None:
    ran = run_sample(sample, *flags)
    assert ran.returncode == 0, ran.stdout
    assert "missing: gone" in ran.stdout
    end = ran.stdout[ran.stdout.index("missing peers") :]
    assert "gone (Debian: libgone-perl), 1 tests not run:\n    tests/test_sample.py::test_with_gone_peer\n" in end
    assert "PEERS=install make test" in end
    assert "1 passed, 1 skipped" in end


def test_a_missing_peer_is_a_failure_with_ci(sample: Path) -> None:
    ran = run_sample(sample, CI="true")
    assert ran.returncode == 1
    assert "missing: gone (with CI=true no test is skipped)" in ran.stdout
    assert "gone (Debian: libgone-perl), 1 tests not run:" in ran.stdout
    assert "1 passed, 1 error" in ran.stdout


def test_a_peer_that_the_table_does_not_have_stops_the_run(sample: Path) -> None:
    (sample / "packaging" / "peers.txt").write_text("there sh dash\n")
    ran = run_sample(sample)
    assert ran.returncode == 4
    assert "test_with_gone_peer: no peer 'gone' in peers.txt: it has there" in ran.stdout + ran.stderr


def test_a_test_that_needs_root_is_skipped_without(sample: Path) -> None:
    (sample / "tests" / "test_sample.py").write_text("import pytest\n@pytest.mark.root\ndef test_root(): ...\n")
    program = "import os, pytest; os.geteuid = lambda: 1000; raise SystemExit(pytest.main(['-rs', '-p', 'no:cacheprovider', 'tests']))"
    for ci, outcome in (("", "1 skipped"), ("true", "1 error")):
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=sample, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False
        )
        assert "needs root" in ran.stdout
        assert outcome in ran.stdout
