"""Each key of the configuration: what it takes, what it becomes, its bounds and its default."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from saslauthd_py.config.load import parse
from saslauthd_py.config.settings import Listen, Route, Settings, StoreSettings, Trust
from saslauthd_py.config.settings.values import parse_duration, written_duration
from tests.config.samples import BACKEND, LISTEN, ROUTE, SMALL, complaints

DEFAULTS = {
    "server": {
        "user": "saslauthd-py", "group": "saslauthd-py", "deadline": 8.0, "compat_limits": False,
        "max_connections": 10000, "max_connections_per_peer": 2000,
    },
    "log": {"to": "auto", "style": "kv", "level": "info"},
    "identity": {"default_realm": ""},
    "cache": {"max_entries": 100000},
    "failure": {"delay": 2.0, "max_held_per_listener": 50},
    "admission": {
        "per_account": {"count": 30, "seconds": 600.0},
        "per_network": {"count": 100, "seconds": 600.0},
        "per_pair": {"count": 10, "seconds": 600.0},
        "trusted_networks": (ip_network("127.0.0.0/8"), ip_network("::1/128")),
    },
    "control": {"path": "/run/saslauthd-py/control"},
    "metrics": {"address": None},
    "proxy_user": (),
}  # fmt: skip
DEFAULT_LISTEN = {
    "protocol": "saslauthd", "address": None, "path": "/run/saslauthd/mux", "networks": (), "user": None, "group": None, "mode": 0o660,
    "allow_users": (), "trust": None, "on_unavailable": "close", "require_tls": False, "mechanisms": None,
}  # fmt: skip
DEFAULT_STORE = {
    "type": "store", "login": "{local}@{realm}", "fold_case": True, "cache": 60.0, "parallel": 64, "services": (),
    "path": "/var/lib/saslauthd-py/users.db", "scheme": "argon2id", "rehash": True, "scram_upgrade": False, "scram_rounds": 100_000,
}  # fmt: skip
DEFAULT_ROUTE = {
    "realm": ("*",), "service": ("*",), "listener": ("*",), "backends": ("users",), "next_on": ("unknown",), "ignore_realm": False,
}  # fmt: skip


PLACES = '"auto", "journal", "stderr", "syslog" or "file:" and an absolute path'


def listener(**keys: Any) -> Listen:  # whatever an admin may write
    return Listen.model_validate({"protocol": "saslauthd", "path": "/run/saslauthd/mux", **keys})


def test_the_keys_and_their_defaults() -> None:
    assert parse(SMALL, "FILE").model_dump() == {
        **DEFAULTS,
        "listen": (DEFAULT_LISTEN,),
        "backend": {"users": DEFAULT_STORE},
        "route": (DEFAULT_ROUTE,),
    }


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[quota]", "4: quota: unknown table"),
        ('[log]\nrotate = "1d"', "5: log.rotate: unknown key; known here: to, style, level"),
        ("[backend.users]\ntype = 'store'\nhibp = true", "6: backend.users.hibp: unknown key"),
    ],
)
def test_keys_of_later_versions_are_refused(text: str, place: str) -> None:
    rest = ROUTE if "backend" in text else BACKEND + ROUTE
    assert any(line.startswith(place) for line in complaints(LISTEN + text + "\n" + rest))


def test_settings_never_change() -> None:
    settings = parse(SMALL, "FILE")
    with pytest.raises(ValidationError):
        settings.server.user = "root"
    with pytest.raises(ValidationError):
        settings.listen = ()


@pytest.mark.parametrize(
    ("written", "seconds"), [("500ms", 0.5), ("0s", 0), ("2s", 2), ("10m", 600), ("8h", 28800), ("90d", 7776000), ("1500ms", 1.5)]
)
def test_a_duration_is_seconds(written: str, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize("text", ["", "8", "s", "1.5s", "-1s", "+1s", "1 s", "1s ", "1S", "1w", "1h30m", "²s", "٣s", "1e3s", "9999999999s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    (complaint,) = complaints(f"{SMALL}[failure]\ndelay = '{text}'")
    assert complaint.startswith('10: failure.delay: must be a duration such as "500ms", "2s", "10m", "8h" or "90d", not "')


@pytest.mark.parametrize(("value", "kind"), [("8", "a whole number"), ("1.5", "a decimal number"), ("true", "true or false")])
def test_a_duration_without_quotes_is_refused_with_a_hint(value: str, kind: str) -> None:
    expected = f'10: server.deadline: must be a duration in quotes with its unit, such as "1s" or "60s", not {kind}'
    assert complaints(f"{SMALL}[server]\ndeadline = {value}") == [expected]


@given(st.integers(0, 10**8), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_duration_is_written_as_it_was_meant(count: int, unit: str) -> None:
    seconds = parse_duration(f"{count}{unit}")
    assert parse_duration(written_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["0s", "500ms", "1s", "2s", "60s", "90s", "10m", "60m", "8h", "24h", "90d"])
def test_a_duration_of_the_documentation_is_written_the_same(text: str) -> None:
    assert written_duration(parse_duration(text)) == text


def test_d1_a_delay_over_four_seconds_is_refused() -> None:
    assert parse(f'{SMALL}[failure]\ndelay = "4s"', "FILE").failure.delay == 4
    assert parse(f'{SMALL}[failure]\ndelay = "0s"', "FILE").failure.delay == 0
    (complaint,) = complaints(f'{SMALL}[failure]\ndelay = "4001ms"')
    assert complaint.startswith("10: failure.delay: must be at most 4s, not 4001ms: each delayed answer holds a process")


@pytest.mark.parametrize(
    ("section", "key", "value", "complaint"),
    [
        ("server", "deadline", '"999ms"', "must be at least 1s, not 999ms"),
        ("server", "deadline", '"2m"', "must be at most 60s, not 2m"),
        ("server", "max_connections", "15", "must be at least 16"),
        ("server", "max_connections", "1000001", "must be at most 1000000"),
        ("server", "max_connections", "1" + "0" * 40, "must be at most 1000000"),
        ("server", "max_connections_per_peer", "0", "must be at least 1"),
        ("server", "max_connections_per_peer", "1000001", "must be at most 1000000"),
        ("server", "max_connections", "16.0", "must be a whole number, not a decimal number"),
        ("server", "max_connections", "true", "must be a whole number, not true or false"),
        ("server", "compat_limits", "1", "must be true or false, without quotes, not a whole number"),
        ("server", "compat_limits", '"true"', "must be true or false, without quotes, not a string"),
        ("server", "user", '""', 'must be the name of a user or group, not ""'),
        ("server", "group", '"a:b"', 'must be the name of a user or group, not "a:b"'),
        ("server", "user", "1000", "must be a string in quotes, not a whole number"),
        ("server", "user", "1979-05-27", "must be a string in quotes, not a date or time"),
        ("log", "to", '"sylog"', f'must be {PLACES}, not "sylog" (did you mean "syslog"?)'),
        ("log", "to", '"journald"', f'must be {PLACES}, not "journald" (did you mean "journal"?)'),
        ("log", "to", '"file:log"', f'must be {PLACES}, not "file:log"'),
        ("log", "to", '"file:/"', f'must be {PLACES}, not "file:/"'),
        ("log", "style", '"cryus"', 'must be "kv", "cyrus" or "json", not "cryus" (did you mean "cyrus"?)'),
        ("log", "level", '"warn"', 'must be "debug", "info", "warning" or "error", not "warn" (did you mean "warning"?)'),
        ("identity", "default_realm", '"a@b"', 'must be a realm such as "example.org", not "a@b"'),
        ("identity", "default_realm", '"*"', 'must be a realm such as "example.org", not "*"'),
        ("identity", "default_realm", r'"a\u0000b"', '"a\\u0000b": realm holds a control or formatting character'),
        ("cache", "max_entries", "0", "must be at least 1"),
        ("cache", "max_entries", "10000001", "must be at most 10000000"),
        ("failure", "max_held_per_listener", "0", "must be at least 1"),
        ("failure", "max_held_per_listener", "100001", "must be at most 100000"),
    ],
)  # fmt: skip
def test_a_value_that_a_section_does_not_take(section: str, key: str, value: str, complaint: str) -> None:
    assert complaints(f"{SMALL}[{section}]\n{key} = {value}") == [f"10: {section}.{key}: {complaint}"]


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("cache", '"25h"', "must be at most 1d, not 25h"),
        ("parallel", "0", "must be at least 1"),
        ("parallel", "4097", "must be at most 4096"),
        ("services", '"smtp"', "must be a list, not a string"),
        ("path", '"users.db"', 'must be an absolute path, not "users.db"'),
        ("path", '"/var/lib/"', 'must be the path of a file, not "/var/lib/"'),
        ("path", r'"/a\u0000b"', 'must be the path of a file, not "/a\\u0000b"'),
        ("path", f'"/{"x" * 4095}"', f'must be the path of a file, not "/{"x" * 199}..."'),
        ("fold_case", '"yes"', "must be true or false, without quotes, not a string"),
        ("rehash", "0", "must be true or false, without quotes, not a whole number"),
    ],
)
def test_a_value_that_a_store_does_not_take(key: str, value: str, complaint: str) -> None:
    assert complaints(f"{LISTEN}{BACKEND}{key} = {value}\n{ROUTE}") == [f"6: backend.users.{key}: {complaint}"]


def test_a_scheme_that_this_machine_cannot_make_is_refused() -> None:
    users = parse(f'{LISTEN}{BACKEND}scheme = "sha512crypt"\n{ROUTE}', "FILE").backend["users"]
    assert isinstance(users, StoreSettings)
    assert users.scheme == "sha512crypt"
    (complaint,) = complaints(f'{LISTEN}{BACKEND}scheme = "argon2di"\n{ROUTE}')
    assert complaint.startswith('6: backend.users.scheme: "argon2di" cannot be made here (did you mean "argon2id"?); there are argon2id')


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{user}", '"{user}" in "{user}": a login knows {local} and {realm}'),
        ("{local}@{realms}", '"{realms}" in "{local}@{realms}": a login knows {local} and {realm} (did you mean "{realm}"?)'),
        ("{Local}", '"{Local}" in "{Local}": a login knows {local} and {realm} (did you mean "{local}"?)'),
        ("{local}{", '"{" in "{local}{": a login knows {local} and {realm}'),
        ("{{local}}", '"{" in "{{local}}": a login knows {local} and {realm}'),
        ("admin@{realm}", '"admin@{realm}" has no {local}: everybody would be one and the same login'),
        ("", '"" has no {local}: everybody would be one and the same login'),
    ],
)
def test_a_login_template_knows_local_and_realm(template: str, complaint: str) -> None:
    assert f"6: backend.users.login: {complaint}" in complaints(f"{LISTEN}{BACKEND}login = '{template}'\n{ROUTE}")


@pytest.mark.parametrize("template", ["{local}@{realm}", "{local}", "{realm}/{local}", "mail-{local}@{realm}"])
def test_a_login_template_is_kept_as_written(template: str) -> None:
    assert StoreSettings.model_validate({"type": "store", "login": template}).login == template


@pytest.mark.parametrize(("written", "bits"), [("0660", 0o660), ("660", 0o660), ("0600", 0o600), ("777", 0o777), ("0002", 0o002)])
def test_a_mode_is_octal(written: str, bits: int) -> None:
    assert listener(mode=written).mode == bits


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("0o660", 'must be an octal mode in quotes, such as "0660", not a whole number'),
        ('"rw-rw----"', 'must be an octal mode such as "0660", not "rw-rw----"'),
        ('"0668"', 'must be an octal mode such as "0660", not "0668"'),
        ('"4660"', 'must be an octal mode such as "0660", not "4660"'),
        ('"0o660"', 'must be an octal mode such as "0660", not "0o660"'),
        ('"0440"', '"0440" lets nobody connect: a client needs the right to write, as in "0660"'),
    ],
)
def test_a_mode_that_is_none_is_refused(value: str, complaint: str) -> None:
    assert complaints(f"{LISTEN}mode = {value}\n{BACKEND}{ROUTE}") == [f"4: listen[0].mode: {complaint}"]


def test_a_socket_path_has_107_bytes_at_most() -> None:
    assert listener(path="/" + "x" * 106).path == "/" + "x" * 106
    for path, size in (("/" + "x" * 107, 108), ("/" + "ä" * 54, 109)):
        (complaint,) = complaints(f'{LISTEN}[[listen]]\nprotocol = "saslauthd"\npath = "{path}"\n{BACKEND}{ROUTE}')
        assert complaint == f"6: listen[1].path: has {size} bytes; the name of a UNIX socket has 107 at most"


@pytest.mark.parametrize("name", ["root", "0"])
def test_root_is_refused_as_the_daemons_account(name: str) -> None:
    for key in ("user", "group"):
        (complaint,) = complaints(f'{SMALL}[server]\n{key} = "{name}"')
        assert complaint.startswith(f"10: server.{key}: root is refused")


@pytest.mark.parametrize(
    ("keys", "trust"),
    [
        ({}, Trust.TLS),
        ({"mode": "0600"}, Trust.TLS),
        ({"mode": "0666"}, Trust.NONE),
        ({"mode": "0661"}, Trust.NONE),
        ({"mode": "0664"}, Trust.NONE),
        ({"trust": "none"}, Trust.NONE),
        ({"trust": "address", "mode": "0666"}, Trust.ADDRESS),
        ({"trust": "tls", "mode": "0666"}, Trust.TLS),
        ({"trust": "certificate"}, Trust.CERTIFICATE),
    ],
)
def test_d10_a_socket_that_others_can_reach_is_not_trusted_unless_it_is_said(keys: dict[str, str], trust: Trust) -> None:
    assert listener(**keys).trusted_up_to is trust
    assert listener(**keys).trusts_addresses is (trust is not Trust.NONE)


def test_trust_has_an_order() -> None:
    assert Trust.NONE < Trust.ADDRESS < Trust.TLS < Trust.CERTIFICATE


def test_log_takes_an_absolute_file() -> None:
    assert parse(f'{SMALL}[log]\nto = "file:/var/log/a b.log"', "FILE").log.to == "file:/var/log/a b.log"


def route(**keys: Any) -> Route:  # whatever an admin may write
    return Route.model_validate({"realm": "*", "backends": ["users"], **keys})


def test_a_route_takes_one_or_a_list() -> None:
    one = route(realm="example.org", service="smtp", listener="/run/a")
    assert (one.realm, one.service, one.listener) == (("example.org",), ("smtp",), ("/run/a",))
    more = route(realm=["", "example.org"], service=["smtp", "imap"], listener=["/run/a", "/run/b"])
    assert (more.realm, more.service, more.listener) == (("", "example.org"), ("smtp", "imap"), ("/run/a", "/run/b"))


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("realm", "1", "must be a string in quotes or a list of them, not a whole number"),
        ("realm", "[]", "must not be an empty list: nothing would ever match"),
        ("realm", '"*.example.org"', 'must be a realm such as "example.org", not "*.example.org"'),
        ("realm", '"@example.org"', 'must be a realm such as "example.org", not "@example.org"'),
        ("realm", f'"{"x" * 256}"', f'"{"x" * 200}...": realm over 255 bytes'),
        ("realm", '"exa mple\u00e4"', '"exa mple\u00e4": realm is no domain name'),
        ("service", '""', 'must be the name of a service, such as "smtp", not ""'),
        ("service", '"imap*"', 'must be the name of a service, such as "smtp", not "imap*"'),
        ("listener", '"mux"', 'must be the path or the address of a listener, or "*", not "mux"'),
        ("backends", '"users"', "must be a list, not a string"),
        ("backends", "[]", "must not be empty: a route asks one backend at least"),
        ("backends", '["users", "users"]', 'names "users" twice'),
        ("next_on", '"unknown"', "must be a list, not a string"),
        ("ignore_realm", "1", "must be true or false, without quotes, not a whole number"),
    ],
)
def test_a_value_that_a_route_does_not_take(key: str, value: str, complaint: str) -> None:
    keys = {"realm": '"*"', "backends": '["users"]', key: value}
    text = f"{LISTEN}{BACKEND}[[route]]\n{key} = {keys.pop(key)}\n" + "".join(f"{name} = {given}\n" for name, given in keys.items())
    assert complaints(text) == [f"7: route[0].{key}: {complaint}"]


def test_a_wrong_element_of_a_list_is_named() -> None:
    text = f'{LISTEN}{BACKEND}[[route]]\nbackends = ["users"]\nrealm = [\n  "example.org",\n  3,\n]\nnext_on = ["unknown", "rejecte"]\n'
    assert complaints(text) == [
        "10: route[0].realm[1]: must be a string in quotes, not a whole number",
        '12: route[0].next_on[1]: must be "unknown", "rejected" or "unavailable", not "rejecte" (did you mean "rejected"?)',
    ]


def test_b5_a_realm_of_a_route_is_folded_as_names_are() -> None:
    assert route(realm=["Example.ORG", "BÜCHER.example", "", "*"]).realm == ("example.org", "xn--bcher-kva.example", "", "*")


def test_pop_and_pop3_are_one_service() -> None:
    assert route(service=["POP3", "pop", "Imap"]).service == ("pop", "pop", "imap")
    assert StoreSettings.model_validate({"type": "store", "services": ["pop3", "smtp"]}).services == ("pop", "smtp")


def test_a_backend_names_its_services() -> None:
    complaint = "6: backend.users.services[0]: names services; without this key they are all allowed"
    assert complaints(f'{LISTEN}{BACKEND}services = ["*"]\n{ROUTE}') == [complaint]


@pytest.mark.parametrize("name", ["users", "mail-2", "A_b"])
def test_names_that_a_backend_may_have(name: str) -> None:
    assert list(parse(SMALL.replace("users", name), "FILE").backend) == [name]


@pytest.mark.parametrize("name", ["", "a b", "a.b", "bücher", "x" * 65])
def test_names_that_a_backend_may_not_have(name: str) -> None:
    (complaint,) = complaints(SMALL.replace(".users", f'."{name}"').replace("users", name))
    assert complaint.startswith("4: backend.")
    assert complaint.endswith(": a backend's name is made of letters, digits, - and _, 64 at most")


def test_the_whole_file_is_one_model() -> None:
    assert set(Settings.model_fields) == {*DEFAULTS, "listen", "backend", "route"}
