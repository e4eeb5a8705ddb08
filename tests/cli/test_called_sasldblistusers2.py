"""Called as sasldblistusers2: its lines, words and exit codes, beside the real one; of our store and of a sasldb2."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest

from saslauthd_py import sasldb
from saslauthd_py.stamps import Stamp
from tests.cli.commands import Outcome
from tests.cli.sasl_programs import call
from tests.cli.sasl_programs import here as run_here
from tests.cli.sites import Site
from tests.sasldb.sasldbs import key, loaded, set_password, small, users

here = partial(run_here, "sasldblistusers2")


def original(*argv: str) -> Outcome:
    ran = subprocess.run(["sasldblistusers2", *argv], capture_output=True, text=True, check=False)
    return Outcome(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(Stamp, "quiet", True)
    path = tmp_path / "sasldb2"
    path.write_bytes(small())
    return str(path)


def test_of_a_sasldb2_each_property_and_never_a_password(path: str) -> None:
    wanted = Outcome(0, "alice@example.test: userPassword\nbob@example.test: userPassword\n", "")
    assert here("-f", path) == here(path) == here("-f", "/nowhere", "-f", path) == wanted


def test_of_the_configured_store_each_user(site: Site) -> None:
    site.add("bob@example.test")
    site.add("alice@example.test")
    site.add("Plain")
    listed = "Plain@: userPassword\nalice@example.test: userPassword\nbob@example.test: userPassword\n"
    assert call(site, program="sasldblistusers2") == Outcome(0, listed, "")
    assert call(site, str(site.store), program="sasldblistusers2").out == listed


def test_of_a_configured_sasldb2(path: str, site: Site) -> None:
    text = Path(site.configuration).read_text().replace(f'type = "store"\npath = "{site.store}"', f'type = "sasldb"\npath = "{path}"')
    Path(site.configuration).write_text(text)
    assert call(site, program="sasldblistusers2").out == "alice@example.test: userPassword\nbob@example.test: userPassword\n"


def test_names_that_could_move_a_cursor_are_escaped(path: str) -> None:
    Path(path).write_bytes(small().replace(b"alice", b"\x1b[2J\xff"))
    assert here(path).out.startswith("\\x1b[2J\\xff@example.test: userPassword\n")


@pytest.mark.parametrize("name", ["gone", "text", "", "damaged"])
def test_what_cannot_be_listed_is_told_and_the_code_is_the_original_s(name: str, path: str) -> None:
    Path(path, "..").resolve().joinpath("text").write_text("alice:x\n")
    Path(path, "..").resolve().joinpath("damaged").write_bytes(small()[:700])
    outcome = here("-f", str(Path(path).parent / name))
    assert (outcome.code, outcome.out) == (0, "")
    first, last = outcome.err.splitlines()
    assert first.startswith(f"sasldblistusers2: {Path(path).parent / name}: ")
    assert last == "listusers failed"


def test_a_store_that_is_not_there_is_told_alike(site: Site) -> None:
    outcome = call(site, program="sasldblistusers2")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.startswith("sasldblistusers2: ")
    assert outcome.err.endswith("\nlistusers failed\n")


def test_a_wrong_configuration_is_code_1(site: Site) -> None:
    Path(site.configuration).write_text("nonsense = 1\n")
    outcome = call(site, program="sasldblistusers2")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("sasldblistusers2: ")


@pytest.mark.peer("saslpasswd2")
def test_beside_the_original_the_same_lines_in_the_same_order(tmp_path: Path) -> None:
    path = tmp_path / "sasldb2"
    for number in range(40):
        set_password(path, f"user{number}", b"x" * (number * 50 + 1), realm=f"realm{number % 3}.test")
    assert here("-f", str(path)) == here(str(path)) == original("-f", str(path))


@pytest.mark.peer("saslpasswd2", "berkeleydb")
def test_beside_the_original_thousands_and_other_properties(tmp_path: Path) -> None:
    records = [*users(3000), (key("alice", prop="cmusaslsecretOTP"), b"x"), (key("alice", prop="authPassword"), b"x")]
    path = str(loaded(tmp_path / "sasldb2", records))
    listed = here(path)
    assert listed == original(path)
    assert len(listed.out.splitlines()) == len(records) == len(sasldb.read(path).entries)


@pytest.mark.peer("saslpasswd2")
@pytest.mark.parametrize("argv", [("-h",), ("-q",), ("-f",), ("a", "b"), ("-f", "a", "b"), ("-v",), ("-?",)])
def test_a_wrong_command_line_is_told_as_the_original_does(argv: tuple[str, ...]) -> None:
    ours, theirs = here(*argv), original(*argv)
    assert (ours.code, ours.out) == (theirs.code, theirs.out)
    if theirs.code:
        kept = [line for line in theirs.err.splitlines() if line.startswith(("sasldblistusers2: ", "Unrecognized"))]
        assert kept
        assert set(kept) <= set(ours.err.splitlines())
