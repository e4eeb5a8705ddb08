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
BY_CHOICE = {"keys", "decoy", "ldap-search", "ldap-bind", "ldap-compare"}
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


ANSWER: Facts = {"server": "ldaps://a", "result": "success (0)", "diagnostic": "", "ms": 1.25}


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
        ("authzid", {"authcid": "a", "authzid": "b", "granted": False}, "a may not act as b: no [[proxy_user]] says so"),
        ("counted", {"failure": False, "limited": False, "free": "unjudged"}, "costs nothing: nobody could say whether the password"),
        ("counted", {"failure": False, "limited": True, "free": ""}, "over a limit by now"),
        ("of another version", {"x": 1}, "x 1"),
        (
            "ldap-search",
            {"base": "dc=x", "scope": "sub", "filter": "(uid=a)", **ANSWER, "found": ["uid=a,dc=x"]},
            "(uid=a) below dc=x (sub) finds uid=a,dc=x, says ldaps://a, 1.2 ms",
        ),
        (
            "ldap-search",
            {"base": "", "scope": "one", "filter": "(uid=a)", **ANSWER, "result": "noSuchObject (32)", "found": []},
            "(uid=a) below the root (one) finds nothing: noSuchObject (32), says ldaps://a, 1.2 ms",
        ),
        (
            "ldap-search",
            {"base": "dc=x", "scope": "sub", "filter": "(uid=a)", "failed": "no server answers", "ms": 1.25},
            "(uid=a) below dc=x (sub): no server answers, 1.2 ms",
        ),
        ("ldap-bind", {"dn": "uid=a", **ANSWER}, "as uid=a is taken, says ldaps://a, 1.2 ms"),
        (
            "ldap-bind",
            {"dn": "uid=a", **ANSWER, "result": "invalidCredentials (49)", "diagnostic": "data 52e"},
            "as uid=a is refused: invalidCredentials (49) (data 52e), says ldaps://a, 1.2 ms",
        ),
        ("ldap-bind", {"dn": "uid=a", "failed": "ldaps://a: gone", "ms": 1.25}, "as uid=a: ldaps://a: gone, 1.2 ms"),
        (
            "ldap-compare",
            {"dn": "cn=g", "attribute": "member", "value": "uid=a", **ANSWER, "result": "compareTrue (6)"},
            "is uid=a in member of cn=g? compareTrue (6), says ldaps://a, 1.2 ms",
        ),
        ("ldap-group", {"dn": "uid=a", "member": True, "remembered": True, "ms": 0.1}, "uid=a is in the group that may log in, remembered"),
        ("ldap-group", {"dn": "uid=a", "member": False, "remembered": False, "ms": 1.25}, "uid=a is not in the group that may log in, 1.2"),
        ("ldap-stored", {"dn": "uid=a", "attribute": "userPassword", "values": 1}, "uid=a has 1 value in userPassword"),
        ("ldap-remembered", {"dn": "uid=a"}, "uid=a was found lately: no search"),
        ("ldap-refused", {"why": "%d has no value"}, "no entry can have this login: %d has no value"),
    ],
)
def test_words_of_a_step(name: str, facts: Facts, words: str) -> None:
    (line, _) = traced.lines([Step(name, 0.0015, facts)], "dovecot", "OK")
    assert line.startswith(f"     1.5 ms  {name:<10}  {words}")


def test_steps_stand_in_columns_however_long_their_names_are() -> None:
    shown = traced.lines([Step("ldap-remembered", 0, {"dn": "uid=a"}), Step("joined", 0.001, {})], "saslauthd", "OK")
    assert [line.index(words) for line, words in zip(shown, ("uid=a was", "the same", "OK: "), strict=True)] == [30, 30, 30]


def test_what_the_client_sees_goes_by_what_the_listener_speaks() -> None:
    asked = Step("asked", 0, {"protocol": "pwcheck"})
    assert traced.seen([asked], "saslauthd", "unavailable") == traced.SEEN["pwcheck"]["unavailable"]
    assert traced.seen([], "saslauthd", "unavailable") == traced.SEEN["saslauthd"]["unavailable"]
    failing = Step("asked", 0, {"protocol": "dovecot", "on_unavailable": "fail"})
    assert "535" in traced.seen([failing], "dovecot", "unavailable")
    assert traced.seen([failing], "dovecot", "NO") == traced.SEEN["dovecot"]["NO"]
