"""No value of a login can be anything but a value in the body that is sent."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.backends.http_form import bodies
from saslauthd_py.config.settings import form_body

LETTERS = "uUrsp"


@given(st.fixed_dictionaries({letter: st.binary() for letter in LETTERS}))
def test_form_has_the_fields_that_its_template_has(values: dict[str, bytes]) -> None:
    template = form_body.text("&".join(f"{letter}=%{letter}" for letter in LETTERS) + "&site=100%%25")
    sent = bodies.form(template, values).decode("ascii")
    assert [name for name, _ in parse_qsl(sent, keep_blank_values=True)] == [*LETTERS, "site"]
    fields = dict(field.split("=") for field in sent.split("&"))
    assert {letter: unquote_to_bytes(fields[letter]) for letter in LETTERS} == values
    assert fields["site"] == "100%25"


@given(st.fixed_dictionaries({letter: st.text(st.characters(exclude_categories=["Cs"])) for letter in LETTERS}))
def test_json_has_the_members_that_its_template_has(values: dict[str, str]) -> None:
    template = form_body.json_value('{"a": ["%u", {"%u": "%p and 100%%"}], "b": "%r", "n": 1, "t": true, "x": null}')
    sent = json.loads(bodies.json_text(template, {letter: value.encode() for letter, value in values.items()}))
    assert sent == {"a": [values["u"], {"%u": f"{values['p']} and 100%"}], "b": values["r"], "n": 1, "t": True, "x": None}


def test_json_that_is_one_string_is_json() -> None:
    assert bodies.json_text(form_body.json_value('"%u:%p"'), dict.fromkeys(LETTERS, b'"')) == b'"\\":\\""'


def test_what_is_no_text_is_in_no_json() -> None:
    with pytest.raises(bodies.Unsendable):
        bodies.json_text(form_body.json_value('{"p": "%p"}'), dict.fromkeys(LETTERS, b"\xff"))


@pytest.mark.parametrize("body", ["u=%u&p=%p%", "p=%p&a=%20", "%x"])
def test_unknown_token_is_refused(body: str) -> None:
    with pytest.raises(form_body.BodyError, match="known are %u %U %r %s %p"):
        form_body.text(body)
    with pytest.raises(form_body.BodyError, match="known are"):
        form_body.json_value(json.dumps([{"a": body}]))
