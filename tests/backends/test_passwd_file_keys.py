"""SCRAM by password files: records of keys and of clear text, decoys by a configured key, who is without; and files that vanish."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import keying, password_lines
from saslauthd_py.backend import Backend, Keyed, KeysFound, Watched
from saslauthd_py.backends.passwd_file import PasswdFileBackend, index, keyless
from saslauthd_py.credential import Encoding
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.keying import Keyless
from saslauthd_py.keys import Hash, Keys
from saslauthd_py.mechanisms.exchange import Proved
from saslauthd_py.mechanisms.scram.keys import derive
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser
from tests.backends.passwd_files import ALICE, BOB, ask, line, written
from tests.backends.passwd_files import backend as any_backend
from tests.mechanisms.scram_samples import BOTH, PENCIL, SHA1, SHA256, Sample, offered

KEY = "0123456789abcdef"
NO_KEY = "SCRAM needs a key for the salts of unknown names: set decoy_key_file"


def backend(path: Path | str, **keys: Any) -> Any:
    return any_backend(path, decoy_key=KEY, **keys)


def scram(name: str, sample: Sample = SHA256, rest: str = "") -> str:
    return f"{name}:{keying.encoded(sample.function, sample.keys).text}{rest}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "users", scram("alice@example.test"), "bob@example.test:{PLAIN}pencil\n", line("carol@example.test", "pw"))


async def find(it: PasswdFileBackend, name: Identity = ALICE, function: Hash = Hash.SHA256) -> KeysFound:
    found = await it.find_keys(name, function)
    assert isinstance(found, KeysFound)
    return found


async def test_it_is_all_that_a_route_may_ask_for(path: Path) -> None:
    async with backend(path) as it:
        roles: tuple[Backend, Keyed, Watched] = (it, it, it)
        assert len(roles) == 3


@pytest.mark.parametrize("sample", BOTH)
async def test_login_of_the_rfc_is_proved_by_what_a_line_keeps(path: Path, sample: Sample) -> None:
    written(path, scram("alice@example.test", sample, "::::::allow_nets=192.0.2.0/24"))
    async with backend(path) as it:
        found = await find(it, function=sample.function)
        challenge = offered(sample.server(), sample.client_first, found.keys)
        proved = challenge.receive(sample.client_final)
        assert isinstance(proved, Proved)
        assert proved.credential != 0
        (network,) = found.restrictions[proved.credential].networks
        assert str(network) == "192.0.2.0/24"
        assert found.identity == ALICE
        assert await ask(it, "pencil") == Accepted(ALICE, found.restrictions[proved.credential])


async def test_keys_of_a_clear_text_are_derived_with_the_rounds_of_most(path: Path) -> None:
    async with backend(path) as it:
        await it.count_keys()
        decoy = it.decoy(BOB, Hash.SHA256)
        found = await find(it, BOB)
        assert (decoy.rounds, found.keys.salt, found.keys.rounds) == (4096, decoy.salt, 4096)
        assert found.keys.secrets[0][1] == derive(Hash.SHA256, PENCIL, decoy.salt, 4096)
        assert it.decoy(BOB, Hash.SHA1).rounds == keying.ROUNDS


async def test_account_that_may_not_log_in_is_refused_for_that(path: Path) -> None:
    names = ("off", "locked", "nobody", "carol")
    reasons = [Reason.DISABLED, Reason.LOCKED, Reason.NO_CREDENTIAL]
    written(path, scram("off", rest="::::::nologin=y"), scram("locked").replace(":{", ":!{"), "nobody:x\n", line("carol", "pw"))
    async with backend(path) as it:
        for name, reason in zip(names, reasons, strict=False):
            assert await it.find_keys(Identity(name), Hash.SHA256) == await it.find_account(Identity(name)) == Rejected(reason)
        assert await it.find_keys(Identity("carol"), Hash.SHA256) == Rejected(Reason.NO_CREDENTIAL)
        assert await it.find_account(Identity("CAROL")) == Accepted(Identity("carol"), replayable=False)
        for stranger in (Identity("stranger"), Identity("x", "\u0378")):
            assert await it.find_keys(stranger, Hash.SHA256) == await it.find_account(stranger) == UnknownUser()


async def test_d8_broken_keys_are_an_outage_for_their_line_alone(path: Path) -> None:
    written(path, scram("bob@example.test"), "alice@example.test:{SCRAM-SHA-256}4096,tea,bag,x\n")
    async with backend(path) as it:
        for found in (await it.find_keys(ALICE, Hash.SHA256), await it.find_account(ALICE)):
            assert isinstance(found, Unavailable)
            assert found.cause.startswith(f"{path}:2: malformed SCRAM-SHA-256 record")
            assert not found.judged
        await find(it, BOB)


async def test_c6_keys_are_those_of_a_line_that_was_changed_a_moment_ago(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Hashing.derive

    async def disturbed(self: Hashing, function: Hash, secret: Secret, salt: bytes, rounds: int) -> Keys:
        made = await original(self, function, secret, salt, rounds)
        written(path, "bob@example.test:{PLAIN}pen\n")
        return made

    monkeypatch.setattr(Hashing, "derive", disturbed)
    async with backend(path) as it:
        found = await find(it, BOB)
        assert found.keys.secrets[0][1] == derive(Hash.SHA256, Secret(b"pen"), found.keys.salt, found.keys.rounds)


async def test_d6_nobody_costs_a_derivation_where_most_lines_are_clear_text(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    derived: list[tuple[bytes, int]] = []
    original = Hashing.derive

    async def seen(self: Hashing, function: Hash, secret: Secret, salt: bytes, rounds: int) -> Keys:
        derived.append((salt, rounds))
        return await original(self, function, secret, salt, 1)

    monkeypatch.setattr(Hashing, "derive", seen)
    stranger = Identity("stranger", "example.test")
    async with backend(path) as it:
        await it.find_keys(stranger, Hash.SHA256)
        assert derived == [], "as many lines have keys"
        written(path, "bob@example.test:{PLAIN}pencil\n", line("carol@example.test", "pw"))
        for name in (stranger, Identity("carol", "example.test"), BOB):
            await it.find_keys(name, Hash.SHA256)
            decoy = it.decoy(name, Hash.SHA256)
            assert derived.pop() == (decoy.salt, decoy.rounds)
        assert derived == []


async def test_f3_nobody_has_a_salt_that_is_the_same_after_a_restart(path: Path) -> None:
    decoys = []
    for _ in range(2):
        async with backend(path) as it:
            await it.count_keys()
            decoys.append(it.decoy(Identity("Nobody", "example.TEST"), Hash.SHA256))
    assert decoys[0] == decoys[1] == keying.Salts(Secret(KEY.encode()), 4096).decoy("nobody@example.test", Hash.SHA256)
    async with any_backend(path, decoy_key="another key than that one") as it:
        assert it.decoy(Identity("nobody", "example.test"), Hash.SHA256).salt != decoys[0].salt


async def test_f3_without_a_key_nobody_is_answered_by_scram(path: Path) -> None:
    async with any_backend(path) as it:
        await it.count_keys()
        assert it.lack(Hash.SHA256) == NO_KEY
        for name in (ALICE, Identity("stranger")):
            assert await it.find_keys(name, Hash.SHA256) == Unavailable(f"{path}: {NO_KEY}")
        assert it.decoy(ALICE, Hash.SHA256) == it.decoy(ALICE, Hash.SHA256)
        assert await it.find_account(ALICE) == Accepted(ALICE, replayable=False)


# Who is without


async def test_lack_says_how_many_are_without_and_what_to_do(path: Path) -> None:
    async with backend(path) as it:
        assert it.lack(Hash.SHA256) == f"{path}: not read yet"
        await it.count_keys()
        advice = f"`saslauthd-py hash --scheme scram-sha-1` makes what {path} needs"
        assert it.lack(Hash.SHA1) == f"2 accounts have no scram-sha-1 keys, alice@example.test among them; {advice}"
        assert it.lack(Hash.SHA256).startswith("1 account has no scram-sha-256 keys, carol@example.test;")
        written(path, scram("alice@example.test"), "bob@example.test:{PLAIN}pencil\n", "carol:x\n")
        await it.count_keys()
        assert it.lack(Hash.SHA256) == ""
        written(path, "# nobody\n")
        await it.count_keys()
        assert it.lack(Hash.SHA256) == "no accounts yet"
        path.unlink()
        await it.count_keys()
        assert it.lack(Hash.SHA256) == f"{path}: no such file; put it back, or correct `path`"


async def test_lack_of_a_file_for_each_realm_cannot_be_told(tmp_path: Path) -> None:
    path = tmp_path / "{realm}"
    written(tmp_path / "example.test", scram("alice"))
    async with backend(path, login="{local}") as it:
        await it.count_keys()
        assert "name the mechanisms at the listener" in it.lack(Hash.SHA256)
        assert (await find(it)).identity == ALICE


FORMS = [
    ("{SCRAM-SHA-256}" + keying.encoded(Hash.SHA256, SHA256.keys).text.partition("}")[2], {Hash.SHA256}),
    ("{scram-sha-256}" + keying.encoded(Hash.SHA256, SHA256.keys).text.partition("}")[2], {Hash.SHA256}),
    (keying.encoded(Hash.SHA1, SHA1.keys).text, {Hash.SHA1}),
    ("{PLAIN}pencil", set(Hash)),
    ("{ClearText}pen cil", set(Hash)),
    ("{PLAIN.b64}cGVuY2ls", set(Hash)),
    ("{PLAIN}pencîl", set(Hash)),
    ("{PLAIN}tab\there", set()),
    ("{PLAIN.b64}YQli", set()),
    ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", set()),
    ("{NOSUCH}x", None),
    ("{SCRAM-SHA-256}4096,tea,bag,x", None),
    ("*", None),
    ("", None),
]


@pytest.mark.parametrize(("field", "has"), FORMS)
def test_each_kind_of_line_has_the_keys_that_a_login_would_find(field: str, has: set[Hash] | None) -> None:
    built = index.build(f"alice:{field}:::::::x\n{scram('bob')}{scram('carol', SHA1)}".encode(), "auto", fold_case=True)
    counted = keyless.count(built, "auto")
    without = {function for function in Hash if counted[function].count == 2}
    assert without == (set() if has is None else set(Hash) - has)


def test_file_without_passwords_has_nobody() -> None:
    built = index.build(b"alice:x\n# more\nbob:*\n", "auto", fold_case=True)
    assert keyless.count(built, "auto") == {function: Keyless(nobody=True) for function in Hash}


@given(st.lists(st.tuples(st.text("abcxyz", min_size=1, max_size=8), st.sampled_from(FORMS) | st.tuples(st.text(max_size=12), st.none()))))
def test_any_file_is_counted_as_its_lines_are_read(entries: list[tuple[str, tuple[str, object]]]) -> None:
    text = "".join(f"{name}:{field}\n" for name, (field, _) in entries)
    try:
        built = index.build(text.encode(errors="surrogateescape"), "auto", fold_case=True)
    except (index.NoPasswdFile, UnicodeEncodeError):
        return
    stored = []
    for one in built.lines():
        with suppress(BrokenRecord, InvalidIdentity):
            stored.append(password_lines.read(one.decode("utf-8", "surrogateescape"), "auto").stored)
    counted = keyless.count(built, "auto")
    for function in Hash:
        lacking = [one for one in stored if isinstance(one, Encoding) and not keyless._has_keys(one, function)]
        assert counted[function].count == len(lacking)
        assert bool(lacking) == bool(counted[function].example)


def test_counting_ends_early_and_takes_keys_at_a_glance(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [scram(f"u{number}") for number in range(3000)] + [f"w{number}:{{SHA}}5en6G6MezRroT3XKqkdPOmY/BfQ=\n" for number in range(3000)]
    built = index.build("".join(texts).encode(), "auto", fold_case=True)
    read: list[str] = []
    original = password_lines.read

    def seen(text: str, form: str) -> Any:
        read.append(text)
        return original(text, form)

    monkeypatch.setattr(password_lines, "read", seen)
    counted = keyless.count(built, "auto")
    assert counted[Hash.SHA256] == Keyless(keying.MOST_COUNTED + 1, "w0")
    assert len(read) == 1 + 2 * (keying.MOST_COUNTED + 1), "one that has a password, and for each hash those without"


async def test_file_of_a_realm_that_vanishes_is_told_once_until_it_is_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "example.test"
    told = f"{path}: gone; its realm has no accounts any more: if that is not meant, put the file back"

    def times() -> int:
        return [record.getMessage() for record in caplog.records].count(told)

    async with any_backend(tmp_path / "{realm}", login="{local}") as it:
        for number in range(2):
            written(path, line("alice", "pw1"))
            assert await ask(it) == Accepted(ALICE)
            path.chmod(0o666)
            assert isinstance(await ask(it), Unavailable)
            assert times() == number
            path.unlink()
            for _ in range(2):
                assert await ask(it) == UnknownUser()
            assert times() == number + 1


async def test_file_of_a_realm_that_never_had_accounts_may_go_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "example.test", line("alice", "pw1"))
    path.chmod(0o666)
    async with any_backend(tmp_path / "{realm}", login="{local}") as it:
        assert isinstance(await ask(it), Unavailable)
        path.unlink()
        assert await ask(it) == UnknownUser()
    assert "gone" not in caplog.text


async def test_f3_one_line_of_other_rounds_changes_nothing_for_many_in_clear_text(path: Path) -> None:
    clear = [f"{name}@example.test:{{PLAIN}}pencil\n" for name in ("bob", "carol", "dave")]
    written(path, *clear)
    async with backend(path) as it:
        before = (await find(it, BOB)).keys
        assert before.rounds == it.decoy(ALICE, Hash.SHA256).rounds == keying.ROUNDS
        written(path, *clear, scram("alice@example.test"))
        assert (await find(it)).keys.rounds == 4096
        assert (await find(it, BOB)).keys == before
        assert it.decoy(Identity("nobody", "example.test"), Hash.SHA256).rounds == keying.ROUNDS
