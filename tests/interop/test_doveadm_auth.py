"""Debian's `doveadm auth test` against our socket: Dovecot's own client library, which takes no handshake but a perfect one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import dovecot
from tests.interop.daemon import Site, new_site
from tests.interop.outages import store_moved_away
from tests.interop.waiting import PATIENCE

pytestmark = pytest.mark.peer("doveadm")

ALICE = "alice@example.test"
ODD = " p'w\"2\\ %s$`ü"


@pytest.fixture(scope="module")
def path(machine: Path) -> Iterator[Path]:
    with new_site(machine) as site:
        site.configure([dovecot.listener(site.mux)])
        site.add(ALICE, "pw1")
        site.add("odd name@example.test", ODD)
        site.add("bare", "pw3")
        with site.serving():
            yield site.mux


def auth_test(path: Path, name: str, password: str, *flags: str) -> tuple[int, str]:
    """Exit code and output, without a configuration of Dovecot's."""
    command = ["doveadm", "-c", os.devnull, "auth", "test", "-a", str(path), "-x", "service=smtp", *flags, name, password]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "password"), [(ALICE, "pw1"), ("odd name@example.test", ODD), ("bare", "pw3")])
def test_doveadm_auth_right_password_is_0(path: Path, name: str, password: str) -> None:
    assert auth_test(path, name, password) == (0, f"passdb: {name} auth succeeded\nextra fields:\n  user={name}\n")


def test_doveadm_auth_sees_the_name_that_the_account_has(path: Path) -> None:
    assert auth_test(path, "Alice@Example.TEST", "pw1", "-x", "rip=192.0.2.1", "-x", "secured") == (
        0,
        f"passdb: Alice@Example.TEST auth succeeded\nextra fields:\n  user={ALICE}\n",
    )


@pytest.mark.parametrize(
    ("name", "password"),
    [
        pytest.param(ALICE, "pw1x", id="wrong"),
        pytest.param(ALICE, "pw", id="prefix"),
        pytest.param("nosuch@example.test", "pw1", id="unknown user"),
        pytest.param("alice", "pw1", id="realm missing"),
        pytest.param("odd name@example.test", ODD[:-1], id="odd bytes less the last"),
    ],
)
def test_doveadm_auth_wrong_login_is_77(path: Path, name: str, password: str) -> None:
    code, shown = auth_test(path, name, password)
    assert code == 77
    assert shown.splitlines()[0] == f"passdb: {name} auth failed"
    assert "reason=invalid user name or password" in shown
    assert f"user={name}" in shown


@pytest.mark.parametrize(("on_unavailable", "code"), [("close", os.EX_TEMPFAIL), ("fail", os.EX_NOPERM)])
def test_doveadm_auth_outage_is_told_as_the_listener_is_set(site: Site, on_unavailable: str, code: int) -> None:
    """This doveadm goes by FAIL and not by its code; a closed connection it takes for what it is."""
    site.configure([dovecot.listener(site.mux, more=f'on_unavailable = "{on_unavailable}"\n')])
    site.add(ALICE, "pw1")
    with site.serving():
        assert auth_test(site.mux, ALICE, "pw1")[0] == 0
        with store_moved_away(site):
            told, shown = auth_test(site.mux, ALICE, "pw1")
        assert told == code, shown
        assert ("code=temp_fail" in shown) is (on_unavailable == "fail")
        assert auth_test(site.mux, ALICE, "pw1")[0] == 0
