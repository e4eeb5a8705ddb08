"""A worker's look into the password database without the shadow file: what each kind of field says, and one hash's work whatever it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import passwords
from saslauthd_py.config.settings import GetpwentSettings
from saslauthd_py.credential import Encoding
from saslauthd_py.monitor import accounts, getpwent_call
from saslauthd_py.monitor.accounts import Account
from saslauthd_py.monitor.getpwent_call import answer
from saslauthd_py.monitor.worker import answerer
from saslauthd_py.passwords import libcrypt
from saslauthd_py.secret import Secret
from saslauthd_py.wire.monitor import Answer, Call, Refusal, Stage, Standing

RIGHT = libcrypt.crypt(b"pw1", "$5$rounds=1000$salt$").encode()
OTHER = libcrypt.crypt(b"pw1", "$5$rounds=2000$salt$").encode()


class Database:
    """What getpwnam(3) says, and what was verified for it."""

    def __init__(self) -> None:
        self.accounts = {b"alice": Account(b"alice", 1000, RIGHT)}
        self.failing = False
        self.looked_up: list[bytes] = []
        self.verified: list[Encoding] = []

    def find_account(self, login: bytes) -> Account | None:
        self.looked_up.append(login)
        if self.failing:
            raise OSError(5, "Input/output error")
        return self.accounts.get(login)

    def verify(self, encoding: Encoding, secret: Secret) -> bool:
        self.verified.append(encoding)
        return passwords.encodings.verify(encoding, secret)

    def profiles(self) -> list[str]:
        """Of all that was verified since the last call."""
        found = [passwords.cost(encoding).profile for encoding in self.verified]
        self.verified.clear()
        return found


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    made = Database()
    monkeypatch.setattr(accounts, "find_account", made.find_account)
    monkeypatch.setattr(accounts, "find_shadow", lambda _: pytest.fail("nobody asks for the shadow entry"))
    monkeypatch.setattr(passwords, "verify", made.verify)
    monkeypatch.setattr(getpwent_call, "_met", type(getpwent_call._met)())
    return made


def ask(login: bytes = b"alice", secret: bytes = b"pw1", service: bytes = b"smtp", **settings: Any) -> Answer:
    return answer(GetpwentSettings(type="getpwent", **settings), Call(9, service, login, Secret(secret)))


def test_right_and_wrong(database: Database) -> None:
    said = ask()
    assert (said.id, said.stage, said.code, said.account, said.expires) == (9, Stage.SHADOW, Standing.RIGHT, b"alice", 0)
    assert ask(secret=b"pw2").code == Standing.WRONG
    assert ask(secret=b"").code == Standing.WRONG


def test_worker_of_this_kind_makes_this_call(database: Database) -> None:
    settings = GetpwentSettings(type="getpwent")
    assert answerer(settings)(Call(3, b"smtp", b"alice", Secret(b"pw1"))).code == Standing.RIGHT


@pytest.mark.parametrize(
    ("stored", "standing"),
    [
        (b"x", Standing.NO_PASSWORD),
        (b"", Standing.NO_PASSWORD),
        (b"*", Standing.NO_PASSWORD),
        (b"!", Standing.NO_PASSWORD),
        (b"!!", Standing.NO_PASSWORD),
        (b"!x", Standing.NO_PASSWORD),
        (b"!" + RIGHT, Standing.LOCKED),
        (b"*LK*", Standing.LOCKED),
        (b"##alice", Standing.BROKEN),
        (b"$5$\xff", Standing.BROKEN),
        (None, Standing.UNKNOWN),
    ],
)
@pytest.mark.parametrize("secret", [b"pw1", b"", b"x", b"!", b"*"])
def test_d6_no_secret_opens_these_and_each_costs_one_hash(
    database: Database, stored: bytes | None, standing: Standing, secret: bytes
) -> None:
    if stored is not None:
        database.accounts[b"bob"] = Account(b"bob", 1001, stored)
    said = ask(b"bob", secret)
    assert (said.stage, said.code, said.account) == (Stage.SHADOW, standing, b"")
    assert len(database.profiles()) == 1


@given(st.binary(max_size=40).filter(lambda stored: b"\0" not in stored), st.binary(max_size=40))
def test_whatever_stands_there_is_no_password_in_clear(stored: bytes, secret: bytes) -> None:
    found = getpwent_call._record(Account(b"bob", 1001, stored), None)
    assert found.standing in {None, Standing.NO_PASSWORD, Standing.LOCKED}
    if found.standing is None:
        assert found.text
        assert found.text != "x"


def test_d6_work_of_nobody_is_that_of_the_hashes_it_met(database: Database) -> None:
    ask(b"nobody")
    assert database.profiles() == [passwords.cost_to_make("sha512crypt").profile]
    database.accounts[b"bob"] = Account(b"bob", 1001, OTHER)
    for login in (b"alice", b"bob", b"bob", b"nobody"):
        ask(login)
    assert database.profiles()[-1] == passwords.cost(Encoding("sha256crypt", OTHER.decode())).profile


def test_d6_a_name_that_is_there_and_one_that_is_not_are_looked_up_each_time(database: Database) -> None:
    ask()
    assert database.looked_up == [b"alice", b"no such user"]
    database.looked_up.clear()
    ask(b"nobody")
    assert database.looked_up == [b"nobody", b"root"]


def test_outage_of_the_name_service_is_one(database: Database) -> None:
    database.failing = True
    said = ask()
    assert (said.stage, said.code) == (Stage.SHADOW, Standing.UNREADABLE)


@pytest.mark.parametrize(
    ("login", "service", "settings", "refusal"),
    [
        (b"alice", b"smtp", {"deny": ("alice",)}, Refusal.DENIED),
        (b"alice", b"smtp", {"min_uid": 1001}, Refusal.DENIED),
        (b"a/b", b"smtp", {}, Refusal.NAME),
        (b"", b"smtp", {}, Refusal.NAME),
        (b"alice", b"smtp", {"services": ("imap",)}, Refusal.SERVICE),
    ],
)
def test_a3_worker_itself_refuses(database: Database, login: bytes, service: bytes, settings: dict[str, Any], refusal: Refusal) -> None:
    said = ask(login, service=service, **settings)
    assert (said.stage, said.code) == (Stage.REFUSED, refusal)
    assert len(database.profiles()) == 1
