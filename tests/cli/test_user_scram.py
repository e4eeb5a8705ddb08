"""`user add` and `user passwd` with SCRAM keys: made when asked for, kept up where they were, and never lost without a word."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from saslauthd_py import keying, passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.keys import Hash, Keys
from saslauthd_py.mechanisms.scram.keys import derive, read_record
from saslauthd_py.secret import Secret
from tests.cli.commands import Outcome
from tests.cli.sites import Site

BOTH = ["argon2id", "scram-sha-1", "scram-sha-256"]
WITHOUT_KEYS = b"tab\there"


def schemes(site: Site, name: str = "alice") -> list[str]:
    found: list[str] = site.shown(name)["passwords"][0]["schemes"]
    return found


def configure(site: Site, keys: str) -> None:
    """More keys in [backend.users]."""
    site.configure()
    file = Path(site.configuration)
    file.write_text(file.read_text().replace('type = "store"\n', f'type = "store"\n{keys}\n'))


def passwd(site: Site, *flags: str, secret: bytes = b"another") -> Outcome:
    return site.user("passwd", "alice", "--password-stdin", *flags, stdin=secret)


def keys(site: Site, name: str = "alice") -> dict[Hash, Keys]:
    """Of the main secret. Nobody else has the store open."""
    with closing(sqlite3.connect(site.store)) as store:
        select = (
            "SELECT text FROM encoding JOIN secret ON secret.id = encoding.secret JOIN identity ON identity.id = secret.identity"
            " WHERE local_key = ? AND kind = 'main' AND scheme LIKE 'scram%'"
        )
        return dict(record for (text,) in store.execute(select, (name,)) if (record := read_record(text)) is not None)


def sql(site: Site, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(site.store)) as store:
        store.execute(statement, values)
        store.commit()


def test_add_makes_keys_when_it_is_told_to(site: Site) -> None:
    site.add("alice", b"secret", "--scram")
    site.add("bob")
    assert (schemes(site), schemes(site, "bob")) == (BOTH, ["argon2id"])
    for function, found in keys(site).items():
        assert found == derive(function, Secret(b"secret"), found.salt, keying.ROUNDS)
    assert len(keys(site)) == 2
    assert site.right("alice", b"secret")
    assert not site.right("alice", b"another")


def test_list_and_show_name_the_schemes_of_all_encodings(site: Site) -> None:
    site.add("alice", b"secret", "--scram")
    assert site.user("list").out == "alice\targon2id+scram-sha-1+scram-sha-256\t-\t-\t-\n"
    assert "password    argon2id+scram-sha-1+scram-sha-256\n" in site.user("show", "alice").out


def test_add_makes_keys_where_the_configuration_says_so_unless_it_is_told_not_to(site: Site) -> None:
    configure(site, "scram_upgrade = true\nscram_rounds = 5000")
    site.add("alice")
    site.add("bob", b"secret", "--no-scram")
    assert (schemes(site), schemes(site, "bob")) == (BOTH, ["argon2id"])
    assert {found.rounds for found in keys(site).values()} == {5000}
    site.user("passwd", "bob", "--password-stdin", stdin=b"another")
    assert schemes(site, "bob") == BOTH


@pytest.mark.parametrize("flags", [("--scram",), ()])
def test_add_refuses_a_password_without_keys_before_it_writes_anything(site: Site, flags: tuple[str, ...]) -> None:
    configure(site, "" if flags else "scram_upgrade = true")
    outcome = site.user("add", "alice", "--password-stdin", *flags, stdin=WITHOUT_KEYS)
    assert (outcome.code, outcome.out) == (65, "")
    assert outcome.error.startswith("this password has no SCRAM keys: SASLprep does not allow ")
    assert outcome.error.endswith("; choose another, or say --no-scram")
    assert site.user("show", "alice").code == 67
    assert site.user("add", "alice", "--password-stdin", "--no-scram", stdin=WITHOUT_KEYS).code == 0


def test_both_flags_at_once_are_64(site: Site) -> None:
    assert site.user("add", "alice", "--password-stdin", "--scram", "--no-scram", stdin=b"secret").code == 64


def test_f2_passwd_makes_new_keys_where_there_were_keys(site: Site) -> None:
    site.add("alice", b"secret", "--scram")
    before = keys(site)
    assert passwd(site).out == "alice: password changed\n"
    assert schemes(site) == BOTH
    for function, found in keys(site).items():
        assert found == derive(function, Secret(b"another"), before[function].salt, keying.ROUNDS)
    assert not site.right("alice", b"secret")


def test_passwd_without_keys_before_makes_none_unless_it_is_told_to(site: Site) -> None:
    site.add("alice")
    passwd(site)
    assert schemes(site) == ["argon2id"]
    passwd(site, "--scram")
    assert schemes(site) == BOTH
    passwd(site, "--no-scram")
    assert schemes(site) == ["argon2id"]


def test_passwd_refuses_a_password_without_keys_where_there_were_keys_and_changes_nothing(site: Site) -> None:
    site.add("alice", b"secret", "--scram")
    outcome = passwd(site, secret=WITHOUT_KEYS)
    assert (outcome.code, outcome.out) == (65, "")
    assert "--no-scram" in outcome.error
    assert site.right("alice", b"secret")
    assert schemes(site) == BOTH
    assert passwd(site, "--no-scram", secret=WITHOUT_KEYS).code == 0
    assert site.right("alice", WITHOUT_KEYS)
    assert schemes(site) == ["argon2id"]


def test_passwd_of_a_clear_text_makes_keys_for_scram_worked_by_it(site: Site) -> None:
    site.add("alice")
    clear = passwords.recognise("{PLAIN}secret")
    sql(site, "UPDATE encoding SET scheme = ?, text = ?", clear.scheme, clear.text)
    passwd(site)
    assert schemes(site) == BOTH


def test_f3_passwd_takes_the_salt_of_the_account_s_other_secrets(site: Site) -> None:
    site.add("alice", b"secret", "--scram")
    sql(
        site,
        "INSERT INTO secret (identity, kind, label, services, networks, disabled, generation, created, changed)"
        " VALUES (1, 'app', 'phone', '[]', '[]', 0, 1, 0, 0)",
    )
    app: Encoding = keying.encoded(Hash.SHA256, derive(Hash.SHA256, Secret(b"app"), b"salt of the phone", 4097))
    sql(site, "INSERT INTO encoding (secret, scheme, text) VALUES (2, ?, ?)", app.scheme, app.text)
    before = keys(site)
    passwd(site)
    after = keys(site)
    assert (after[Hash.SHA256].salt, after[Hash.SHA256].rounds) == (b"salt of the phone", 4097)
    assert (after[Hash.SHA1].salt, after[Hash.SHA1].rounds) == (before[Hash.SHA1].salt, keying.ROUNDS)


def test_f3_another_spelling_of_a_name_makes_the_same_salt(site: Site) -> None:
    site.add("Alice@Example.org", b"secret", "--scram")
    first = keys(site, "alice")
    site.user("remove", "alice@example.org", "--yes")
    site.add("ALICE@example.ORG", b"another", "--scram")
    assert {found.salt for found in keys(site, "alice").values()} == {found.salt for found in first.values()}


def told(outcome: Outcome) -> str:
    """The one warning of a command that did what it was told."""
    assert outcome.code == 0
    assert outcome.err.count("\n") == 1
    return outcome.err.removeprefix("saslauthd-py: warning: ").rstrip("\n")


TAKEN_AWAY = "without SCRAM keys: SCRAM is offered only while every account has them; `user passwd --scram`, or scram_upgrade = true"


def test_an_account_without_keys_among_others_with_keys_takes_scram_from_all_and_says_so(site: Site) -> None:
    assert site.user("add", "carol", "--password-stdin", stdin=b"secret").err == "", "nobody has keys: there is nothing to lose"
    site.user("remove", "carol", "--yes")
    site.add("bob", b"secret", "--scram")
    assert told(site.user("add", "alice", "--password-stdin", stdin=b"secret")) == f"alice: added, {TAKEN_AWAY}"
    assert told(passwd(site)) == f"alice: password changed, {TAKEN_AWAY}"
    assert passwd(site, "--scram").err == ""
    assert told(passwd(site, "--no-scram")) == f"alice: password changed, {TAKEN_AWAY}"
    outcome = passwd(site, "--no-scram", "--json")
    assert json.loads(outcome.out)["warnings"] == [f"alice: password changed, {TAKEN_AWAY}"]
    assert site.user("add", "alice", "--password-stdin", "--if-missing", stdin=b"secret").err == "", "nothing was added"


def test_no_scram_where_logins_make_keys_says_that_they_do(site: Site) -> None:
    configure(site, "scram_upgrade = true")
    made = "without SCRAM keys for now: scram_upgrade = true, so the next login by PLAIN or LOGIN makes them"
    assert told(site.user("add", "alice", "--password-stdin", "--no-scram", stdin=b"secret")) == f"alice: added, {made}"
    assert told(passwd(site, "--no-scram")) == f"alice: password changed, {made}"
    assert passwd(site).err == ""
    assert "the next login by PLAIN or LOGIN makes them all the same" in " ".join(site.user("add", "--help").out.split())
