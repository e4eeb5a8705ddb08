"""The real pam_unix and the real name service, on accounts of a machine of our own: PAM and shadow say the same of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from saslauthd_py.backends.pam.codes import Code
from saslauthd_py.wire.monitor import Answer, Refusal, Stage, Standing
from tests.interop.pam_machine import UNIX, Dates, PamMachine, hashed, pam_machine

pytestmark = [pytest.mark.root, pytest.mark.peer("unshare")]

Ask = Callable[..., Answer]

DAY = 86400
NOW = int(time.time()) // DAY
"""Today; every date below is a day or more away from the next midnight's effect."""

DATES = {
    "plain": (Dates(), 0, Standing.RIGHT),
    "no-dates": (Dates("", "", "", ""), 0, Standing.RIGHT),
    "ends-some-day": (Dates(expires=NOW + 30), 0, Standing.RIGHT),
    "ended": (Dates(expires=NOW - 1), Code.PAM_ACCT_EXPIRED, Standing.ACCOUNT_EXPIRED),
    "ended-today": (Dates(expires=NOW), Code.PAM_ACCT_EXPIRED, Standing.ACCOUNT_EXPIRED),
    "ended-in-1970": (Dates(expires=0), Code.PAM_ACCT_EXPIRED, Standing.ACCOUNT_EXPIRED),
    "must-change": (Dates(changed=0), Code.PAM_NEW_AUTHTOK_REQD, Standing.CHANGE_FORCED),
    "aging": (Dates(changed=NOW - 10, maximum=30), 0, Standing.RIGHT),
    "aged": (Dates(changed=NOW - 40, maximum=30), Code.PAM_NEW_AUTHTOK_REQD, Standing.PASSWORD_EXPIRED),
    "in-grace": (Dates(changed=NOW - 40, maximum=30, inactive=30), Code.PAM_NEW_AUTHTOK_REQD, Standing.PASSWORD_EXPIRED),
    "after-grace": (Dates(changed=NOW - 90, maximum=30, inactive=30), Code.PAM_AUTHTOK_EXPIRED, Standing.PASSWORD_EXPIRED),
    "changed-tomorrow": (Dates(changed=NOW + 2, maximum=0), 0, Standing.RIGHT),
}


@pytest.fixture(scope="module")
def own(machine: Path) -> Iterator[PamMachine]:
    with pam_machine(machine) as made:
        made.service("smtp", UNIX)
        for name, (dates, _, _) in DATES.items():
            made.account(name, hashed("pw1"), dates)
        made.account("locked", "!" + hashed("pw1"))
        made.account("never-set", "*")
        made.account("empty", "")
        made.account("yescrypt", hashed("pw1", "yescrypt"))
        made.account("unshadowed", hashed("pw1"), shadowed=False)
        made.account("half", hashed("pw1"))
        made.forget_shadow("half")
        made.account("system", hashed("pw1"), uid=999)
        made.account("toor", hashed("pw1"), uid=0)
        yield made


@pytest.fixture(scope="module")
def by_pam(own: PamMachine) -> Iterator[Ask]:
    with own.asking(type="pam") as ask:
        yield ask


@pytest.fixture(scope="module")
def by_shadow(own: PamMachine) -> Iterator[Ask]:
    with own.asking(type="shadow") as ask:
        yield ask


@pytest.mark.parametrize("name", DATES)
def test_dates_by_pam_and_by_shadow(by_pam: Ask, by_shadow: Ask, name: str) -> None:
    _, code, standing = DATES[name]
    said = by_pam(name, "pw1")
    assert (said.stage, said.code, said.account) == (Stage.ACCOUNT, code, name.encode())
    said = by_shadow(name, "pw1")
    assert (said.stage, said.code) == (Stage.SHADOW, standing)
    for ask, wrong in ((by_pam, Code.PAM_AUTH_ERR), (by_shadow, Standing.WRONG)):
        said = ask(name, "wrong")
        assert (said.code, said.account) == (wrong, b"")


@pytest.mark.parametrize(
    ("name", "code", "standing"),
    [
        ("nosuch", Code.PAM_USER_UNKNOWN, Standing.UNKNOWN),
        ("locked", Code.PAM_AUTH_ERR, Standing.LOCKED),
        ("never-set", Code.PAM_AUTH_ERR, Standing.LOCKED),
        ("empty", Code.PAM_AUTH_ERR, Standing.NO_PASSWORD),
        ("half", Code.PAM_AUTHINFO_UNAVAIL, Standing.BROKEN),
    ],
)
def test_accounts_that_no_secret_opens(by_pam: Ask, by_shadow: Ask, name: str, code: int, standing: Standing) -> None:
    for secret in ("pw1", "wrong"):
        assert (by_pam(name, secret).stage, by_pam(name, secret).code) == (Stage.AUTHENTICATE, code)
        assert by_shadow(name, secret).code == standing


@pytest.mark.parametrize("name", ["yescrypt", "unshadowed"])
def test_other_hashes_and_places(by_pam: Ask, by_shadow: Ask, name: str) -> None:
    assert by_pam(name, "pw1").code == 0
    assert by_shadow(name, "pw1").code == Standing.RIGHT
    assert by_pam(name, "wrong").code == Code.PAM_AUTH_ERR
    assert by_shadow(name, "wrong").code == Standing.WRONG


@pytest.mark.parametrize("name", ["root", "system", "toor"])
def test_a3_system_accounts_are_refused_with_the_right_secret(by_pam: Ask, by_shadow: Ask, name: str) -> None:
    for ask in (by_pam, by_shadow):
        assert (ask(name, "pw1").stage, ask(name, "pw1").code) == (Stage.REFUSED, Refusal.DENIED)


def test_c3_shadow_tells_when_the_account_ends(by_shadow: Ask) -> None:
    assert by_shadow("ends-some-day", "pw1").expires == (NOW + 30) * DAY
    assert by_shadow("aging", "pw1").expires == (NOW + 21) * DAY


def test_d7_secret_that_pam_unix_would_cut_is_wrong(own: PamMachine, by_pam: Ask) -> None:
    own.account("long", hashed("y" * 511))
    assert by_pam("long", "y" * 511).code == 0
    for secret in ("y" * 512, "y" * 513, "y" * 4096):
        assert by_pam("long", secret).code == Code.PAM_AUTH_ERR


def test_d1_delay_of_pam_unix_comes_with_the_answer_and_every_failure_is_in_its_log(own: PamMachine, by_pam: Ask) -> None:
    own.account("guessed", hashed("pw1"))
    for number in range(5):
        said = by_pam("guessed", f"wrong{number}", address="192.0.2.7")
        assert 1_000_000 <= said.delay <= 3_000_000
    assert by_pam("nosuchguest", "wrong").delay >= 1_000_000
    assert by_pam("guessed", "pw1").delay == 0
    own.logged("saslauthd-py[", "pam_unix(smtp:auth): authentication failure", "rhost=192.0.2.7", "user=guessed", count=5)


def test_change_of_the_password_counts_for_the_next_call(own: PamMachine, by_pam: Ask, by_shadow: Ask) -> None:
    own.account("changing", hashed("pw1"))
    assert (by_pam("changing", "pw1").code, by_shadow("changing", "pw1").code) == (0, Standing.RIGHT)
    own.account("changing", hashed("pw2"))
    assert (by_pam("changing", "pw1").code, by_shadow("changing", "pw1").code) == (Code.PAM_AUTH_ERR, Standing.WRONG)
    assert (by_pam("changing", "pw2").code, by_shadow("changing", "pw2").code) == (0, Standing.RIGHT)
