"""From words to a command and from an error to a code: what holds for every command."""

from __future__ import annotations

import inspect
import io
import os
import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import saslauthd_py.config.load
from saslauthd_py import __version__, identity, privileges
from saslauthd_py.app.start import StartError
from saslauthd_py.cli import exits
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit, code_of, line_of
from saslauthd_py.cli.main import find, run
from saslauthd_py.cli.parser import build
from saslauthd_py.cli.syntax import DEFAULT_CONFIGURATION
from saslauthd_py.config.load import DEFAULT_PATH, ConfigurationError
from saslauthd_py.control import client
from saslauthd_py.passwords import scheme
from saslauthd_py.store import errors
from tests.cli.commands import invoke

COMMANDS = {" ".join(parser.name): parser for parser in build().walk()}


def test_commands_are_those_of_this_issue() -> None:
    users = "add passwd list show remove rename lock unlock"
    assert set(COMMANDS) == {
        *("serve", "demo", "test", "decode", "hash", "verify"),
        *("status", "reload", "cache flush", "unblock", "monitor", "front"),
        *(f"user {verb}" for verb in users.split()),
        *("import", "export", "backup", "restore"),
        "setup",
        "doctor",
        *(f"config {verb}" for verb in ("check", "convert", "show", "schema")),
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_found_in_its_own_file(name: str) -> None:
    assert inspect.signature(find(COMMANDS[name].name)).parameters


@pytest.mark.parametrize("name", ["", "user", "config", "cache", *COMMANDS])
def test_help_has_exit_status_and_examples(name: str) -> None:
    outcome = invoke(*name.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    status = outcome.out.partition("\nexit status:\n")[2].partition("\n\n")[0]
    codes = [int(line.split()[0]) for line in status.splitlines()]
    assert {64, 70, 130} <= set(codes) <= set(Exit)
    assert codes == sorted(codes)
    assert name in {"user", "config", "cache"} or "\nexamples:\n" in outcome.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_command_line_that_is_understood(name: str) -> None:
    for line, meaning in COMMANDS[name].words.examples:
        words = re.search(r"saslauthd-py (.*?)( >.*)?$", line)
        assert words is not None
        assert meaning
        arguments = build().parse_args(re.sub(r'"[^"]*"', "text", words[1]).split())
        assert " ".join(arguments.command) == name


def test_version() -> None:
    assert invoke("--version") == (0, f"saslauthd-py {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "the following arguments are required: COMMAND; see saslauthd-py --help"),
        ("user", "the following arguments are required: COMMAND; see saslauthd-py user --help"),
        ("user add", "the following arguments are required: USER; see saslauthd-py user add --help"),
        ("serve --chek", "unrecognized arguments: --chek; see saslauthd-py --help"),
        ("user list --back x", "unrecognized arguments: --back x; see saslauthd-py --help"),  # no abbreviations: they break with new flags
        ("test alice --count 0", "argument --count: '0' is no number from 1 on; see saslauthd-py test --help"),
        ("test alice --count x", "argument --count: 'x' is no number from 1 on; see saslauthd-py test --help"),
    ],
)
def test_wrong_command_line_is_64_and_one_line(words: str, line: str) -> None:
    outcome = invoke(*words.split())
    assert (outcome.code, outcome.out, outcome.error) == (64, "", line)


@pytest.mark.parametrize(
    "words", ["usr", "decode --mechanism scram", "test alice --socket /x --direct", "user add a --password-stdin --password-file f"]
)
def test_wrong_choices_are_64(words: str) -> None:
    outcome = invoke(*words.split())
    assert (outcome.code, outcome.out) == (64, "")
    assert outcome.error


def test_no_option_takes_a_secret_as_its_value() -> None:
    """A command line is there for every user of the machine to read."""
    for parser in COMMANDS.values():
        for action in parser.arguments():
            takes_value = action.option_strings and action.nargs != 0
            assert not (takes_value and re.search("pass|secret", action.dest)) or action.metavar == "FILE"


def test_default_configuration_in_the_help_is_that_of_the_loader() -> None:
    assert DEFAULT_CONFIGURATION == DEFAULT_PATH


def _exceptions(module: ModuleType) -> Iterator[type[BaseException]]:
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if issubclass(kind, Exception) and kind.__module__ == module.__name__:
            yield kind


@pytest.mark.parametrize("name", exits._CODES)
def test_every_name_in_the_table_of_codes_is_an_exception(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(import_module(module), kind), BaseException)


@pytest.mark.parametrize(
    "module", [identity, privileges, scheme, errors, saslauthd_py.config.load, client], ids=lambda module: module.__name__
)
def test_every_exception_that_reaches_a_command_has_a_code(module: ModuleType) -> None:
    kinds = list(_exceptions(module))
    assert kinds
    foreseen = [name for name in exits._CODES if not name.startswith("builtins.")]
    for kind in kinds:
        if kind.__name__ == "BackendBusy":  # for the daemon's loop
            continue
        assert any(f"{base.__module__}.{base.__qualname__}" in foreseen for base in kind.__mro__), kind


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (CommandFailed(Exit.NOT_RUNNING, "a line"), 69, "a line"),
        (FileNotFoundError(2, "No such file or directory", "/x"), 66, "/x: no such file or directory"),
        (FileNotFoundError(2, "No such file or directory", b"/x\xff"), 66, "/x\\xff: no such file or directory"),
        (PermissionError(13, "Permission denied", "/x"), 77, "/x: permission denied"),
        (OSError(28, "No space left on device"), 75, "[Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, ""),
        (RuntimeError("what"), 70, "what"),
    ],
)
def test_code_and_line_of_an_error(error: BaseException, code: int, line: str) -> None:
    assert (code_of(error), line_of(error)) == (code, line)


