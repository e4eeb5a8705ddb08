"""`user ...` against a real store, each command in a child that becomes the store's owner."""

from __future__ import annotations

import importlib.abc
import io
import json
import os
import sqlite3
import sys
import time
from argparse import Namespace
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed
from saslauthd_py.cli.user import place
from saslauthd_py.config.load import ConfigurationError
from saslauthd_py.identity import Identity
from tests.cli.commands import Outcome, forked
from tests.cli.sites import OWNER, Site

SECRET = b"Tr0ub4dor&3"


def add(site: Site, name: str, *flags: str, secret: bytes = SECRET) -> Outcome:
    return site.user("add", name, "--password-stdin", *flags, stdin=secret)


def test_add_makes_the_store_and_says_what_it_stored(site: Site) -> None:
    first = add(site, "Alice@Example.org")
    assert (first.code, first.err) == (0, "")
    assert first.out == f"{site.store}: made\nAlice@Example.org: added\n"
    second = add(site, "bob", "--json")
    assert json.loads(second.out) == {"identity": "bob", "done": "added", "store": str(site.store), "made": False, "warnings": []}
    assert site.right("alice@example.org", SECRET)
    assert site.right("bob", SECRET)


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
    assert site.right("alice", SECRET)


def test_another_spelling_of_a_name_is_the_same_user(site: Site) -> None:
    add(site, "Alice@Example.org")
    outcome = add(site, "aLICE@eXAMPLE.ORG")
    assert (outcome.code, outcome.out) == (65, "")
    assert "exists already, as Alice@Example.org" in outcome.error


def test_if_missing_leaves_a_user_as_it_is(site: Site) -> None:
    add(site, "Alice@Example.org")
    outcome = add(site, "alice@example.org", "--if-missing", "--json", secret=b"another")
    assert outcome.code == 0
    expected = {"identity": "Alice@Example.org", "done": "exists", "store": str(site.store), "made": False, "warnings": []}
    assert json.loads(outcome.out) == expected
    assert site.right("alice@example.org", SECRET)
    assert not site.right("alice@example.org", b"another")
    assert add(site, "bob@example.org", "--if-missing").out == "bob@example.org: added\n"


def test_a_name_gets_the_realm_that_its_logins_get(site: Site) -> None:
    site.configure('[identity]\ndefault_realm = "example.org"')
    assert add(site, "alice").out.endswith("alice@example.org: added\n")
    assert site.right("alice", SECRET)


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
    assert site.shown("alice")["passwords"][0]["schemes"] == ["argon2id"]
    assert site.shown("bob")["passwords"][0]["schemes"] == ["sha512crypt"]
    assert site.right("bob", SECRET)


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
    (password,) = site.shown("alice")["passwords"]
    assert password["services"] == ["smtp", "pop"]
    assert password["networks"] == ["192.0.2.0/24", "2001:db8::1/128"]
    assert datetime.fromisoformat(password["expires"]) == datetime(2099, 1, 31).astimezone(UTC)  # local time


def test_expiry_may_be_a_time_from_now(site: Site) -> None:
    before = int(time.time())
    add(site, "alice", "--expires", "90d")
    expires = datetime.fromisoformat(site.shown("alice")["passwords"][0]["expires"]).timestamp()
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


@pytest.mark.parametrize(("given", "meant"), [("192.0.2.7/24", "192.0.2.0/24"), ("2001:db8::7/64", "2001:db8::/64")])
def test_an_address_with_a_length_is_told_which_network_it_is_in(site: Site, given: str, meant: str) -> None:
    outcome = add(site, "alice", "--network", given)
    assert (outcome.code, outcome.error) == (64, f"--network: {given} has host bits set: say {meant}")


def passwd(site: Site, name: str, *flags: str, secret: bytes = b"another") -> Outcome:
    return site.user("passwd", name, "--password-stdin", *flags, stdin=secret)


def test_passwd_replaces_the_password_and_keeps_the_restrictions(site: Site) -> None:
    add(site, "Alice@example.org", "--service", "smtp")
    outcome = passwd(site, "alice@example.org")
    assert (outcome.code, outcome.out) == (0, "Alice@example.org: password changed\n")
    assert not site.right("alice@example.org", SECRET)
    assert site.right("alice@example.org", b"another")
    assert site.shown("alice@example.org")["passwords"][0]["services"] == ["smtp"]


def test_passwd_changes_the_restrictions_that_are_given(site: Site) -> None:
    add(site, "alice", "--service", "smtp", "--network", "192.0.2.0/24")
    passwd(site, "alice", "--service", "imap")
    (password,) = site.shown("alice")["passwords"]
    assert (password["services"], password["networks"]) == (["imap"], ["192.0.2.0/24"])
    passwd(site, "alice", "--unrestricted", "--expires", "1d")
    (password,) = site.shown("alice")["passwords"]
    assert (password["services"], password["networks"], password["expires"] is None) == ([], [], False)
    passwd(site, "alice", "--unrestricted")
    assert site.shown("alice")["passwords"][0]["expires"] is None


def expire(site: Site) -> None:
    """As if time had passed. Nobody else has the store open."""
    with closing(sqlite3.connect(site.store)) as store:
        store.execute("UPDATE secret SET expires = 1000000000")
        store.commit()


