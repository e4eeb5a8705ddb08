"""What a configuration says of other daemons: who decides, who is only compared with, and that none of them is this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from saslauthd_py.config.load import parse
from saslauthd_py.config.load.checks import Parts
from saslauthd_py.config.load.other_daemons import warnings as warnings_of
from saslauthd_py.config.settings import KerberosSettings, SaslauthdSettings, Settings
from tests.config.samples import LISTEN, complaints

OLD = "[backend.old]\ntype = 'saslauthd'\npath = '/run/saslauthd-old/mux'\n"
COMPARED = OLD + "shadow_compare = true\n"
USERS = "[backend.users]\ntype = 'store'\n"
SYSTEM = "[backend.system]\ntype = 'pam'\n"


def site(*backends: str, route: str = "realm = '*'\nbackends = ['users', 'old']", listen: str = LISTEN) -> str:
    return "\n".join((listen, *backends, f"[[route]]\n{route}\n"))


def warned(text: str) -> list[str]:
    settings: Settings = parse(text, "")
    return [one.text for one in warnings_of(Parts(settings.listen, settings.backend, settings.route, settings.proxy_user))]


def test_defaults_of_another_daemon() -> None:
    old = parse(site(USERS, COMPARED), "").backend["old"]
    assert isinstance(old, SaslauthdSettings)
    assert (old.login, old.cache, old.timeout, old.fold_case, old.shadow_compare) == ("{local}@{realm}", 0.0, 5.0, False, True)


def test_route_that_only_compares_is_refused() -> None:
    (found,) = complaints(site(COMPARED, route="realm = '*'\nbackends = ['old']"))
    assert "route[0].backends: nobody decides here" in found


def test_daemon_that_would_ask_itself_is_refused() -> None:
    (found,) = complaints(site(USERS, OLD.replace("/run/saslauthd-old/mux", parse(site(USERS, OLD), "").listen[0].name)))
    assert "backend.old.path: " in found
    assert "it would ask itself" in found


@pytest.mark.parametrize("way", ["linked/mux", "real//mux", "real/../real/mux", "linked/./mux"])
def test_daemon_that_would_ask_itself_by_another_path_is_refused(way: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    listen = LISTEN.replace("/run/saslauthd/mux", f"{tmp_path}/real/mux")
    (found,) = complaints(site(USERS, OLD.replace("/run/saslauthd-old/mux", f"{tmp_path}/{way}"), listen=listen))
    assert "listen[0]: it would ask itself" in found
    parse(site(USERS, OLD.replace("/run/saslauthd-old/mux", f"{tmp_path}/linked/old"), listen=listen), "")


def test_b2_what_is_only_compared_may_drop_the_realm() -> None:
    parse(site(USERS, COMPARED + "login = '{local}'\n"), "")
    (found,) = complaints(site(USERS, OLD + "login = '{local}'\n"))
    assert "drops it" in found


@pytest.mark.parametrize(
    ("backends", "next_on", "warns"),
    [("'old', 'users'", "'unknown'", True), ("'old', 'users'", "'unknown', 'rejected'", False), ("'users', 'old'", "'unknown'", False)],
)
def test_backends_behind_one_that_knows_no_unknown_user_are_told(backends: str, next_on: str, warns: bool) -> None:
    route = f"realm = '*'\nbackends = [{backends}]\nnext_on = [{next_on}]"
    assert bool(warned(site(USERS, OLD, route=route))) is warns
    assert warned(site(USERS, COMPARED, route=route)) == []


def test_pam_before_what_is_only_compared_stands_last(tmp_path: object) -> None:
    from saslauthd_py.config.load.checks import warnings

    settings = parse(site(SYSTEM, COMPARED, route="realm = ''\nbackends = ['system', 'old']"), "")
    parts = Parts(settings.listen, settings.backend, settings.route, settings.proxy_user)
    assert [one.text for one in warnings(parts)] == []


def test_scram_s_backends_are_those_that_decide() -> None:
    listen = "[[listen]]\nprotocol = 'dovecot'\npath = '/run/a'\nmechanisms = ['PLAIN', 'SCRAM-SHA-256']\n"
    parse(site(USERS, COMPARED, listen=listen), "")
    (found,) = complaints(
        site(OLD, COMPARED.replace("backend.old", "backend.older"), route="realm = '*'\nbackends = ['old', 'older']", listen=listen)
    )
    assert "no backend of this listener's routes has keys" in found
    assert "older" not in found


def kerberos(keys: str = "") -> str:
    return site("[backend.k]\ntype = 'kerberos'\n" + keys, route="realm = ''\nbackends = ['k']")


def test_kerberos_defaults() -> None:
    found = parse(kerberos(), "").backend["k"]
    assert isinstance(found, KerberosSettings)
    assert (found.login, found.fold_case, found.cache, found.parallel, found.timeout) == ("{local}", False, 0.0, 32, 5.0)
    assert (found.realm, found.keytab, found.verify_principal) == (None, "/etc/saslauthd-py/krb5.keytab", "host")
    assert found.service_instance == {}


def test_kerberos_instances_go_by_services() -> None:
    found = parse(kerberos("service_instance = { IMAP = 'mail', pop3 = 'pop' }\n"), "").backend["k"]
    assert isinstance(found, KerberosSettings)
    assert found.service_instance == {"imap": "mail", "pop": "pop"}


@pytest.mark.parametrize(
    ("realm", "keys", "warns"),
    [
        ("*", "login = '{local}@{realm}'\n", True),
        ("example.org", "login = '{local}@{realm}'\n", False),
        ("", "", False),
        ("*'\nignore_realm = true #'", "", False),
    ],
)
def test_kdc_that_any_client_may_name_is_warned_of(realm: str, keys: str, warns: bool) -> None:
    route = f"realm = '{realm}'\nbackends = ['k']"
    text = site("[backend.k]\ntype = 'kerberos'\n" + keys, route=route)
    assert any("asks the KDC of any realm" in line for line in warned(text)) is warns


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ("realm = 'A/B'", "realm: must be a name in Kerberos"),
        ("realm = ''", "realm: must be a name in Kerberos"),
        ("realm = 'EXAMPLE.ORG'\nlogin = '{local}@{realm}'", "realm: would put everybody into one realm"),
        ("verify_principal = 'host/a b'", "verify_principal: must be a name in Kerberos"),
        ("service_instance = { imap = 'a/b' }", "service_instance.imap: must be a name in Kerberos"),
        ("service_instance = { pop = 'a', pop3 = 'b' }", 'service_instance: names "pop" twice'),
        ("service_instance = 'mail'", "service_instance: must be a table such as"),
        ("keytab = 'krb5.keytab'", "keytab: must be an absolute path"),
        ("parallel = 0", "parallel: must be at least 1"),
    ],
)
def test_kerberos_keys_that_are_wrong(keys: str, what: str) -> None:
    (found,) = complaints(kerberos(keys))
    assert f"backend.k.{what}" in found
