"""Each mechanism of the original as a backend that loads, with a note for what changes."""

from __future__ import annotations

from typing import Any

import pytest

from saslauthd_py.config.legacy import mechanisms, pam_services, site
from saslauthd_py.config.legacy.flags import MECHANISMS, parse
from saslauthd_py.config.legacy.mechanisms import Backend, MechanismError
from saslauthd_py.config.legacy.site import Instance
from saslauthd_py.config.load import parse as load
from saslauthd_py.config.load import render_toml
from saslauthd_py.config.settings import PamSettings

FORM = (
    "httpform_host: h\nhttpform_port: 8080\nhttpform_uri: /x.php\nhttpform_data: u=%u&p=%p&r=%r&z=%%%x\nkrb5_keytab: /k\nhttpform_uri: /y\n"
)
KERBEROS = """\
# x
krb5_keytab: FILE:/etc/k
KRB5_imap_instance: mail
krb5_servername: m.example.org
ldap_filter: (uid=%u)
krb5_uppercase_realm: yes
"""
LDAP = "ldap_servers: ldap://127.0.0.1\nldap_search_base: dc=x\nldap_filter: (mail=%u)\n"


def converted(line: str, conf: str | None = None) -> Backend:
    return mechanisms.converted(parse(line.split()), conf)


def notes(made: Backend) -> set[str]:
    return {note.key for note in made.notes}


@pytest.mark.parametrize(
    ("line", "conf", "table", "ignores_realm"),
    [
        ("-a pam", None, {"type": "pam"}, True),
        ("-a pam -r -n 9 -c", None, {"type": "pam", "login": "{local}@{realm}", "workers": 9, "cache": "8h"}, False),
        ("-a shadow -n 0 -c -t 60", None, {"type": "shadow", "cache": "60s"}, True),
        ("-a shadow -n 1000 -t 60", None, {"type": "shadow", "workers": 256}, True),
        ("-a getpwent -c -t 100000", None, {"type": "getpwent", "cache": "24h"}, True),
        ("-a sasldb -r -n 3", None, {"type": "sasldb"}, False),
        ("-a rimap -O mail", None, {"type": "imap", "servers": ["imap://mail"], "login": "{local}"}, True),
        ("-a rimap -r -O ::1/imap", None, {"type": "imap", "servers": ["imap://[::1]:143"]}, False),
        ("-a httpform", FORM, {"type": "http_form", "url": "http://h:8080/x.php", "body": "u=%U&p=%p&r=%r&z=%%%%x"}, False),
        ("-a httpform -r", FORM, {"type": "http_form", "url": "http://h:8080/x.php", "body": "u=%u&p=%p&r=%r&z=%%%%x"}, False),
        (
            "-a httpform",
            "httpform_uri: x\nhttpform_data: %u:%p%",
            {"type": "http_form", "url": "http://localhost/x", "body": "%U:%p%%"},
            True,
        ),
        ("-a kerberos5 -r", None, {"type": "kerberos", "login": "{local}@{realm}"}, False),
        (
            "-a kerberos5",
            KERBEROS,
            {
                "type": "kerberos",
                "login": "{local}@{realm}",
                "keytab": "/etc/k",
                "verify_principal": "host/m.example.org",
                "service_instance": {"imap": "mail"},
            },
            False,
        ),
    ],
)
def test_backend_of_each_mechanism(line: str, conf: str | None, table: dict[str, Any], ignores_realm: bool) -> None:
    made = converted(line, conf)
    assert (made.table, made.ignores_realm) == (table, ignores_realm)
    settings = load(render_toml(site.configuration([Instance(parse(line.split()), made)])), "")
    assert [backend.type for backend in settings.backend.values()] == [table["type"]]
    assert (settings.listen[0].path, settings.listen[0].mode) == ("/var/run/saslauthd/mux", 0o777)


def test_ldap_goes_by_its_own_file_and_r_changes_what_u_is() -> None:
    assert converted("-a ldap", LDAP).table == {"type": "ldap", "saslauthd_conf": "/etc/saslauthd.conf"}
    assert converted("-a ldap", LDAP).ignores_realm
    whole = converted("-a ldap -r -O /etc/x.conf", LDAP)
    assert whole.table == {"type": "ldap", "saslauthd_conf": "/etc/x.conf", "filter": "(mail=%u)"}
    assert not whole.ignores_realm
    assert not converted("-a ldap", LDAP.replace("%u", "%u@%r")).ignores_realm
    relative = parse(["-a", "ldap", "-O", "x.conf", "-m", "/run/x"])
    assert mechanisms.file_of(relative) == mechanisms.converted(relative, LDAP).table["saslauthd_conf"] == "/run/x/x.conf"
    assert mechanisms.file_of(parse(["-a", "kerberos5", "-O", "x.conf"])) == "x.conf", "which the original opens before it is there"
    by_template = LDAP.replace("(mail=%u)", "uid=%u,dc=x") + "ldap_auth_method: fastbind\n"
    assert converted("-a ldap", by_template).ignores_realm
    assert converted("-a ldap -r", by_template).table["dn_template"] == "uid=%u,dc=x"


