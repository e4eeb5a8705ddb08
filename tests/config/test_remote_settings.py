"""`[backend.NAME]` of IMAP and HTTP: what is taken, and the words for what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from saslauthd_py.config.load import ConfigurationError, check, parse
from saslauthd_py.config.settings import HttpFormSettings, ImapSettings

IMAP = {"type": "imap", "servers": ["imaps://imap.example.org"]}
FORM = {"type": "http_form", "url": "https://auth.example.org/check", "body": "u=%u&p=%p"}


def toml(table: dict[str, object], realm: str = "*") -> str:
    lines = "\n".join(f"{key} = {written(value)}" for key, value in table.items() if value is not None)
    listen = '[[listen]]\nprotocol = "saslauthd"\npath = "/run/saslauthd/mux"\n'
    return f'{listen}[backend.there]\n{lines}\n[[route]]\nrealm = "{realm}"\nbackends = ["there"]\n'


def written(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {written(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


def imap(**more: object) -> ImapSettings:
    backend = parse(toml({**IMAP, **more}), "").backend["there"]
    assert isinstance(backend, ImapSettings)
    return backend


def form(**more: object) -> HttpFormSettings:
    backend = parse(toml({**FORM, **more}), "").backend["there"]
    assert isinstance(backend, HttpFormSettings)
    return backend


def complaint(table: dict[str, object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(toml(table), "")
    return str(caught.value)


@pytest.mark.parametrize(
    ("uri", "same"),
    [
        ("imaps://IMAP.example.org", "imaps://imap.example.org"),
        ("imap://192.0.2.1:143/", "imap://192.0.2.1"),
        ("IMAP://localhost:1143", "imap://localhost:1143"),
        ("imaps://[2001:DB8::1]:1993", "imaps://[2001:db8::1]:1993"),
        ("imaps://imap.example.org.:993", "imaps://imap.example.org"),
    ],
)
def test_server_is_a_uri(uri: str, same: str) -> None:
    assert list(map(str, imap(servers=[uri]).servers)) == [same]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"servers": []}, "must name a server"),
        ({"servers": ["imap.example.org"]}, "must be a server such as"),
        ({"servers": [143]}, "must be a server in quotes"),
        ({"servers": ["imap://u:p@imap.example.org"]}, "must not hold a name or password"),
        ({"servers": ["imap://imap.example.org/INBOX"]}, "says more than where the server is"),
        ({"servers": ["imap://192.0.2.256"]}, "must name a host or an address"),
        ({"servers": ["imap://a b"]}, "must name a host or an address"),
        ({"servers": ["imap://[::1"]}, "must name a host or an address"),
        ({"servers": ["imap://[1::2::3]"]}, "must name a host or an address"),
        ({"servers": ["imap://a:0"]}, "must have a port from 1 to 65535"),
        ({"servers": ["imap://a:65536"]}, "must have a port from 1 to 65535"),
        ({"servers": ["imap://a", "imap://A:143"]}, "names \"imap://a\" twice"),
        ({"servers": [f"imap://a{number}" for number in range(17)]}, "must name 16 servers at most"),
        ({"start_tls": True}, "has TLS from its first byte"),
        ({"servers": ["imap://localhost"], "ca_file": "/ca.pem"}, "is for TLS, and no server has it"),
        ({"servers": ["imap://localhost"], "verify": False}, "is for TLS, and no server has it"),
        ({"verify": False, "ca_file": "/ca.pem"}, "would not be looked at"),
        ({"timeout": "61s"}, "must be at most 60s"),
        ({"server": "x"}, "did you mean"),
    ],
)  # fmt: skip
def test_imap_that_is_refused_is_told_why(keys: dict[str, object], why: str) -> None:
    assert why in complaint({**IMAP, **keys})


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"url": "auth.example.org"}, "must be a URL such as"),
        ({"url": "ftp://auth.example.org/"}, "must be a URL such as"),
        ({"url": "https://u:p@auth.example.org/"}, "must not hold a name or password"),
        ({"url": "https://auth.example.org/#x"}, "is never sent"),
        ({"url": "https://bücher.example/"}, "xn-- form"),
        ({"url": "https://xn--zzzz.example/"}, "is not the xn-- form of any name"),
        ({"url": "https://a b/"}, "%XX"),
        ({"url": "https://:8443/"}, "must name a host"),
        ({"url": "https://a:99999/"}, "must have a port"),
        ({"url": "https:///x"}, "must name a host"),
        ({"body": "u=%u"}, "has no %p"),
        ({"body": "p=%p&r=%r"}, "has no %u and no %U"),
        ({"body": "u=%u&p=%p&x=%20"}, "and %% for a percent sign"),
        ({"body": "u=%u&p=%p" + "x" * 4096}, "must have 4096 characters at most"),
        ({"body": None}, "is missing"),
        ({"format": "json"}, "is no JSON"),
        ({"format": "json", "body": '{"u": "%u", "p": "%p", "n": NaN}'}, "is no JSON: it has no NaN"),
        ({"format": "json", "body": '{"u": "%u", "p": "%p", "u": "x"}'}, "has a name twice"),
        ({"format": "json", "body": "[" * 2000}, "more brackets within brackets"),
        ({"format": "json", "body": "[" * 600 + '"%u%p"' + "]" * 600}, "more brackets within brackets"),
        ({"format": "json", "body": '{"%u": "%p"}'}, "has no %u and no %U"),
        ({"format": "xml"}, 'must be "form" or "json"'),
        ({"accept": []}, "must not be an empty list"),
        ({"accept": [302]}, "302 is none of 200 to 299"),
        ({"reject": [500]}, "500 is none of 400 to 499"),
        ({"accept": ["200"]}, "must be a whole number"),
        ({"headers": "X"}, "must be a table of strings"),
        ({"headers": {"X": 1}}, "must be a table of strings"),
        ({"headers": {"X Y": "z"}}, "is no name of a header"),
        ({"headers": {"Host": "z"}}, "is no name of a header"),
        ({"headers": {"Cookie": "z"}}, "is a secret, and this table is not"),
        ({"headers": {"X": "a\r\nY: b"}}, "printable ASCII"),
        ({"authorization": "Bearer a\nb"}, "one line of printable ASCII"),
        ({"authorization_header": "Content-Length"}, "is no name of a header"),
        ({"url": "http://127.0.0.1/", "ca_file": "/ca.pem"}, "the URL has none"),
        ({"verify": False, "ca_file": "/ca.pem"}, "would not be looked at"),
    ],
)
def test_form_that_is_refused_is_told_why(keys: dict[str, object], why: str) -> None:
    assert why in complaint({**FORM, **keys})


def test_json_body_is_taken_apart() -> None:
    assert form(format="json", body='{"user": "%u", "password": "%p"}').drops_realm is False


def test_place_is_that_of_the_url() -> None:
    assert form(url="https://xn--bcher-kva.example/").place == ("xn--bcher-kva.example", 443)
    assert form(url="HTTPS://[::1]/x?y").place == ("::1", 443)
    assert form(url="http://auth.example.org:8080").place == ("auth.example.org", 8080)


def test_secret_is_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text("Bearer hunter2\n")
    backend = form(authorization_file=str(file))
    assert "hunter2" not in repr(backend)
    assert "hunter2" not in backend.model_dump_json()
    assert backend.model_dump(mode="json")["authorization_file"] == str(file)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({**IMAP, "login": "{local}"}, 'login = "{local}"'),
        ({**FORM, "login": "{local}"}, 'login = "{local}"'),
        ({**FORM, "body": "u=%U&p=%p"}, 'body = "u=%U&p=%p"'),
    ],
)
def test_b2_realm_that_is_dropped_is_refused_under_every_realm(table: dict[str, object], why: str) -> None:
    assert why in complaint(table)
    parse(toml(table, "example.org"), "")


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({**IMAP, "servers": ["imap://imap.example.org"]}, 'in clear to "imap://imap.example.org"'),
        ({**IMAP, "verify": False}, "no certificate is checked"),
        ({**FORM, "url": "http://auth.example.org/"}, "in clear to auth.example.org"),
        ({**FORM, "verify": False}, "no certificate is checked"),
    ],
)
def test_what_is_hardly_meant_is_a_warning(table: dict[str, object], why: str, tmp_path: Path) -> None:
    file = tmp_path / "saslauthd-py.toml"
    file.write_text(toml(table))
    assert why in "\n".join(map(str, check(str(file)).warnings))


@pytest.mark.parametrize(
    "table", [IMAP, FORM, {**IMAP, "servers": ["imap://localhost", "imap://127.0.0.1"]}, {**FORM, "url": "http://[::1]/"}]
)
def test_what_is_sound_is_no_warning(table: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "saslauthd-py.toml"
    file.write_text(toml(table))
    assert check(str(file)).warnings == ()
