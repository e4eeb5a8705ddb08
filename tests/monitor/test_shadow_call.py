"""A worker's look into the shadow database: what each kind of record says, what the dates allow, and one hash's work whatever it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import passwords
from saslauthd_py.config.settings import ShadowSettings
from saslauthd_py.credential import Encoding
from saslauthd_py.monitor import accounts, shadow_call
from saslauthd_py.monitor.accounts import Account, Shadow
from saslauthd_py.monitor.shadow_call import answer, ends, judge
from saslauthd_py.passwords import libcrypt
from saslauthd_py.secret import Secret
from saslauthd_py.wire.monitor import Answer, Call, Refusal, Stage, Standing

DAY = 86400
TODAY = 20_000
RIGHT = "$5$rounds=1000$salt$"
COMMON = "$5$rounds=2000$salt$"


def hashed(setting: str, secret: bytes = b"pw1") -> bytes:
    return libcrypt.crypt(secret, setting).encode()


class Database:
    """What the name service says, and what was verified for it."""

    def __init__(self) -> None:
        self.accounts: dict[bytes, Account] = {}
        self.entries: dict[bytes, Shadow] = {}
        self.failing = False
        self.verified: list[Encoding] = []

    def add(self, name: bytes, entry: Shadow | None, password: bytes = b"x", uid: int = 1000) -> None:
        self.accounts[name] = Account(name, uid, password)
        if entry is not None:
            self.entries[name] = entry

    def find_account(self, login: bytes) -> Account | None:
        if self.failing:
            raise OSError(5, "Input/output error")
        return self.accounts.get(login)

    def find_shadow(self, login: bytes) -> Shadow | None:
        return self.entries.get(login)

    def verify(self, encoding: Encoding, secret: Secret) -> bool:
        right = passwords.encodings.verify(encoding, secret)
        self.verified.append(encoding)
        return right

    def profiles(self) -> list[str]:
        """Of all that was verified since the last call."""
        found = [passwords.cost(encoding).profile for encoding in self.verified]
        self.verified.clear()
        return found


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Database]:
    """With alice; most in /etc/shadow have another kind of hash than she."""
    made = Database()
    made.add(b"alice", Shadow(hashed(RIGHT), changed=TODAY - 5))
    monkeypatch.setattr(accounts, "find_account", made.find_account)
    monkeypatch.setattr(accounts, "find_shadow", made.find_shadow)
    monkeypatch.setattr(passwords, "verify", made.verify)
    monkeypatch.setattr(time, "time", lambda: TODAY * DAY + 4711.0)
    file = tmp_path / "shadow"
    common = hashed(COMMON).decode()
    file.write_text(f"alice:{hashed(RIGHT).decode()}:1:\nbob:{common}:1:\ncarol:!{common}:1:\ndaemon:*:1:\nnone::1:\n\nbroken\n")
    monkeypatch.setattr(shadow_call, "FILE", str(file))
    yield made
    shadow_call._decoy.cache_clear()


def ask(login: bytes = b"alice", secret: bytes = b"pw1", service: bytes = b"smtp", **settings: Any) -> Answer:
    return answer(ShadowSettings(type="shadow", **settings), Call(9, service, login, Secret(secret)))


def test_right_and_wrong(database: Database) -> None:
    said = ask()
    assert (said.id, said.stage, said.code, said.account) == (9, Stage.SHADOW, Standing.RIGHT, b"alice")
    assert said.took > 0
    assert said.expires == 0
    said = ask(secret=b"pw2")
    assert (said.stage, said.code, said.account, said.expires) == (Stage.SHADOW, Standing.WRONG, b"", 0)


CAUSES: list[tuple[bytes, Shadow | None, bytes, Standing]] = [
    (b"unknown", None, b"", Standing.UNKNOWN),
    (b"locked", Shadow(b"!" + hashed(RIGHT)), b"x", Standing.LOCKED),
    (b"locked-twice", Shadow(b"!!" + hashed(RIGHT)), b"x", Standing.LOCKED),
    (b"never-set", Shadow(b"!"), b"x", Standing.LOCKED),
    (b"never-set-here", Shadow(b"!!"), b"x", Standing.LOCKED),
    (b"star", Shadow(b"*"), b"x", Standing.LOCKED),
    (b"locked-elsewhere", Shadow(b"*LK*"), b"x", Standing.LOCKED),
    (b"empty", Shadow(b""), b"x", Standing.NO_PASSWORD),
    (b"empty-passwd", None, b"", Standing.NO_PASSWORD),
    (b"kept-elsewhere", None, b"*", Standing.NO_PASSWORD),
    (b"kept-elsewhere-too", Shadow(hashed(RIGHT)), b"!", Standing.NO_PASSWORD),
    (b"no-entry", None, b"x", Standing.BROKEN),
    (b"garbage", Shadow(b"garbage"), b"x", Standing.BROKEN),
    (b"garbage-passwd", None, b"garbage", Standing.BROKEN),
    (b"not-ascii", Shadow(b"$5$\xff"), b"x", Standing.BROKEN),
]


@pytest.mark.parametrize(("login", "entry", "password", "standing"), CAUSES, ids=[cause[0].decode() for cause in CAUSES])
@pytest.mark.parametrize("secret", [b"pw1", b"wrong", b"", b"!", b"x"])
def test_d6_every_cause_costs_one_hash_and_says_the_same_whatever_the_secret(
    database: Database, login: bytes, entry: Shadow | None, password: bytes, standing: Standing, secret: bytes
) -> None:
    if standing is not Standing.UNKNOWN:
        database.add(login, entry, password)
    said = ask(login, secret)
    assert (said.stage, said.code, said.account) == (Stage.SHADOW, standing, b"")
    assert len(database.profiles()) == 1


def test_d6_work_of_nobody_is_that_of_most_hashes(database: Database) -> None:
    common = passwords.cost(Encoding("sha256crypt", hashed(COMMON).decode())).profile
    ask(b"unknown")
    assert database.profiles() == [common]
    ask(b"root", deny=("root",))
    assert database.profiles() == [common]
    database.add(b"locked", Shadow(b"!" + hashed(RIGHT)))
    ask(b"locked")
    assert database.profiles() == [passwords.cost(Encoding("sha256crypt", hashed(RIGHT).decode())).profile]


def test_d6_common_hash_is_counted_anew_when_the_file_changes(database: Database) -> None:
    ask(b"unknown")
    other = hashed("$5$rounds=3000$salt$").decode()
    Path(shadow_call.FILE).write_text(f"bob:{other}:1:\n")
    database.profiles()
    ask(b"unknown")
    assert database.profiles() == [passwords.cost(Encoding("sha256crypt", other)).profile]


@pytest.mark.parametrize("there", [True, False])
def test_d6_machine_without_a_hash_has_a_usual_one_for_nobody(database: Database, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_call, "FILE", "/dev/null" if there else "/nonexistent/shadow")
    ask(b"unknown")
    assert database.profiles() == [passwords.cost_to_make("sha512crypt").profile]


def test_hash_in_passwd_itself_is_verified_and_has_no_dates(database: Database) -> None:
    database.add(b"old", None, hashed(RIGHT))
    assert ask(b"old").code == Standing.RIGHT
    assert ask(b"old", b"wrong").code == Standing.WRONG


def test_d7_secret_too_long_is_wrong_after_the_work(database: Database) -> None:
    database.add(b"long", Shadow(hashed(RIGHT, b"y" * 511)))
    assert ask(b"long", b"y" * 511).code == Standing.RIGHT
    database.profiles()
    for secret in (b"y" * 512, b"y" * 511 + b"\0", b"y" * 4096):
        assert ask(b"long", secret).code == Standing.WRONG
        assert len(database.profiles()) == 1


def test_outage_of_the_name_service_is_one(database: Database) -> None:
    database.failing = True
    said = ask()
    assert (said.stage, said.code) == (Stage.SHADOW, Standing.UNREADABLE)


@pytest.mark.parametrize(
    ("login", "settings"), [(b"alice", {"deny": ("alice",)}), (b"alice", {"min_uid": 1001}), (b"nosuch", {"deny": ("nosuch",)})]
)
def test_a3_denied_users_are_refused_after_the_work(database: Database, login: bytes, settings: dict[str, Any]) -> None:
    said = ask(login, **settings)
    assert (said.stage, said.code, said.account) == (Stage.REFUSED, Refusal.DENIED, b"")
    assert len(database.profiles()) == 1


@pytest.mark.parametrize("login", [b"", b"/", b"al\0ice", b"a/b"])
def test_login_that_no_account_has(database: Database, login: bytes) -> None:
    said = ask(login)
    assert (said.stage, said.code) == (Stage.REFUSED, Refusal.NAME)
    assert len(database.profiles()) == 1


def test_a3_service_that_is_not_allowed(database: Database) -> None:
    assert ask(service=b"POP3", services=("pop",)).code == Standing.RIGHT
    said = ask(service=b"smtp", services=("pop",))
    assert (said.stage, said.code) == (Stage.REFUSED, Refusal.SERVICE)


ENDED = [
    (Shadow(b"", expires=TODAY), Standing.ACCOUNT_EXPIRED),
    (Shadow(b"", expires=0), Standing.ACCOUNT_EXPIRED),
    (Shadow(b"", expires=TODAY + 1), Standing.RIGHT),
    (Shadow(b"", changed=0), Standing.CHANGE_FORCED),
    (Shadow(b"", changed=0, expires=0), Standing.ACCOUNT_EXPIRED),
    (Shadow(b"", changed=TODAY - 30, maximum=30), Standing.RIGHT),
    (Shadow(b"", changed=TODAY - 31, maximum=30), Standing.PASSWORD_EXPIRED),
    (Shadow(b"", changed=TODAY - 1, maximum=0), Standing.PASSWORD_EXPIRED),
    (Shadow(b"", changed=TODAY + 9, maximum=0), Standing.RIGHT),
    (Shadow(b"", changed=1, maximum=-1), Standing.RIGHT),
    (Shadow(b"", changed=-1, maximum=30), Standing.RIGHT),
    (Shadow(b""), Standing.RIGHT),
]


@pytest.mark.parametrize(("entry", "standing"), ENDED)
def test_dates(entry: Shadow, standing: Standing) -> None:
    assert judge(entry, TODAY) is standing


@pytest.mark.parametrize(("entry", "standing"), ENDED)
def test_dates_count_only_after_the_right_secret(database: Database, entry: Shadow, standing: Standing) -> None:
    database.add(b"bob", Shadow(hashed(RIGHT), entry.changed, entry.maximum, entry.expires))
    said = ask(b"bob")
    assert said.code == standing
    assert bool(said.account) == (standing is Standing.RIGHT)
    assert ask(b"bob", b"wrong").code == Standing.WRONG


def test_c3_answer_tells_when_the_account_or_its_password_ends(database: Database) -> None:
    database.add(b"bob", Shadow(hashed(RIGHT), changed=TODAY - 5, maximum=30, expires=TODAY + 90))
    assert ask(b"bob").expires == (TODAY + 26) * DAY
    database.add(b"bob", Shadow(hashed(RIGHT), changed=TODAY - 5, maximum=99999, expires=TODAY + 90))
    assert ask(b"bob").expires == (TODAY + 90) * DAY


days = st.integers(-1, 30_000)


@given(days, days, days, st.integers(1, 30_000))
def test_c3_account_that_is_good_today_is_so_until_it_ends(changed: int, maximum: int, expires: int, today: int) -> None:
    entry = Shadow(b"", changed, maximum, expires)
    if judge(entry, today) is not Standing.RIGHT:
        return
    if end := ends(entry):
        assert end > today * DAY
        assert judge(entry, end // DAY - 1) is Standing.RIGHT
        assert judge(entry, end // DAY) is not Standing.RIGHT
    else:
        assert judge(entry, 1_000_000) is Standing.RIGHT
