"""`user ...` against a real store, each command in a child that becomes the store's owner."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from saslauthd_py.store import access, usage
from tests.cli.commands import Outcome, forked, in_child
from tests.cli.sites import OWNER, Site

SECRET = b"Tr0ub4dor&3"


def add(site: Site, name: str, *flags: str, secret: bytes = SECRET) -> Outcome:
    return site.user("add", name, "--password-stdin", *flags, stdin=secret)


def shown(site: Site, name: str) -> dict[str, Any]:
    outcome = site.user("show", name, "--json")
    assert outcome.code == 0, outcome.err
    fields: dict[str, Any] = json.loads(outcome.out)
    return fields


def right(site: Site, name: str, secret: bytes) -> bool:
    """Whether the store takes the secret, as the daemon's own pieces decide."""
    return forked("test", name, "--direct", "--password-stdin", "--config", site.configuration, stdin=secret).code == 0


def test_add_makes_the_store_and_says_what_it_stored(site: Site) -> None:
    first = add(site, "Alice@Example.org")
    assert (first.code, first.err) == (0, "")
    assert first.out == f"{site.store}: made\nAlice@Example.org: added\n"
    second = add(site, "bob", "--json")
    assert json.loads(second.out) == {"identity": "bob", "done": "added", "store": str(site.store), "made": False}
    assert right(site, "alice@example.org", SECRET)
    assert right(site, "bob", SECRET)


def test_a7_add_leaves_a_store_of_its_own_user_closed_to_all_others(site: Site) -> None:
    add(site, "alice@example.org")
    modes = {path.name: (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) for path in site.store.parent.iterdir()}
    assert modes == {"users.db": (OWNER.pw_uid, OWNER.pw_gid, 0o600)}
    assert site.store.parent.stat().st_mode & 0o777 == 0o700
    assert site.store.parent.stat().st_uid == OWNER.pw_uid


@pytest.mark.root
def test_a7_command_of_root_follows_no_planted_link(site: Site) -> None:
    add(site, "alice@example.org")
    target = site.directory / "target"
    target.write_text("root's")
    site.store.rename(site.directory / "away")
    site.store.symlink_to(target)
    outcome = add(site, "mallory")
    assert outcome.code == 77
    assert outcome.error
    assert target.read_text() == "root's"


@pytest.mark.root
def test_a7_secret_and_configuration_are_read_before_root_is_given_up(site: Site) -> None:
    file = site.directory / "password"
    file.write_bytes(SECRET)
    for path in (file, Path(site.configuration)):
        path.chmod(0o600)
    assert site.user("add", "alice", "--password-file", str(file)).code == 0
    assert right(site, "alice", SECRET)


def test_another_spelling_of_a_name_is_the_same_user(site: Site) -> None:
    add(site, "Alice@Example.org")
    outcome = add(site, "aLICE@eXAMPLE.ORG")
    assert (outcome.code, outcome.out) == (65, "")
    assert "exists already, as Alice@Example.org" in outcome.error


def test_if_missing_leaves_a_user_as_it_is(site: Site) -> None:
    add(site, "Alice@Example.org")
    outcome = add(site, "alice@example.org", "--if-missing", "--json", secret=b"another")
    assert outcome.code == 0
    assert json.loads(outcome.out) == {"identity": "Alice@Example.org", "done": "exists", "store": str(site.store), "made": False}
    assert right(site, "alice@example.org", SECRET)
    assert not right(site, "alice@example.org", b"another")
    assert add(site, "bob@example.org", "--if-missing").out == "bob@example.org: added\n"


def test_a_name_gets_the_realm_that_its_logins_get(site: Site) -> None:
    site.configure('[identity]\ndefault_realm = "example.org"')
    assert add(site, "alice").out.endswith("alice@example.org: added\n")
    assert right(site, "alice", SECRET)


@pytest.mark.parametrize("name", ["", "@example.org", "a\tb", "x" * 256, "a@b\u200b", "\udcff"])
def test_a_name_that_nobody_may_have_is_65(site: Site, name: str) -> None:
    outcome = add(site, name)
    assert (outcome.code, outcome.out) == (65, "")
    assert outcome.error
    assert not site.store.exists()


