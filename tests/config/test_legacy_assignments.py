"""Variables of /etc/default and /etc/sysconfig: what a shell would set, and nothing that it would run."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saslauthd_py.config.legacy.assignments import AssignmentError, of_shell, of_systemd

NAMES = ("A", "B", "OPTIONS")


def values(text: str) -> dict[str, str]:
    return {name: assigned.value for name, assigned in of_shell(text).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('OPTIONS="-c -m /var/run/saslauthd"\n', {"OPTIONS": "-c -m /var/run/saslauthd"}),
        ("A='x y'\nB=1 # why\n#C=2\n  export D=3", {"A": "x y", "B": "1", "D": "3"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=\nB=''\nC=\"\"", {"A": "", "B": "", "C": ""}),
        ("A=/run\nB=\"$A/x\"\nC=${A}'$A'y", {"A": "/run", "B": "/run/x", "C": "/run$Ay"}),
        ("A=a\\ b\"\\$\\x\"'\\'\\\nc", {"A": "a b$\\x\\c"}),
        ("A=1 B=2", {"A": "1", "B": "2"}),
        ("A=x#y", {"A": "x#y"}),
        ('A="two\nlines"\nB=1', {"A": "two\nlines", "B": "1"}),
        ("", {}),
    ],
)
def test_what_a_shell_sets(text: str, expected: dict[str, str]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("A=1\nrm -rf /\n", 2, "nothing is run here"),
        ("A=$(id)", 1, "only a shell could know"),
        ("A=`id`", 1, "means something to a shell"),
        ('A="`id`"', 1, "runs a command"),
        ("A=1;id", 1, "means something to a shell"),
        ("A=1 id", 1, "nothing is run here"),
        ("if true; then\nA=1\nfi", 1, "nothing is run here"),
        ("A=$UNSET", 1, "$UNSET is set nowhere above"),
        ("A=${B:-x}", 1, "only a shell could know"),
        ("A=~root", 1, "means something to a shell"),
        ("A=1\nB='x\n\n", 2, "a quote that is not closed"),
        ('\nB="x\n\n', 2, "a quote that is not closed"),
        ("A=1\r\n", 1, "as on Windows"),
        ("A=1\nB=x\\", 2, "a backslash with nothing behind it"),
        (". /etc/x", 1, "nothing is run here"),
        ("A =1", 1, "nothing is run here"),
        ("A+=1", 1, "nothing is run here"),
    ],
)
def test_what_only_a_shell_could_know_is_told_with_its_line(text: str, line: int, told: str) -> None:
    with pytest.raises(AssignmentError) as raised:
        of_shell(text)
    assert raised.value.line == line
    assert told in str(raised.value)


PIECES = st.sampled_from(
    ["A=", "B=", "OPTIONS=", "x", "1", " ", "\n", "'", '"', "\\", "$A", "${B}", "#", "=", "-c", "/run", "\t", "$", ";", "`", "*", "~", "é"]
)


@settings(max_examples=150)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_a_shell_agrees_with_all_that_is_read(text: str) -> None:
    try:
        found = values(text)
    except AssignmentError:
        return
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "defaults"
        file.write_text(text)
        printing = "".join(f'printf "%s\\0" "${{{name}-unset}}"; ' for name in NAMES)
        told = subprocess.run(["/bin/sh", "-c", f". {file}; {printing}"], env={}, capture_output=True, text=True, check=True).stdout
    assert told.split("\0")[:-1] == [found.get(name, "unset") for name in NAMES]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FLAGS=-n 5 -c\nMECH='pam'\n; no\n# no\n", {"FLAGS": "-n 5 -c", "MECH": "pam"}),
        ('FLAGS="-O /a b"  \r\n', {"FLAGS": "-O /a b"}),
        ("FLAGS=\n", {"FLAGS": ""}),
    ],
)
def test_what_systemd_sets(text: str, expected: dict[str, str]) -> None:
    assert {name: assigned.value for name, assigned in of_systemd(text).items()} == expected


@pytest.mark.parametrize("text", ["FLAGS=$X", "FLAGS=a\\b", "FLAGS='x", "FLAGS='x'y'", "export FLAGS=1", "FLAGS", "FLAGS=`id`"])
def test_what_systemd_would_not_set_so_is_told(text: str) -> None:
    with pytest.raises(AssignmentError) as raised:
        of_systemd(f"\n{text}\n")
    assert raised.value.line == 2


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (of_shell, of_systemd):
        try:
            lines = [assigned.line for assigned in read(text).values()]
        except AssignmentError as error:
            lines = [error.line]
        assert all(1 <= line <= text.count("\n") + 1 for line in lines)
