"""`user list` and `user show`: everything about an account but what is stored of its password."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from saslauthd_py.cli.user.last_logins import LastLogins
from saslauthd_py.store import access, usage
from tests.cli.commands import in_child
from tests.cli.sites import OWNER, Site


def test_show_says_everything_but_the_hash(site: Site) -> None:
    site.add("Alice@Example.org", b"secret", "--service", "smtp", "--network", "192.0.2.0/24")
    fields = site.shown("alice@example.org")
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
    site.add("alice")
    (text,) = of_store(site, "SELECT text FROM encoding")
    digest = text.rpartition("$")[2]
    assert digest
    for words in (["list"], ["list", "--json"], ["show", "alice"], ["show", "alice", "--json"]):
        out = site.user(words[0], *words[1:]).out
        assert "alice" in out
        assert digest not in out


def test_last_login_is_told(site: Site) -> None:
    site.add("alice")
    assert "last login  none known\n" in site.user("show", "alice").out
    assert site.user("list").out == "alice\targon2id\t-\t-\t-\n"
    (number,) = of_store(site, "SELECT id FROM secret")
    at = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)

    def note() -> int:
        access.become_owner(str(site.store))
        usage.write(str(site.store), {number: at.timestamp()})
        return 0

    assert in_child(note) == 0
    assert site.shown("alice")["last_login"] == site.shown("alice")["passwords"][0]["last_login"] == "2026-02-03T04:05:00Z"
    people = at.astimezone().strftime("%Y-%m-%d %H:%M")
    assert f"last login  {people}\n" in site.user("show", "alice").out
    assert site.user("list").out == f"alice\targon2id\t{people}\t-\t-\n"


def _damaged(path: Path) -> None:
    path.write_bytes(b"no database" * 100)


def _closed(path: Path) -> None:
    path.mkdir()  # what nobody can open, root included


@pytest.mark.parametrize("harm", [_damaged, _closed])
def test_last_logins_that_cannot_be_read_are_unknown(site: Site, harm: Callable[[Path], None]) -> None:
    site.add("alice")
    uses = site.store.with_name("usage.db")
    harm(uses)
    os.chown(uses, OWNER.pw_uid, OWNER.pw_gid)
    for words in (["list"], ["list", "--json"], ["show", "alice"], ["show", "alice", "--json"]):
        outcome = site.user(words[0], *words[1:])
        assert outcome.code == 0
        assert "alice" in outcome.out
        assert outcome.error.startswith(f"warning: last logins are unknown: {uses}: ")
    assert site.shown("alice")["last_login"] is None


def test_that_last_logins_are_unknown_is_told_once(tmp_path: Path) -> None:
    err = io.StringIO()
    logins = LastLogins(str(tmp_path / "users.db"), err)
    assert [logins.of([]), logins.of([])] == [{}, {}]
    assert err.getvalue().count("\n") == 1


def of_store(site: Site, query: str) -> tuple[Any, ...]:
    """The first row of a query to the file as it is, without locks or files beside it."""
    with closing(sqlite3.connect(f"file:{site.store}?immutable=1", uri=True)) as store:
        row: tuple[Any, ...] = store.execute(query).fetchone()
    return row


def test_list_is_ordered_by_realm_and_name(site: Site) -> None:
    for name in ("bob@example.org", "Alice@example.org", "zoe", "carol@example.net"):
        site.add(name, b"secret", "--scheme", "sha256crypt")
    site.user("lock", "bob@example.org", "--reason", "sent spam")
    assert site.user("list").out.splitlines() == [
        "zoe\tsha256crypt\t-\t-\t-",
        "carol@example.net\tsha256crypt\t-\t-\t-",
        "Alice@example.org\tsha256crypt\t-\t-\t-",
        "bob@example.org\tsha256crypt\t-\tsent spam\t-",
    ]
    objects = [json.loads(line) for line in site.user("list", "--json").out.splitlines()]
    assert [fields["identity"] for fields in objects] == ["zoe", "carol@example.net", "Alice@example.org", "bob@example.org"]
    assert objects[3] == site.shown("bob@example.org")
    assert [line.split("\t")[0] for line in site.user("list", "--realm", "EXAMPLE.net").out.splitlines()] == ["carol@example.net"]
    assert [line.split("\t")[0] for line in site.user("list", "--realm", "").out.splitlines()] == ["zoe"]


def test_list_on_a_terminal_has_columns_with_titles(site: Site) -> None:
    site.add("alice@example.org")
    title, row = site.user("list", screen=True).out.splitlines()
    assert title.split("  ")[0] == "USER"
    assert title.index("PASSWORD") == row.index("argon2id")


def test_list_without_a_store_is_66_and_prints_no_title(site: Site) -> None:
    outcome = site.user("list", screen=True)
    assert (outcome.code, outcome.out) == (66, "")
    assert outcome.error


def test_list_of_a_realm_that_is_none_is_65(site: Site) -> None:
    site.add("alice")
    assert site.user("list", "--realm", "b\u00fc\u200b.example").code == 65
