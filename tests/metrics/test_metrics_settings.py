"""`[metrics] address`: off, loopback or a path; whatever others could reach is refused."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from saslauthd_py.config.settings import MetricsSettings
from saslauthd_py.config.settings.metrics import Loopback


def why_not(address: object) -> str:
    with pytest.raises(ValidationError) as caught:
        MetricsSettings.model_validate({"address": address})
    (error,) = caught.value.errors()
    return error["msg"]


def test_it_is_off_unless_it_is_switched_on() -> None:
    assert MetricsSettings().address is None
    assert MetricsSettings().model_dump(mode="json") == {"address": "off"}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("off", None),
        ("127.0.0.1:9477", Loopback(ip_address("127.0.0.1"), 9477)),
        ("127.8.9.10:1", Loopback(ip_address("127.8.9.10"), 1)),
        ("[::1]:65535", Loopback(ip_address("::1"), 65535)),
        ("/run/saslauthd-py/metrics", "/run/saslauthd-py/metrics"),
    ],
)
def test_what_is_written_is_what_it_means_and_is_written_again(written: str, value: object) -> None:
    settings = MetricsSettings.model_validate({"address": written})
    assert settings.address == value
    assert settings.model_dump(mode="json") == {"address": written}


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0:9477", "[::]:9477", "192.0.2.1:9477", "10.0.0.1:80", "[2001:db8::1]:9477", "[fe80::1]:9477", "[::ffff:127.0.0.1]:9477"],
)
def test_what_other_machines_can_reach_is_refused_with_the_way_to_do_it(address: str) -> None:
    text = why_not(address)
    assert f'"{address}" can be reached from other machines' in text
    assert "127.0.0.1" in text
    assert "proxy" in text


@pytest.mark.parametrize(
    "address",
    [
        *("", "on", "127.0.0.1", "127.0.0.1:", ":9477", "9477", "localhost:9477", "*:9477", "::1:9477", "[::1]", "[127.0.0.1:9477"),
        *("127.0.0.1:0", "127.0.0.1:09", "127.0.0.1:65536", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:9477 ", "127.1:9477"),
        *("127.000.0.1:9477", "256.0.0.1:9477", "[::1%lo]:9477", "[::g]:9477", "http://127.0.0.1:9477", "127.0.0.1:9477/metrics"),
        *("127.0.0.1:٩", "metrics.sock", "./metrics"),
    ],
)
def test_what_is_no_address_is_refused_with_examples(address: str) -> None:
    text = why_not(address)
    assert '"127.0.0.1:9477"' in text
    assert '"off"' in text


@pytest.mark.parametrize("address", [9477, True, ["127.0.0.1:9477"], None])
def test_what_is_no_text_is_refused(address: object) -> None:
    assert "in quotes" in why_not(address)


@pytest.mark.parametrize(("path", "word"), [("/run/metrics/", "path of a file"), ("/" + "a" * 107, "107"), ("/a\nb", "path of a file")])
def test_a_path_is_one_that_a_socket_can_have(path: str, word: str) -> None:
    assert word in why_not(path)


@given(st.text())
def test_whatever_is_written_is_refused_or_cannot_be_reached_from_elsewhere(written: str) -> None:
    try:
        address = MetricsSettings.model_validate({"address": written}).address
    except ValidationError:
        return
    assert address is None or (address.host.is_loopback if isinstance(address, Loopback) else address.startswith("/"))


@given(st.ip_addresses(), st.integers(1, 65535))
def test_of_all_addresses_loopback_alone_is_taken(host: object, port: int) -> None:
    written = f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    try:
        MetricsSettings.model_validate({"address": written})
    except ValidationError:
        assert not ip_address(str(host)).is_loopback or "::ffff:" in str(host)
    else:
        assert ip_address(str(host)).is_loopback
