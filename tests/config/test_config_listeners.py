"""`[[listen]]` with a path and with an address: which keys go together, and what is said of those that do not (rules H2, D10)."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.config.load import check, differences, parse, render_toml, schema
from saslauthd_py.config.settings import Listen, Trust
from saslauthd_py.config.settings.address import TcpAddress, tcp_address
from tests.config.samples import BACKEND, LISTEN, ROUTE, complaints

DOVECOT = '[[listen]]\nprotocol = "dovecot"\n'
REST = BACKEND + ROUTE


def listener(**keys: Any) -> Listen:
    return Listen.model_validate({"protocol": "dovecot", **keys})


def one(keys: str, protocol: str = "dovecot") -> list[str]:
    """What is said of one [[listen]] with these keys, which begin in line 3."""
    return complaints(f'[[listen]]\nprotocol = "{protocol}"\n{keys}\n{REST}')


def warned(text: str, path: Path) -> list[str]:
    file = path / "a.toml"
    file.write_text(text)
    return [str(problem).removeprefix(f"{file}:") for problem in check(str(file)).warnings]


# Addresses


@pytest.mark.parametrize(
    ("written", "host", "port", "name"),
    [
        ("127.0.0.1:12345", "127.0.0.1", 12345, "127.0.0.1:12345"),
        ("[::1]:1", "::1", 1, "[::1]:1"),
        ("[0:0:0:0::1]:65535", "::1", 65535, "[::1]:65535"),
        ("127.8.9.10:99", "127.8.9.10", 99, "127.8.9.10:99"),
    ],
)
def test_an_address_has_one_text(written: str, host: str, port: int, name: str) -> None:
    listen = listener(address=written)
    assert listen.address == TcpAddress(ip_address(host), port)
    assert (listen.name, listen.key, listen.exposed) == (name, name, False)
    assert differences(parse(f'{DOVECOT}address = "{written}"\n{REST}', ""))["listen"] == [{"protocol": "dovecot", "address": name}]


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_is_read_as_it_is_written(host: Any, port: int) -> None:
    address = TcpAddress(host, port)
    assert tcp_address(str(address)) == address


@given(st.text(alphabet="0123456789abcdef.:[]%/ x", max_size=24))
def test_what_is_taken_for_an_address_has_one_text(text: str) -> None:
    address = tcp_address(text)
    assert address is None or tcp_address(str(address)) == address


NO_ADDRESS = 'must be an address and a port, such as "127.0.0.1:12345" or "[::1]:12345", not {}: no names, and a port from 1 to 65535'


@pytest.mark.parametrize(
    "written",
    ["localhost:12345", "127.0.0.1", "12345", ":12345", "*:12345", "::1:12345", "[127.0.0.1]:x", "127.0.0.1:0", "127.0.0.1:65536",
     "127.0.0.1:012", "1.2.3:4", "256.0.0.1:1", "[fe80::1%eth0]:1", "tcp:127.0.0.1:1", "", "/run/mux"],
)  # fmt: skip
def test_what_is_no_address_is_refused(written: str) -> None:
    assert one(f'address = "{written}"') == [f"3: listen[0].address: {NO_ADDRESS.format(chr(34) + written + chr(34))}"]


def test_an_address_without_quotes_is_refused() -> None:
    assert one("address = 12345") == [
        '3: listen[0].address: must be an address and a port in quotes, such as "127.0.0.1:12345", not a whole number'
    ]


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("[::ffff:127.0.0.1]:1", "is an IPv4 address: write it as one"),
        ("[fe80::1]:1", "is of one link only, and which one cannot be said here: choose another address"),
    ],
)
def test_an_address_that_no_socket_can_have_is_refused(written: str, complaint: str) -> None:
    assert one(f'address = "{written}"') == [f'3: listen[0].address: "{written}" {complaint}']


# Path or address


def test_a_listener_has_a_path_or_an_address() -> None:
    assert one("") == ['1: listen[0].path: is missing, and there is no address in its place, such as "127.0.0.1:12345"']
    assert one("", "saslauthd") == ["1: listen[0].path: is missing; it has no default"]
    assert one('path = "/run/a"\naddress = "127.0.0.1:12345"') == [
        (
            "3: listen[0].path: a listener has either a path or an address, "
            'and this one has address = "127.0.0.1:12345" too: write two [[listen]]'
        )
    ]


@pytest.mark.parametrize("protocol", ["saslauthd", "pwcheck"])
def test_an_address_is_for_dovecot(protocol: str) -> None:
    assert one('address = "127.0.0.1:12345"', protocol) == [
        f'3: listen[0].address: is for "dovecot": clients of "{protocol}" ask at a path'
    ]


@pytest.mark.parametrize("keys", ['path = "mux"', 'address = "mux"', 'address = "192.0.2.1:1"\nnetworks = ["x"]'])
def test_of_a_key_that_is_wrong_in_itself_no_more_is_said(keys: str) -> None:
    """Nor of a route that names it."""
    text = f'{DOVECOT}{keys}\n{BACKEND}{ROUTE}listener = "/run/b"\n'
    assert len(complaints(text)) == 1


@pytest.mark.parametrize("key", ['user = "postfix"', 'group = "postfix"', 'mode = "0660"', 'allow_users = ["postfix"]'])
def test_what_is_of_a_path_is_refused_beside_an_address(key: str) -> None:
    assert one(f'address = "127.0.0.1:12345"\n{key}') == [
        f"4: listen[0].{key.split()[0]}: is for a path: who may ask at an address is said by networks"
    ]


@pytest.mark.parametrize("key", ['on_unavailable = "close"', "require_tls = false", 'mechanisms = ["PLAIN"]'])
def test_what_is_dovecots_is_refused_of_others(key: str) -> None:
    for protocol in ("saslauthd", "pwcheck"):
        assert one(f'path = "/run/a"\n{key}', protocol) == [
            f'4: listen[0].{key.split()[0]}: is for "dovecot": "{protocol}" has no such thing'
        ]


# Networks


@pytest.mark.parametrize("address", ["192.0.2.1:12345", "0.0.0.0:12345", "[::]:12345", "[2001:db8::1]:12345"])
def test_h2_an_address_beyond_this_machine_names_its_clients(address: str, tmp_path: Path) -> None:
    (complaint,) = one(f'address = "{address}"')
    assert complaint.startswith(
        f'1: listen[0].networks: is missing: "{address}" can be reached from other machines; name those that may ask'
    )
    assert one(f'address = "{address}"\nnetworks = []') == [complaint.replace("1:", "4:", 1)]
    networks = ["192.0.2.25/32", "2001:db8::25/128"]
    listen = listener(address=address, networks=networks)
    assert listen.exposed
    assert listen.networks == tuple(map(ip_network, networks))
    (warning,) = warned(
        f'{DOVECOT}address = "{address}"\nnetworks = ["192.0.2.25/32", "2001:db8::25/128"]\ntrust = "none"\n{REST}', tmp_path
    )
    assert warning.startswith("3: listen[0].address: passwords come to it over the network in clear")


@pytest.mark.parametrize(
    "keys", ['address = "127.0.0.1:12345"\ntrust = "tls"', 'address = "[::1]:1"\nnetworks = ["::1/128"]\ntrust = "none"', 'path = "/run/a"']
)
def test_h2_on_this_machine_there_is_nothing_to_warn_of(keys: str, tmp_path: Path) -> None:
    assert warned(f"{DOVECOT}{keys}\n{REST}", tmp_path) == []


def test_d10_a_tcp_listener_that_believes_nothing_without_being_told_so_is_a_warning(tmp_path: Path) -> None:
    (warning,) = warned(f'{DOVECOT}address = "127.0.0.1:12345"\n{REST}', tmp_path)
    assert warning.startswith("1: listen[0]: neither the address nor the TLS of mail clients is believed here")


@pytest.mark.parametrize(
    ("address", "network", "reaches"),
    [
        ("127.0.0.1:1", "192.0.2.0/24", False),
        ("127.0.0.1:1", "0.0.0.0/0", True),
        ("[::1]:1", "127.0.0.0/8", False),
        ("[::1]:1", "::/0", True),
        ("[::]:1", "192.0.2.0/24", False),
        ("0.0.0.0:1", "127.0.0.0/8", True),
        ("192.0.2.1:1", "2001:db8::/32", False),
    ],
)
def test_networks_that_cannot_reach_the_address_are_a_warning(address: str, network: str, reaches: bool, tmp_path: Path) -> None:
    text = f'{DOVECOT}address = "{address}"\nnetworks = ["{network}"]\n{REST}'
    expected = [] if reaches else [f'4: listen[0].networks: nobody from there can reach "{address}": all who ask are refused']
    assert [line for line in warned(text, tmp_path) if line.startswith("4:")] == expected


def test_networks_are_for_an_address() -> None:
    assert one('path = "/run/a"\nnetworks = ["192.0.2.0/24"]') == [
        "4: listen[0].networks: is for an address: who may ask at a path is said by mode and allow_users"
    ]


def test_a_network_that_is_none_is_refused_with_its_place() -> None:
    assert one('address = "192.0.2.1:12345"\nnetworks = ["192.0.2.0/24",\n"192.0.2.7/24"]') == [
        '5: listen[0].networks[1]: "192.0.2.7/24" is no network, such as "192.0.2.0/24" or "2001:db8::/32"'
    ]


# Trust


def test_d10_a_tcp_client_is_not_trusted_unless_it_is_said() -> None:
    assert listener(address="127.0.0.1:12345").trusted_up_to is Trust.NONE
    assert listener(address="127.0.0.1:12345", trust="tls").trusted_up_to is Trust.TLS


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ('path = "/run/a"\ntrust = "address"', 'trust is "address"'),
        ('path = "/run/a"\ntrust = "none"', 'trust is "none"'),
        ('path = "/run/a"\nmode = "0666"', 'trust is "none" by default at an address, or where mode lets others in'),
        ('address = "127.0.0.1:1"\n', 'trust is "none" by default at an address, or where mode lets others in'),
    ],
)
def test_tls_is_not_required_where_nobody_is_believed_to_have_it(keys: str, why: str) -> None:
    assert one(f"{keys}\nrequire_tls = true") == [
        (
            f"5: listen[0].require_tls: would refuse every PLAIN and LOGIN: {why}, so no client's TLS is believed; "
            'add trust = "tls" if it can be'
        )
    ]


@pytest.mark.parametrize("keys", [{"path": "/run/a"}, {"path": "/a", "trust": "certificate"}, {"address": "127.0.0.1:1", "trust": "tls"}])
def test_tls_is_required_where_the_mail_server_is_believed(keys: dict[str, str]) -> None:
    assert listener(**keys, require_tls=True).require_tls


EXTERNAL = (
    '"EXTERNAL" lets in whoever has shown a certificate, on the mail server\'s word alone: '
    'it needs trust = "certificate" and allow_users, the mail server\'s own user'
)


@pytest.mark.parametrize(
    "keys", ['trust = "certificate"', 'trust = "tls"\nallow_users = ["postfix"]', 'allow_users = ["postfix"]', "allow_users = []"]
)
def test_d10_external_needs_a_client_that_is_known_and_believed(keys: str) -> None:
    (complaint,) = one(f'path = "/run/a"\n{keys}\nmechanisms = ["PLAIN", "EXTERNAL"]')
    assert complaint.partition(": ")[2] == f"listen[0].mechanisms: {EXTERNAL}"
    assert listener(path="/a", trust="certificate", allow_users=["postfix"], mechanisms=["EXTERNAL"]).mechanisms == ("EXTERNAL",)


def test_d10_external_is_not_offered_over_tcp() -> None:
    assert one('address = "127.0.0.1:1"\ntrust = "certificate"\nmechanisms = ["EXTERNAL"]') == [
        '5: listen[0].mechanisms: "EXTERNAL" needs a path, where allow_users says whose word is taken: over TCP nobody knows who asks'
    ]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("[]", "mechanisms: must not be empty: leave it out to have what can be offered"),
        ('["PLAIN", "LOGIN", "PLAIN"]', 'mechanisms: names "PLAIN" twice'),
        ('["PLIAN"]', ('mechanisms[0]: must be "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN" or "EXTERNAL", not "PLIAN" '
                      '(did you mean "PLAIN"?)')),
        ('"PLAIN"', "mechanisms: must be a list, not a string"),
    ],
)  # fmt: skip
def test_mechanisms_that_are_no_list_of_them(value: str, complaint: str) -> None:
    assert one(f'path = "/run/a"\nmechanisms = {value}') == [f"4: listen[0].{complaint}"]


# What one says of another


def test_two_listeners_at_one_address_are_refused() -> None:
    text = f'{DOVECOT}address = "[::1]:12345"\n{DOVECOT}address = "[0::1]:12345"\n{DOVECOT}address = "127.0.0.1:12345"\n{REST}'
    assert complaints(text) == ['6: listen[1].address: "[::1]:12345" is the address of listen[0] already']


@pytest.mark.parametrize(
    ("first", "second", "one_port"),
    [
        ("127.0.0.1:1", "0.0.0.0:1", True),
        ("0.0.0.0:1", "192.0.2.1:1", True),
        ("[::]:1", "[::1]:1", True),
        ("0.0.0.0:1", "127.0.0.1:2", False),
        ("0.0.0.0:1", "[::]:1", False),
        ("[::]:1", "127.0.0.1:1", False),
        ("127.0.0.1:1", "127.0.0.2:1", False),
    ],
)
def test_an_address_within_another_is_refused(first: str, second: str, one_port: bool) -> None:
    networks = 'networks = ["127.0.0.0/8", "::1/128"]\n'
    text = f'{DOVECOT}address = "{first}"\n{networks}{DOVECOT}address = "{second}"\n{networks}{REST}'
    if one_port:
        expected = f'7: listen[1].address: "{second}" and the address of listen[0] are one: every address of this machine has that port'
        assert complaints(text) == [expected]
    else:
        assert len(parse(text, "").listen) == 2


@pytest.mark.parametrize("other", ["/run//saslauthd/mux", "//run/saslauthd/mux", "/run/./saslauthd/x/../mux", "///run/saslauthd/mux"])
def test_a_path_is_the_same_however_it_is_spelt(other: str) -> None:
    assert complaints(LISTEN + DOVECOT + f'path = "{other}"\n' + REST) == [f'6: listen[1].path: "{other}" is the path of listen[0] already']


def test_a_route_names_addresses_that_there_are() -> None:
    text = f'{DOVECOT}address = "[::1]:12345"\n{BACKEND}{ROUTE}listener = '
    assert parse(f'{text}"[0:0::1]:12345"\n', "").route[0].listener == ("[::1]:12345",)
    assert complaints(f'{text}["[::1]:12346", "/run/a"]\n') == [
        '9: route[0].listener[0]: no [[listen]] has the address "[::1]:12346" (did you mean "[::1]:12345"?)',
        '9: route[0].listener[1]: no [[listen]] has the path "/run/a"',
    ]


# As it is written


def test_what_is_shown_of_listeners_is_the_file_again() -> None:
    text = """\
[[listen]]
protocol = "dovecot"
address = "0.0.0.0:12345"
networks = ["192.0.2.0/24", "2001:db8::/32"]
trust = "tls"
on_unavailable = "fail"
require_tls = true
mechanisms = ["SCRAM-SHA-256", "PLAIN"]

[backend.users]
type = "store"

[[route]]
realm = "*"
listener = "0.0.0.0:12345"
backends = ["users"]
"""
    assert render_toml(differences(parse(text, ""))) == text


def test_the_schema_has_a_path_or_an_address() -> None:
    described = schema()["$defs"]["Listen"]
    assert described["oneOf"] == [{"required": ["path"]}, {"required": ["address"]}]
    assert described["required"] == ["protocol"]
    assert described["properties"]["address"]["type"] == "string"
    assert described["properties"]["networks"]["items"] == {"type": "string"}