def test_passwd_says_that_the_password_is_refused_all_the_same(site: Site) -> None:
    add(site, "alice", "--expires", "1d")
    expire(site)
    site.user("lock", "alice", "--reason", "sent spam")
    since = datetime.fromtimestamp(1e9).astimezone().strftime("%Y-%m-%d %H:%M")
    outcome = passwd(site, "alice")
    assert outcome.code == 0
    assert outcome.out == f"alice: password changed, but it expired {since} and the account is locked (sent spam)\n"
    expected = [
        f"alice: password changed, but it expired {since}: say --expires 90d or --unrestricted",
        "alice: password changed, but the account is locked (sent spam): saslauthd-py user unlock alice",
    ]
    assert outcome.err.splitlines() == [f"saslauthd-py: warning: {line}" for line in expected]
    outcome = passwd(site, "alice", "--json")
    assert (json.loads(outcome.out)["warnings"], outcome.err) == (expected, "")
    assert not site.right("alice", b"another")
    site.user("unlock", "alice")
    outcome = passwd(site, "alice", "--expires", "90d")
    assert (outcome.out, outcome.err) == ("alice: password changed\n", "")
    assert site.right("alice", b"another")


class _Closed(importlib.abc.MetaPathFinder):
    """A package directory that only root can read."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if os.geteuid() != 0:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@pytest.mark.root
@pytest.mark.parametrize("command", ["add", "passwd"])
def test_a_library_that_the_owner_cannot_read_is_loaded_before(site: Site, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    if command == "passwd":
        add(site, "alice", "--scheme", "sha512crypt")
    monkeypatch.setattr(sys, "meta_path", [_Closed(), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] in {"argon2", "_argon2_cffi_bindings"}]:
        monkeypatch.delitem(sys.modules, name)
    outcome = site.user(command, "alice", "--password-stdin", "--scheme", "argon2id", stdin=SECRET)
    assert (outcome.code, outcome.err) == (0, "")


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
    assert site.shown("alice")["locked"] == "sent spam"
    assert "locked      sent spam\n" in site.user("show", "alice").out
    assert not site.right("alice", SECRET)
    assert site.user("unlock", "alice").out == "alice: unlocked\n"
    assert site.shown("alice")["locked"] is None
    assert site.right("alice", SECRET)
    site.user("lock", "alice")
    assert site.shown("alice")["locked"] == "by command"


def test_a_second_lock_keeps_the_reason_unless_it_gives_another(site: Site) -> None:
    add(site, "alice")
    site.user("lock", "alice", "--reason", "sent spam")
    assert site.user("lock", "alice").out == "alice: locked\n"
    assert site.shown("alice")["locked"] == "sent spam"
    site.user("lock", "alice", "--reason", "on leave")
    assert site.shown("alice")["locked"] == "on leave"


@pytest.mark.parametrize("reason", ["", " ", "two\nlines"])
def test_reason_is_words_on_one_line(site: Site, reason: str) -> None:
    assert site.user("lock", "alice", "--reason", reason).code == 64


def test_rename_keeps_the_password(site: Site) -> None:
    add(site, "alice@example.org")
    add(site, "bob@example.org")
    outcome = site.user("rename", "alice@example.org", "Bob@example.org")
    assert (outcome.code, outcome.out) == (65, "")
    assert site.user("rename", "alice@example.org", "Carol@example.net").out == "Carol@example.net: renamed\n"
    assert site.right("carol@example.net", SECRET)
    assert site.user("show", "alice@example.org").code == 67


def test_remove_asks_unless_told_not_to(site: Site) -> None:
    add(site, "alice")
    outcome = site.user("remove", "alice")
    assert (outcome.code, outcome.out, outcome.error) == (64, "", "there is no terminal to ask at: use --yes")
    assert site.user("remove", "alice", "--yes").out == "alice: removed\n"
    assert not site.right("alice", SECRET)


def test_backend_is_named_where_there_are_several_stores(site: Site) -> None:
    site.configure(f'[backend.others]\ntype = "store"\npath = "{site.directory}/others/users.db"')
    outcome = add(site, "alice")
    assert (outcome.code, outcome.out) == (64, "")
    assert outcome.error == f"{site.configuration} has several stores: say which with --backend, one of: users, others"
    assert add(site, "alice", "--backend", "others").out.startswith(f"{site.directory}/others/users.db: made\n")
    assert site.user("list", "--backend", "users").code == 66
    outcome = site.user("list", "--backend", "other")
    assert (outcome.code, outcome.error) == (64, f"--backend other: not a store of {site.configuration}, which has: users, others")


def test_without_a_configuration_the_store_is_the_default_one(site: Site) -> None:
    none = str(site.directory / "none.toml")
    err = io.StringIO()
    environment = Environment(io.BytesIO(), io.StringIO(), err, {})
    at = place.find(Namespace(config=None, backend=None), environment, none)
    assert err.getvalue() == f"saslauthd-py: warning: {none}: no such file; the store is the default one, {at.store.path}\n"
    assert at.store.path == "/var/lib/saslauthd-py/users.db"
    assert at.identity("alice") == Identity("alice")
    assert place.find(Namespace(config=None, backend=None), environment, site.configuration).store.path == str(site.store)
    for config, backend in ((none, None), (None, "users")):  # what is named must be there
        with pytest.raises(ConfigurationError, match="no such file"):
            place.find(Namespace(config=config, backend=backend), environment, none)
    assert err.getvalue().count("\n") == 1


def test_a_configuration_without_a_store_is_told(site: Site) -> None:
    with pytest.raises(CommandFailed, match="users are kept elsewhere") as failed:
        place.pick({}, None, site.configuration)
    assert failed.value.code == 78


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