def test_unreadable_configuration_has_the_code_of_what_the_system_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as missing:
        saslauthd_py.config.load.load(str(tmp_path / "none.toml"))
    assert code_of(missing.value) == Exit.NO_FILE


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (errors.NoSuchStore("x"), 66),
        (errors.UnsafeStore("x"), 77),
        (errors.BrokenStore("x"), 75),
        (errors.NewerStore("x"), 75),
        (errors.StoreError("x"), 75),
        (privileges.PrivilegeError("x"), 78),
        (PermissionError(13, "Permission denied", "/x"), 77),
        (ValueError("x"), 78),
        (None, 78),
    ],
)
def test_a_start_that_failed_has_the_code_of_its_cause(cause: BaseException | None, code: int) -> None:
    error = StartError("the line")
    error.__cause__ = cause
    assert (code_of(error), line_of(error)) == (code, "the line")


class Faulty(io.BytesIO):
    """Standard input of a program with a fault."""

    def read(self, size: int | None = -1) -> bytes:
        raise RuntimeError(f"nobody foresaw this at {size}")


def test_a_bug_is_70_with_a_traceback() -> None:
    out, err = io.StringIO(), io.StringIO()
    assert run(["decode"], Environment(Faulty(), out, err, {})) == 70
    assert "RuntimeError: nobody foresaw this" in err.getvalue()
    assert err.getvalue().endswith("saslauthd-py: this is a bug: please report it with the lines above\n")


def test_a_reader_who_has_left_is_no_error(installed: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([*installed, "config", "schema"], stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_who_has_left_does_not_hide_a_verdict(installed: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([*installed, "decode", "?"], stdout=theirs, stderr=theirs, check=False)
    os.close(theirs)
    assert done.returncode == 65


def test_a_full_disk_is_told(installed: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*installed, "decode", "YQ=="], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (75, b"saslauthd-py: standard output: no space left on device\n")


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_a_full_disk_is_told_of_a_help_text(installed: list[str], word: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*installed, word], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (75, b"saslauthd-py: standard output: no space left on device\n")


def test_a_full_disk_for_errors_does_not_hide_the_code(installed: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        assert subprocess.run([*installed, "decode", "?"], stderr=full, check=False).returncode == 65


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("word", "code"), [("YWxpY2U=", 0), ("?", 65), ("-", None)])
def test_closed_streams_are_as_dev_null(installed: list[str], closed: str, word: str, code: int | None) -> None:
    if code is None:
        code = 64 if "<&-" in closed else 0  # nothing to read, nothing to decode
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *installed, "decode", word], input=b"YWxpY2U=", capture_output=True, check=False
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert bool(done.stdout) == (code == 0 and ">&-" not in closed.replace("2>&-", ""))


def test_a_file_opened_later_does_not_get_the_number_of_a_closed_stream(installed: list[str]) -> None:
    script = "import os; from saslauthd_py.cli.environment import Environment; Environment.of_process(); os._exit(os.open('/dev/zero', 0))"
    done = subprocess.run(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", installed[0], "-I", "-c", script], check=False)
    assert 2 < done.returncode < 20


@pytest.mark.parametrize("words", ["serve", "serve --check", "user list", "test alice --direct", "config check", "config show", "status"])
def test_an_empty_name_of_a_configuration_is_64(words: str) -> None:
    outcome = invoke(*words.split(), "--config", "")
    assert (outcome.code, outcome.out) == (64, "")
    assert outcome.error.startswith("argument --config: an empty name; ")


def test_names_that_the_locale_cannot_show_are_escaped(installed: list[str]) -> None:
    python = installed[0]  # not isolated: PYTHONIOENCODING is the one locale that every machine has
    done = subprocess.run(
        [python, "-m", "saslauthd_py", "decode", "w7xieA==", "--mechanism", "login"],
        env={"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b" \\xfcbx\n" in done.stdout


def test_manual_page_is_what_make_man_writes() -> None:
    spec = spec_from_file_location("man", Path(__file__).parents[2] / "packaging" / "man.py")
    assert spec is not None
    assert spec.loader is not None
    generator = module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.PAGE.read_text() == generator.page(), "run `make man`"
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "EXIT STATUS", "FILES", "EXAMPLES"):
        assert f"\n.SH {section}\n" in generator.page()


def test_manual_page_names_every_command_and_option() -> None:
    text = (Path(__file__).parents[2] / "packaging" / "man" / "saslauthd-py.1").read_text().replace("\\-", "-")
    for name, parser in COMMANDS.items():
        assert f"\n.SS {name}\n" in text
        for action in parser.arguments():
            assert all(f"\\fB{option}\\fR" in text for option in action.option_strings), action
