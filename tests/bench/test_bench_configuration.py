"""What is measured is what an admin runs: the defaults (rule C9)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

import pytest

from saslauthd_py.config.load import differences, parse
from tests.bench import ours, stock_dovecot
from tests.interop.pam_machine import PamMachine

Differences = dict[str, object]


def differing(installation: ours.Installation, protocol: str = "saslauthd") -> Differences:
    """What its configuration says that is not the default, without the places and the user, which are no matter."""
    found = differences(parse(Path(installation.configuration).read_text(), "bench"))
    (listen,) = found.pop("listen")
    assert listen == {"protocol": protocol, "path": f"{installation.directory}/mux"}
    assert set(found.pop("server")) == {"user", "group"}
    assert set(found.pop("control")) == {"path"}
    return found


@pytest.fixture
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration alone."""
    monkeypatch.setattr(ours, "fill", lambda *_: None)


@pytest.mark.usefixtures("no_store")
def test_c9_measured_configuration_differs_from_the_default_in_its_places_and_its_cheap_hashes_alone(tmp_path: Path) -> None:
    assert differing(ours.install(str(tmp_path / "x"), [])) == {
        "backend": {"users": {"type": "store", "path": f"{tmp_path}/x/store/users.db", "rehash": False}},
        "route": [{"realm": "*", "backends": ["users"]}],
    }


@pytest.mark.parametrize("kind", ["pam", "shadow"])
def test_c9_measured_system_accounts_differ_from_the_default_in_their_place_alone(tmp_path: Path, kind: Literal["pam", "shadow"]) -> None:
    installation = ours.install_in(PamMachine(tmp_path), kind)
    assert differing(installation) == {"backend": {"system": {"type": kind}}, "route": [{"realm": "", "backends": ["system"]}]}
    assert installation.prefix == tuple(PamMachine(tmp_path).prefix)


@pytest.mark.usefixtures("no_store")
def test_c9_delay_is_the_default_where_nothing_else_is_asked_for(tmp_path: Path) -> None:
    assert differing(ours.install(str(tmp_path / "x"), [])).keys() & {"failure", "admission"} == set()
    asked = differing(ours.install(str(tmp_path / "y"), [], ours.UNDELAYED + ours.UNLIMITED))
    assert asked["failure"] == {"delay": "0s"}
    assert asked["admission"] == {"per_account": "off", "per_network": "off", "per_pair": "off"}


@pytest.mark.parametrize(("cached", "cache"), [(True, {}), (False, {"cache": "0s"})])
def test_c9_measured_passwd_file_differs_from_the_default_in_its_place_and_where_it_says_so_its_cache(
    tmp_path: Path, cached: bool, cache: Differences
) -> None:
    installation = ours.install_dovecot(str(tmp_path / "x"), "/passwd", cached=cached)
    assert differing(installation, "dovecot") == {
        "backend": {"users": {"type": "passwd_file", "path": "/passwd", **cache}},
        "route": [{"realm": "*", "backends": ["users"]}],
    }
    assert (installation.lifetime > 0) is cached


@pytest.mark.peer("doveadm")
def test_dovecot_is_measured_with_its_defaults_except_what_makes_it_quicker(tmp_path: Path) -> None:
    place = tmp_path / "x"
    stock_dovecot.install(str(place), "/passwd")
    command = ["doveconf", "-c", f"{place}/dovecot.conf"]
    set_by_us = subprocess.run([*command, "-n"], check=True, capture_output=True, text=True).stdout.splitlines()
    assert [line.strip() for line in set_by_us if not line.startswith("#")] == [
        f"base_dir = {place}/run",
        f"log_path = {place}/log",
        *["passdb {", "args = username_format=%u /passwd", "driver = passwd-file", "}"],
        *["service anvil {", "unix_listener anvil-auth-penalty {", "mode = 00", "}", "}"],
        *["service auth {", f"unix_listener {place}/auth-client {{", "mode = 0600", "}", "}"],
        "ssl = no",
        f"state_dir = {place}/state",
    ]
    logging = subprocess.run([*command, "-h", "auth_verbose", "auth_debug", "auth_cache_size"], check=True, capture_output=True, text=True)
    assert logging.stdout.split() == ["no", "no", "0"]