@pytest.mark.parametrize(("flags", "secret"), [((), b""), ((), b"\n"), ((), b"a\0b"), (("--scheme", "bcrypt"), b"x" * 73)])
def test_a_secret_that_cannot_be_is_65(site: Site, flags: tuple[str, ...], secret: bytes) -> None:
    outcome = add(site, "alice", *flags, secret=secret)
    assert (outcome.code, outcome.out) == (65, "")
    assert outcome.error
    assert site.user("show", "alice").code in {66, 67}


def test_unknown_scheme_is_64(site: Site) -> None:
    outcome = add(site, "alice", "--scheme", "rot13")
    assert outcome.code == 64
    assert "rot13" in outcome.error


def test_scheme_is_the_configured_one_unless_it_is_named(site: Site) -> None:
    add(site, "alice")
    add(site, "bob", "--scheme", "sha512crypt")
    assert shown(site, "alice")["passwords"][0]["schemes"] == ["argon2id"]
    assert shown(site, "bob")["passwords"][0]["schemes"] == ["sha512crypt"]
    assert right(site, "bob", SECRET)


def test_restrictions_are_kept_as_given(site: Site) -> None:
    add(
        site,
        "alice",
        "--service",
        "SMTP",
        "--service",
        "pop3",
        "--network",
        "192.0.2.0/24",
        "--network",
        "2001:db8::1",
        "--expires",
        "2099-01-31",
    )
    (password,) = shown(site, "alice")["passwords"]
    assert password["services"] == ["smtp", "pop"]
    assert password["networks"] == ["192.0.2.0/24", "2001:db8::1/128"]
    assert datetime.fromisoformat(password["expires"]) == datetime(2099, 1, 31).astimezone(UTC)  # local time


def test_expiry_may_be_a_time_from_now(site: Site) -> None:
    before = int(time.time())
    add(site, "alice", "--expires", "90d")
    expires = datetime.fromisoformat(shown(site, "alice")["passwords"][0]["expires"]).timestamp()
    assert before + 90 * 86400 <= expires <= time.time() + 90 * 86400


@pytest.mark.parametrize(
    "flags",
    [
        ("--expires", "soon"),
        ("--expires", "90"),
        ("--expires", "2020-01-01"),
        ("--expires", "0s"),
        ("--network", "192.0.2.1/24"),
        ("--network", "example.org"),
        ("--service", ""),
        ("--service", "*"),
    ],
)
def test_restriction_that_cannot_be_is_64(site: Site, flags: tuple[str, ...]) -> None:
    outcome = add(site, "alice", *flags)
    assert (outcome.code, outcome.out) == (64, "")
    assert outcome.error.startswith(flags[0])


def passwd(site: Site, name: str, *flags: str, secret: bytes = b"another") -> Outcome:
    return site.user("passwd", name, "--password-stdin", *flags, stdin=secret)


def test_passwd_replaces_the_password_and_keeps_the_restrictions(site: Site) -> None:
    add(site, "Alice@example.org", "--service", "smtp")
    outcome = passwd(site, "alice@example.org")
    assert (outcome.code, outcome.out) == (0, "Alice@example.org: password changed\n")
    assert not right(site, "alice@example.org", SECRET)
    assert right(site, "alice@example.org", b"another")
    assert shown(site, "alice@example.org")["passwords"][0]["services"] == ["smtp"]


def test_passwd_changes_the_restrictions_that_are_given(site: Site) -> None:
    add(site, "alice", "--service", "smtp", "--network", "192.0.2.0/24")
    passwd(site, "alice", "--service", "imap")
    (password,) = shown(site, "alice")["passwords"]
    assert (password["services"], password["networks"]) == (["imap"], ["192.0.2.0/24"])
    passwd(site, "alice", "--unrestricted", "--expires", "1d")
    (password,) = shown(site, "alice")["passwords"]
    assert (password["services"], password["networks"], password["expires"] is None) == ([], [], False)
    passwd(site, "alice", "--unrestricted")
    assert shown(site, "alice")["passwords"][0]["expires"] is None


