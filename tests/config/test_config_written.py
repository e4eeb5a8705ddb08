"""What `config show` and `config schema` are made of."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from saslauthd_py.config.load import differences, parse, render_toml, schema
from saslauthd_py.config.settings import BACKENDS, Listen, Route, Settings
from saslauthd_py.config.settings.proxy_user import ProxyUser
from saslauthd_py.config.settings.secret import FILE, secret_keys
from tests.config.samples import BACKEND, LISTEN, ROUTE, SMALL

CHANGED = """\
[server]
deadline = "5s"

[[listen]]
protocol = "saslauthd"
path = "/run/saslauthd/mux"
group = "postfix"
mode = "0600"

[backend.users]
type = "store"
cache = "0s"
services = ["smtp", "pop"]

[[route]]
realm = ["", "example.org"]
service = "smtp"
backends = ["users"]

[failure]
delay = "500ms"
"""


def test_only_what_differs_is_shown() -> None:
    assert differences(parse(SMALL, "")) == {
        "listen": [{"protocol": "saslauthd", "path": "/run/saslauthd/mux"}],
        "backend": {"users": {"type": "store"}},
        "route": [{"realm": "*", "backends": ["users"]}],
    }


def test_a_default_that_is_written_out_is_no_difference() -> None:
    written = f'{LISTEN}mode = "660"\n{BACKEND}cache = "1m"\n{ROUTE}service = ["*"]\n[failure]\ndelay = "2000ms"\n[log]\nlevel = "info"\n'
    assert parse(written, "") == parse(SMALL, "")
    assert differences(parse(written, "")) == differences(parse(SMALL, ""))


def test_what_is_shown_is_the_file_again() -> None:
    assert render_toml(differences(parse(CHANGED, ""))) == CHANGED


scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=12)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=5))
def test_any_table_is_rendered_as_toml(table: dict[str, Any]) -> None:
    assert tomllib.loads(render_toml(table)) == table


def test_odd_numbers_are_rendered() -> None:
    read = tomllib.loads(render_toml({"a": math.nan, "b": -math.inf, "c": 1e22}))
    assert math.isnan(read["a"])
    assert (read["b"], read["c"]) == (-math.inf, 1e22)


def test_nothing_that_moves_a_terminal_is_rendered() -> None:
    rendered = render_toml({"a\x1b": "\x1b[31m\x7f\x9b\u202e\U000e0001"})
    assert rendered.rstrip("\n").isprintable()
    assert tomllib.loads(rendered) == {"a\x1b": "\x1b[31m\x7f\x9b\u202e\U000e0001"}


def objects(described: object) -> Iterator[dict[str, Any]]:
    """Every JSON object in a schema."""
    if isinstance(described, dict):
        yield described
        described = list(described.values())
    if isinstance(described, list):
        for inner in described:
            yield from objects(inner)


def test_the_schema_is_json_and_has_every_key() -> None:
    described = json.loads(json.dumps(schema()))
    assert described["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(described["properties"]) == set(Settings.model_fields)
    assert described["required"] == ["listen", "backend", "route"]
    sections: list[type[BaseModel]] = [Listen, Route, ProxyUser, *BACKENDS.values()]
    sections += [type(section) for _, section in Settings() if isinstance(section, BaseModel)]
    for model in sections:
        properties = described["$defs"][model.__name__]["properties"]
        assert set(properties) == {*model.model_fields, *(key + FILE for key in secret_keys(model))}
        assert all(described["description"] for described in properties.values())


def test_the_schema_is_of_what_an_admin_writes() -> None:
    described = json.loads(json.dumps(schema()))
    definitions = described["$defs"]
    assert described["properties"]["server"] == {"$ref": "#/$defs/ServerSettings"}
    assert definitions["FailureSettings"]["properties"]["delay"]["default"] == "2s"
    assert definitions["Listen"]["properties"]["mode"]["default"] == "0660"
    assert definitions["Route"]["properties"]["service"]["default"] == "*"
    assert definitions["Route"]["properties"]["realm"]["anyOf"] == [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
    assert described["properties"]["backend"]["additionalProperties"]["discriminator"]["propertyName"] == "type"
    for found in objects(described):
        assert "title" not in found
        assert found.get("type") != "null"
        assert found.get("type") != "object" or "additionalProperties" in found
        if "pattern" in found and "default" in found:
            assert re.search(found["pattern"], found["default"])


@pytest.mark.parametrize("text", ["/run/a", "file:/var/log/a"])
def test_the_schema_takes_a_log_file_by_its_prefix(text: str) -> None:
    pattern = schema()["$defs"]["LogSettings"]["properties"]["to"]["pattern"]
    assert bool(re.search(pattern, text)) is text.startswith("file:")
