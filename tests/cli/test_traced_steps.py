"""Every step that the daemon tells of has its line for people."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import saslauthd_py
from saslauthd_py.cli import traced
from saslauthd_py.trace import Facts, Step

PACKAGE = Path(saslauthd_py.__file__).parent
BY_CHOICE = {"keys", "decoy"}
"""Noted under a name that is computed."""


def noted() -> Iterator[str]:
    """The names in every `trace.note("...")` of the package."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name("trace"), attr="note"), args=[ast.Constant(str(name)), *_]):
                    yield name


def test_each_step_that_is_noted_has_words_and_no_words_are_left_over() -> None:
    assert set(noted()) | BY_CHOICE == set(traced._STEPS)


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        ("limits", {"limits": 3, "met": ""}, "none is reached"),
        ("limits", {"limits": 3, "met": "admission: too many"}, "over a limit, so only a password that was right lately counts: too many"),
        ("proof", {"ticket": False}, "right"),
        ("proof", {"ticket": True}, "right, and that password was right lately: no limit"),
        ("unable", {"name": "system"}, "system is passed by: it can only try a password"),
        (
            "keys",
            {"backend": "users", "rounds": 4096, "secrets": 2, "verdict": "rejected", "reason": "locked"},
            "users has keys of 2 passwords, of 4096 rounds, and whoever proves one of them will hear: rejected: locked",
        ),
        ("backend", {"name": "users", "ms": 1.25, "verdict": "keys"}, "users: it has keys, 1.2 ms"),
        ("signature", {"right": False, "why": "SCRAM with a wrong server signature"}, "the client hangs up: SCRAM with a wrong server"),
        ("authzid", {"authcid": "a", "authzid": "b", "granted": True}, "a may act as b"),
        ("of another version", {"x": 1}, "x 1"),
    ],
)
def test_words_of_a_step(name: str, facts: Facts, words: str) -> None:
    (line, _) = traced.lines([Step(name, 0.0015, facts)], "dovecot", "OK")
    assert line.startswith(f"     1.5 ms  {name:<10}  {words}")


def test_what_the_client_sees_goes_by_what_the_listener_speaks() -> None:
    asked = Step("asked", 0, {"protocol": "pwcheck"})
    assert traced.seen([asked], "saslauthd", "unavailable") == traced.SEEN["pwcheck"]["unavailable"]
    assert traced.seen([], "saslauthd", "unavailable") == traced.SEEN["saslauthd"]["unavailable"]
    failing = Step("asked", 0, {"protocol": "dovecot", "on_unavailable": "fail"})
    assert "535" in traced.seen([failing], "dovecot", "unavailable")
    assert traced.seen([failing], "dovecot", "NO") == traced.SEEN["dovecot"]["NO"]