@pytest.mark.parametrize("words", ["passwd", "show", "remove --yes", "lock", "unlock", "rename alice2"])
def test_no_such_user_is_67_and_no_such_store_66(site: Site, words: str) -> None:
    command, *flags = words.split()
    more = ["--password-stdin"] if command == "passwd" else []
    assert site.user(command, "alice", *flags, *more, stdin=SECRET).code == 66
    add(site, "bob")
    outcome = site.user(command, "alice", *flags, *more, stdin=SECRET)
    assert (outcome.code, outcome.out, outcome.error) == (67, "", "alice: no such user")


def test_lock_and_unlock(site: Site) -> None:
    add(site, "alice")
    assert site.user("lock", "alice", "--reason", "sent spam").out == "alice: locked\n"
    assert shown(site, "alice")["locked"] == "sent spam"
    assert "locked      sent spam\n" in site.user("show", "alice").out
    assert not right(site, "alice", SECRET)
    assert site.user("unlock", "alice").out == "alice: unlocked\n"
    assert shown(site, "alice")["locked"] is None
    assert right(site, "alice", SECRET)
    site.user("lock", "alice")
    assert shown(site, "alice")["locked"] == "by command"


@pytest.mark.parametrize("reason", ["", " ", "two\nlines"])
def test_reason_is_words_on_one_line(site: Site, reason: str) -> None:
    assert site.user("lock", "alice", "--reason", reason).code == 64


def test_rename_keeps_the_password(site: Site) -> None:
    add(site, "alice@example.org")
    add(site, "bob@example.org")
    outcome = site.user("rename", "alice@example.org", "Bob@example.org")
    assert (outcome.code, outcome.out) == (65, "")
    assert site.user("rename", "alice@example.org", "Carol@example.net").out == "Carol@example.net: renamed\n"
    assert right(site, "carol@example.net", SECRET)
    assert site.user("show", "alice@example.org").code == 67


def test_remove_asks_unless_told_not_to(site: Site) -> None:
    add(site, "alice")
    outcome = site.user("remove", "alice")
    assert (outcome.code, outcome.out, outcome.error) == (64, "", "there is no terminal to ask at: use --yes")
    assert site.user("remove", "alice", "--yes").out == "alice: removed\n"
    assert not right(site, "alice", SECRET)


def test_show_says_everything_but_the_hash(site: Site) -> None:
    add(site, "Alice@Example.org", "--service", "smtp", "--network", "192.0.2.0/24")
    fields = shown(site, "alice@example.org")
    assert fields.pop("created") == fields.pop("changed")
    assert fields == {
        "identity": "Alice@Example.org",
        "realm": "Example.org",
        "locked": None,
        "last_login": None,
        "passwords": [
            {
                "kind": "main",
                "label": "",
                "schemes": ["argon2id"],
                "services": ["smtp"],
                "networks": ["192.0.2.0/24"],
                "expires": None,
                "disabled": False,
                "last_login": None,
            }
        ],
    }
    people = site.user("show", "alice@example.org").out
    assert [line.split("  ")[0].strip() for line in people.splitlines()] == ["user", "created", "changed", "last login", "password"]
    assert people.endswith("password    argon2id, only smtp; only 192.0.2.0/24\n")


def test_hash_is_never_shown(site: Site) -> None:
    add(site, "alice")
    (text,) = of_store(site, "SELECT text FROM encoding")
    digest = text.rpartition("$")[2]
    assert digest
    for words in (["list"], ["list", "--json"], ["show", "alice"], ["show", "alice", "--json"]):
        out = site.user(words[0], *words[1:]).out
        assert "alice" in out
        assert digest not in out


def test_last_login_is_told(site: Site) -> None:
    add(site, "alice")
    assert "last login  none known\n" in site.user("show", "alice").out
    assert site.user("list").out == "alice\targon2id\t-\t-\t-\n"
    (number,) = of_store(site, "SELECT id FROM secret")
    at = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)

    def note() -> int:
        access.become_owner(str(site.store))
        usage.write(str(site.store), {number: at.timestamp()})
        return 0

    assert in_child(note) == 0
    assert shown(site, "alice")["last_login"] == shown(site, "alice")["passwords"][0]["last_login"] == "2026-02-03T04:05:00Z"
    people = at.astimezone().strftime("%Y-%m-%d %H:%M")
    assert f"last login  {people}\n" in site.user("show", "alice").out
    assert site.user("list").out == f"alice\targon2id\t{people}\t-\t-\n"


