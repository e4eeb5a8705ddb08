"""`[[proxy_user]]`: what an admin may write there."""

from __future__ import annotations

import json

import pytest

from saslauthd_py.config.load import differences, parse, render_toml, schema
from tests.config.samples import SMALL, complaints


def table(authcid: str = '"proxy@example.org"', may_act_as: str = '"*@example.org"') -> str:
    return f"[[proxy_user]]\nauthcid = {authcid}\nmay_act_as = {may_act_as}\n"


def test_one_name_or_a_list_of_them() -> None:
    settings = parse(SMALL + table() + table('"backup"', '["bob", "alice@example.org", "*@b\u00fccher.example"]'), "FILE")
    assert [(one.authcid, one.may_act_as) for one in settings.proxy_user] == [
        ("proxy@example.org", ("*@example.org",)),
        ("backup", ("bob", "alice@example.org", "*@b\u00fccher.example")),
    ]
    assert parse(render_toml(differences(settings)), "FILE") == settings


def test_every_key_is_described() -> None:
    described = schema()["$defs"]["ProxyUser"]["properties"]
    assert set(described) == {"authcid", "may_act_as"}
    assert all(key["description"] for key in described.values())
    assert json.dumps(described)


@pytest.mark.parametrize(
    ("authcid", "why"),
    [
        ('"*@example.org"', 'must be one name, such as "proxy@example.org", not "*@example.org"'),
        ('"*"', 'must be one name, such as "proxy@example.org", not "*"'),
        ('""', '"": empty name'),
        ('"@example.org"', '"@example.org": empty name'),
        ('"a\\u0007"', '"a\\u0007": name holds a control or formatting character'),
        ('"a@no domain \u2260"', '"a@no domain \u2260": realm is no domain name'),
        ("1", "must be a string in quotes, not a whole number"),
    ],
)
def test_authcid_is_one_name(authcid: str, why: str) -> None:
    assert complaints(SMALL + table(authcid)) == [f"10: proxy_user[0].authcid: {why}"]


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ('"*"', '[0]: must be a name, or "*@example.org" for everybody of a realm, not "*"'),
        ('"*@"', '[0]: must be a name, or "*@example.org" for everybody of a realm, not "*@"'),
        ('"*@*"', '[0]: must be a name, or "*@example.org" for everybody of a realm, not "*@*"'),
        ('"a*@example.org"', '[0]: must be a name, or "*@example.org" for everybody of a realm, not "a*@example.org"'),
        ('["bob", "*@no domain \u2260"]', '[1]: "*@no domain \u2260": realm is no domain name'),
        ('["bob", ""]', '[1]: must be a name, or "*@example.org" for everybody of a realm, not ""'),
        ("[]", ": must not be an empty list: nothing would ever match"),
        ('["bob", "bob"]', ': names "bob" twice'),
        ("true", ": must be a string in quotes or a list of them, not true or false"),
    ],
)
def test_may_act_as_is_names_and_realms(written: str, complaint: str) -> None:
    path, _, why = complaint.partition(": ")
    (found,) = complaints(SMALL + table(may_act_as=written))
    assert found in (f"11: proxy_user[0].may_act_as{path}: {why}", f"11: proxy_user[0].may_act_as: {why}")


def test_both_keys_are_needed_and_no_other_is_known() -> None:
    assert complaints(SMALL + "[[proxy_user]]\nauthid = 'a'\n") == [
        "9: proxy_user[0].authcid: is missing; it has no default",
        "9: proxy_user[0].may_act_as: is missing; it has no default",
        '10: proxy_user[0].authid: unknown key (did you mean "authcid"?)',
    ]
    assert complaints(SMALL + "[proxy_user]\n") == ["9: proxy_user: must be a list of tables: write [[proxy_user]] for each, not a table"]


def test_each_authcid_has_one_table() -> None:
    assert complaints(SMALL + table() + table('"other"') + table(may_act_as='"bob"')) == [
        '16: proxy_user[2].authcid: "proxy@example.org" is the authcid of proxy_user[0] already: say all that it may act as there'
    ]