@pytest.mark.parametrize("conf", [None, "ldap_servers"])
def test_ldaps_file_that_cannot_be_used_is_left_to_whoever_loads_it(conf: str | None) -> None:
    assert converted("-a ldap", conf).table == {"type": "ldap", "saslauthd_conf": "/etc/saslauthd.conf"}


@pytest.mark.parametrize(
    ("line", "conf", "told"),
    [
        ("-a rimap", None, "-O must name the mail server"),
        ("-a rimap -O /143", None, "is no host"),
        ("-a rimap -O mail/xyz", None, "is no host"),
        ("-a httpform", None, "/etc/saslauthd.conf cannot be read"),
        ("-a httpform", "httpform_uri: /x", "/etc/saslauthd.conf: httpform_data is missing"),
        ("-a httpform -O /x", "httpform_uri", "/x:1: httpform_uri: must be a key"),
        ("-a kerberos5", "\nkrb5_conv_krb4_instance: yes", "/etc/saslauthd.conf:2: krb5_conv_krb4_instance is not done here"),
        ("-a kerberos5", "krb5_keytab:", "krb5_keytab: has no value"),
    ],
)
def test_what_the_original_was_not_started_with_either(line: str, conf: str | None, told: str) -> None:
    with pytest.raises(MechanismError) as raised:
        converted(line, conf)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "conf", "keys"),
    [
        ("-a pam -n 5 -c", None, {"-a", "-r", "-c"}),
        ("-a pam -r -n 0", None, {"-a", "-n"}),
        ("-a sasldb -r -n 5 -c -O x", None, {"-a", "-r", "-n", "-c", "-O"}),
        ("-a shadow -n 999 -r -c -t 99999", None, {"-a", "-n", "-c", "-t"}),
        ("-a httpform -r", FORM + "httpform_x: 1\n", {"httpform_uri", "httpform_x"}),
        ("-a kerberos5", None, {"krb5_keytab", "krb5_uppercase_realm"}),
        ("-a kerberos5 -r", KERBEROS, {"krb5_keytab", "-r"}),
    ],
)
def test_a_note_for_what_changes_and_for_nothing_else(line: str, conf: str | None, keys: set[str]) -> None:
    assert notes(converted(line, conf)) == keys


def test_the_same_key_twice_has_its_first_value_as_in_the_original() -> None:
    (note,) = (note for note in converted("-a httpform", FORM).notes if note.line)
    assert str(note) == "6: httpform_uri: stands in line 3 too, and that line counts"


def test_several_instances_have_a_listener_a_backend_and_a_route_each() -> None:
    lines = ("-a pam -m /run/a -c -s 8192", "-a pam -m /run/b -c -s 1", "-a sasldb -m /run/c -s 1")
    instances = [Instance(parse(line.split()), converted(line), "sasl" if "/b" in line else "") for line in lines]
    document = site.configuration(instances)
    settings = load(render_toml(document), "")
    assert [(listen.path, listen.group, listen.mode) for listen in settings.listen] == [
        ("/run/a/mux", None, 0o777),
        ("/run/b/mux", "sasl", 0o660),
        ("/run/c/mux", None, 0o777),
    ]
    assert list(settings.backend) == ["pam", "pam2", "sasldb"]
    assert [(route.listener, route.backends) for route in settings.route] == [
        (("/run/a/mux",), ("pam",)),
        (("/run/b/mux",), ("pam2",)),
        (("/run/c/mux",), ("sasldb",)),
    ]
    assert settings.cache.max_entries == 87378 + 6 + 6
    assert [sorted(note.key for note in one.notes if note.key in {"-s", "-m"}) for one in instances] == [["-m", "-s"]] * 3


def test_every_mechanism_has_its_conversion() -> None:
    assert set(mechanisms._CONVERSIONS) == set(MECHANISMS)


@pytest.mark.parametrize(
    ("own", "routes"),
    [
        ({"smtp", "imap", "pop", "sieve", "ldap"}, [(("*",), ("pam",))]),
        (set(), [(("*",), ("pam",))]),
        ({"imap", "smtp"}, [(("smtp", "imap"), ("pam",)), (("*",), ("pam_other",))]),
    ],
)
def test_services_without_a_file_of_their_own_are_asked_of_pams_other(own: set[str], routes: list[object]) -> None:
    made = pam_services.with_other(converted("-a pam -n 3"), own)
    settings = load(render_toml(site.configuration([Instance(parse(["-a", "pam"]), made)])), "")
    assert [(route.service, route.backends) for route in settings.route] == routes
    assert all(route.ignore_realm for route in settings.route)
    found = {
        name: (backend.pam_service, backend.services) for name, backend in settings.backend.items() if isinstance(backend, PamSettings)
    }
    everything = ("other", ())
    match len(own):
        case 5:
            assert found == {"pam": ("{service}", pam_services.SERVICES)}
        case 0:
            assert found == {"pam": everything}
        case _:
            assert found == {"pam": ("{service}", ("smtp", "imap")), "pam_other": everything}
