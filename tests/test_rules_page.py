"""The page of rules and the tests agree: every test that it names exists, every test named for a rule stands on it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "tests" / "rules.md"

LAST = {"A": 8, "B": 6, "C": 9, "D": 12, "E": 10, "F": 6, "G": 4, "H": 3}
"""The highest number under each letter."""

_LINE = re.compile(r"- \*\*(?P<rule>\S+)\*\* (?P<claim>.*\S):(?P<tests>( `[^`]+`,?)*)")
_FRONT = re.compile(r"test_((?:[a-z]\d+_)+)")


def exists(rule: str) -> bool:
    """Whether there is a rule of this number."""
    return re.fullmatch(r"[A-Z][1-9]\d*", rule) is not None and int(rule[1:]) <= LAST.get(rule[0], 0)


def rules_of(test: str) -> list[str]:
    """The rules that a test's name begins with."""
    front = _FRONT.match(test)
    return [rule.upper() for rule in front[1].split("_") if rule] if front else []


def names_in(source: str) -> Iterator[str]:
    """The tests of a module as pytest names them, less parameters."""
    for node in ast.parse(source).body:
        functions, owner = (node.body, f"{node.name}::") if isinstance(node, ast.ClassDef) else ([node], "")
        for function in functions:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name.startswith("test_"):
                yield owner + function.name


def disagreements(page: str, sources: dict[str, str]) -> list[str]:
    """One line for each: `sources` are the test modules by their path as the page writes it."""
    existing = {f"{path}::{name}": rules_of(name.rpartition("::")[2]) for path, source in sources.items() for name in names_in(source)}
    listed, found = read(page)
    for rule, tests in listed.items():
        if not exists(rule):
            found.append(f"{rule}: there is no such rule")
        if not tests:
            found.append(f"{rule}: claimed, and shown by no test")
        found += [f"{rule}: no test {test}" for test in tests if test not in existing]
    for test, rules in sorted(existing.items()):
        found += [f"{test}: there is no rule {rule}" for rule in rules if not exists(rule)]
        found += [f"{rule}: `{test}` is not listed" for rule in rules if exists(rule) and test not in listed.get(rule, [])]
    return found


def read(page: str) -> tuple[dict[str, list[str]], list[str]]:
    """The tests that the page lists for each rule, and what is wrong with its form."""
    listed: dict[str, list[str]] = {}
    wrong = []
    for number, line in enumerate(page.splitlines(), 1):
        if not line.startswith("- "):
            continue
        parts = _LINE.fullmatch(line)
        if parts is None:
            wrong.append(f"{number}: not of the form - **A1** claim: `file::test`, `file::test`")
        elif parts["rule"] in listed:
            wrong.append(f"{number}: {parts['rule']} a second time")
        else:
            listed[parts["rule"]] = re.findall(r"`([^`]+)`", parts["tests"])
    return listed, wrong


def test_the_page_and_the_tests_agree() -> None:
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py"))}
    found = disagreements(PAGE.read_text(), sources)
    assert not found, "\n".join(found)


SOURCES = {"tests/test_x.py": "def test_a7_owner(): ...\nasync def test_c1_c3_hit(): ...\nclass TestY:\n    def test_plain(self): ...\n"}
AGREED = """\
A test named `test_c1_...`, in prose.

- **A7** owner: `tests/test_x.py::test_a7_owner`, `tests/test_x.py::TestY::test_plain`
- **C1** no permission: `tests/test_x.py::test_c1_c3_hit`
- **C3** age: `tests/test_x.py::test_c1_c3_hit`
"""


def test_a_page_in_order_has_no_disagreement() -> None:
    assert disagreements(AGREED, SOURCES) == []


@pytest.mark.parametrize(
    ("page", "source", "disagreement"),
    [
        (AGREED, "def test_f1_write(): ...", "F1: `tests/test_y.py::test_f1_write` is not listed"),
        (AGREED, "class TestZ:\n    def test_a7_more(self): ...", "A7: `tests/test_y.py::TestZ::test_a7_more` is not listed"),
        (AGREED, "def test_b64_text(): ...", "tests/test_y.py::test_b64_text: there is no rule B64"),
        (AGREED + "- **E1** error: `tests/test_x.py::test_gone`\n", "", "E1: no test tests/test_x.py::test_gone"),
        (AGREED + "- **E1** error: `test_a7_owner`\n", "", "E1: no test test_a7_owner"),
        (AGREED + "- **E1** error:\n", "", "E1: claimed, and shown by no test"),
        (AGREED + "- **G5** ldap: `tests/test_x.py::test_a7_owner`\n", "", "G5: there is no such rule"),
        (AGREED + "- **A7** again: `tests/test_x.py::test_a7_owner`\n", "", "6: A7 a second time"),
        (AGREED + "- A8 secrets: `tests/test_x.py::test_a7_owner`\n", "", "6: not of the form - **A1** claim: `file::test`, `file::test`"),
        (
            AGREED + "- **A8** secrets: tests/test_x.py::test_a7_owner\n",
            "",
            "6: not of the form - **A1** claim: `file::test`, `file::test`",
        ),
    ],
)
def test_a_disagreement_is_found(page: str, source: str, disagreement: str) -> None:
    assert disagreements(page, {**SOURCES, "tests/test_y.py": source}) == [disagreement]