def of_store(site: Site, query: str) -> tuple[Any, ...]:
    """The first row of a query to the file as it is, without locks or files beside it."""
    with closing(sqlite3.connect(f"file:{site.store}?immutable=1", uri=True)) as store:
        row: tuple[Any, ...] = store.execute(query).fetchone()
    return row


def test_list_is_ordered_by_realm_and_name(site: Site) -> None:
    for name in ("bob@example.org", "Alice@example.org", "zoe", "carol@example.net"):
        add(site, name, "--scheme", "sha256crypt")
    site.user("lock", "bob@example.org", "--reason", "sent spam")
    assert site.user("list").out.splitlines() == [
        "zoe\tsha256crypt\t-\t-\t-",
        "carol@example.net\tsha256crypt\t-\t-\t-",
        "Alice@example.org\tsha256crypt\t-\t-\t-",
        "bob@example.org\tsha256crypt\t-\tsent spam\t-",
    ]
    objects = [json.loads(line) for line in site.user("list", "--json").out.splitlines()]
    assert [fields["identity"] for fields in objects] == ["zoe", "carol@example.net", "Alice@example.org", "bob@example.org"]
    assert objects[3] == shown(site, "bob@example.org")
    assert [line.split("\t")[0] for line in site.user("list", "--realm", "EXAMPLE.net").out.splitlines()] == ["carol@example.net"]
    assert [line.split("\t")[0] for line in site.user("list", "--realm", "").out.splitlines()] == ["zoe"]


def test_list_on_a_terminal_has_columns_with_titles(site: Site) -> None:
    add(site, "alice@example.org")
    title, row = site.user("list", screen=True).out.splitlines()
    assert title.split("  ")[0] == "USER"
    assert title.index("PASSWORD") == row.index("argon2id")


def test_list_without_a_store_is_66_and_prints_no_title(site: Site) -> None:
    outcome = site.user("list", screen=True)
    assert (outcome.code, outcome.out) == (66, "")
    assert outcome.error


def test_list_of_a_realm_that_is_none_is_65(site: Site) -> None:
    add(site, "alice")
    assert site.user("list", "--realm", "b\u00fc\u200b.example").code == 65


def test_backend_is_named_where_there_are_several_stores(site: Site) -> None:
    site.configure(f'[backend.others]\ntype = "store"\npath = "{site.directory}/others/users.db"')
    outcome = add(site, "alice")
    assert (outcome.code, outcome.out) == (64, "")
    assert outcome.error == f"{site.configuration} has several stores: say which with --backend, one of: users, others"
    assert add(site, "alice", "--backend", "others").out.startswith(f"{site.directory}/others/users.db: made\n")
    assert site.user("list", "--backend", "users").code == 66
    outcome = site.user("list", "--backend", "other")
    assert (outcome.code, outcome.error) == (64, f"--backend other: not a store of {site.configuration}, which has: users, others")


def test_configuration_that_is_wrong_is_78(site: Site) -> None:
    site.configure("[cach]\nmax_entries = 1")
    outcome = add(site, "alice")
    assert (outcome.code, outcome.out) == (78, "")
    assert outcome.error.startswith(f"{site.configuration}:")


def test_a_store_that_is_none_is_75(site: Site) -> None:
    add(site, "alice")
    site.store.write_bytes(b"no database" * 100)
    os.chown(site.store, OWNER.pw_uid, OWNER.pw_gid)
    outcome = site.user("show", "alice")
    assert (outcome.code, outcome.out) == (75, "")
    assert str(site.store) in outcome.error


def test_a_store_that_others_can_read_is_77(site: Site) -> None:
    add(site, "alice")
    site.store.chmod(0o644)
    outcome = site.user("show", "alice")
    assert (outcome.code, outcome.out) == (77, "")
    assert "chmod" in outcome.error


@pytest.mark.parametrize("command", ["list", "show", "remove", "rename", "lock", "unlock", "add", "passwd"])
def test_no_configuration_file_of_that_name_is_66(site: Site, command: str) -> None:
    names = {"list": [], "rename": ["alice", "bob"]}.get(command, ["alice"])
    assert forked("user", command, *names, "--config", f"{site.directory}/none.toml").code == 66
