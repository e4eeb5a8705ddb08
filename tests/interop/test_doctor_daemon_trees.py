"""`doctor` where the daemon, its configuration or its stores are broken in one place, behind a real Postfix that is well."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saslauthd_py import passwords
from tests.interop import postfix as private_postfix
from tests.interop.daemon import GROUP, USER, Site
from tests.interop.doctor_site import ALICE, LIMIT, Tree, new_tree
from tests.interop.postfix import Postfix
from tests.interop.server import Server
from tests.interop.slapd import Slapd, slapd

pytestmark = [pytest.mark.peer("postfix", "openssl"), pytest.mark.root]


@pytest.fixture(scope="module")
def running(machine: Path) -> Iterator[Postfix]:
    with private_postfix.running(machine / "behind") as postfix:
        yield postfix


@pytest.fixture
def fresh(machine: Path, running: Postfix) -> Iterator[Tree]:
    """A tree whose daemon does not run."""
    with new_tree(machine, running) as made:
        yield made


@pytest.fixture(scope="module")
def served(machine: Path) -> Iterator[Tree]:
    """A tree that is well and served, for all faults that are made in its files."""
    with (
        private_postfix.running(machine / "served") as postfix,
        new_tree(machine, postfix) as made,
        made.site.serving(),
    ):
        yield made


@pytest.fixture
def tree(served: Tree) -> Iterator[Tree]:
    """The same; its configuration and the rights of its store are put back."""
    site = served.site
    configuration, store = site.configuration.read_text(), site.store.stat()
    yield served
    site.configuration.write_text(configuration)
    os.chown(site.store, store.st_uid, store.st_gid)
    site.store.chmod(store.st_mode & 0o7777)


def replace(site: Site, old: str, new: str) -> None:
    """A part of the configuration."""
    text = site.configuration.read_text()
    assert old in text
    site.configuration.write_text(text.replace(old, new))


def add(site: Site, text: str) -> None:
    with site.configuration.open("a") as file:
        file.write(text)


def first_is(tree: Tree, check: str, *words: str, mend: str, outcome: str = "fail", account: bool = False) -> None:
    seen = tree.examined(account=account)
    assert (seen.first.check, seen.first.outcome) == (check, outcome), seen.first
    for word in words:
        assert word in seen.first.cause, seen.first
    assert mend in seen.first.mend, seen.first
    assert seen.seconds < LIMIT
    assert seen.code == (65 if any(line.outcome == "fail" for line in seen.lines) else 0)


def test_a_dead_daemon(fresh: Tree) -> None:
    first_is(fresh, "path", "no daemon", str(fresh.postfix.mux), mend="saslauthd-py serve --config")


def test_a_stale_socket(fresh: Tree) -> None:
    with fresh.site.serving() as daemon:
        daemon.kill()
        first_is(fresh, "path", "stale socket", str(fresh.postfix.mux), mend="saslauthd-py serve --config")
    fresh.postfix.mux.unlink()


@pytest.mark.peer("saslauthd")
def test_two_daemons_on_a_path(fresh: Tree) -> None:
    with fresh.site.serving(), stock(fresh.postfix.mux):
        first_is(fresh, "daemon", "two daemons on a path", "saslauthd[", mend="systemctl stop saslauthd && systemctl disable saslauthd")


@pytest.mark.peer("saslauthd")
def test_another_daemon_that_is_asked(tree: Tree) -> None:
    other = tree.postfix.directory / "stock" / "mux"
    other.parent.mkdir(mode=0o755)
    text = tree.smtpd_conf.read_text()
    tree.smtpd_conf.write_text(text.replace(str(tree.postfix.mux), str(other)))
    try:
        with stock(other):
            first_is(tree, "daemon", "asks another daemon: saslauthd[", str(other), mend=f"saslauthd_path: {tree.postfix.mux}")
    finally:
        tree.smtpd_conf.write_text(text)


@contextmanager
def stock(mux: Path) -> Iterator[None]:
    """The original, which takes a path from whoever has it."""
    before = mux.stat().st_ino if mux.exists() else None
    command = ["saslauthd", "-a", "getpwent", "-m", str(mux.parent), "-n", "1", "-d"]
    saslauthd = Server(command, lambda: mux.exists() and mux.stat().st_ino != before, [mux.parent / "log"])
    saslauthd.start()
    try:
        yield
    finally:
        saslauthd.kill()
        for left in mux.parent.iterdir():
            left.unlink()


def test_a_realm_that_is_lost(tree: Tree) -> None:
    replace(tree.site, 'scheme = "sha512crypt"', 'scheme = "sha512crypt"\nlogin = "{local}"')
    replace(tree.site, 'realm = "*"\n', 'realm = "*"\nignore_realm = true\n')
    first_is(tree, "realm", "loses the realm", "alice@a.example and alice@b.example", mend='login = "{local}@{realm}"', outcome="warn")


def test_a_realm_that_no_route_takes(tree: Tree) -> None:
    replace(tree.site, 'realm = "*"\n', 'realm = "example.org"\n')
    first_is(tree, "realm", ALICE, "no [[route]] takes it", "example.org", mend='"example.test"', account=True)


def test_a_missing_pam_service(tree: Tree) -> None:
    add(tree.site, '\n[backend.system]\ntype = "pam"\npam_service = "no-such-service"\nworkers = 1\n')
    replace(tree.site, '[[route]]\nrealm = "*"', '[[route]]\nrealm = ""\nbackends = ["system"]\n\n[[route]]\nrealm = "*"')
    first_is(tree, "pam", "/etc/pam.d/no-such-service", "every smtp login is refused", mend="/etc/pam.d/no-such-service")


@pytest.fixture(scope="module")
def directory(machine: Path) -> Iterator[Slapd]:
    with slapd(machine / "slapd", users=1) as server:
        yield server


@pytest.mark.peer("slapd")
def test_the_certificate_of_a_directory(tree: Tree, directory: Slapd) -> None:
    keys = f'servers = ["{directory.ldaps}"]\nca_file = "{directory.other_ca}"\nbase = "dc=example,dc=test"\ntimeout = "2s"\n'
    add(tree.site, f'\n[backend.directory]\ntype = "ldap"\n{keys}')
    replace(tree.site, '[[route]]\nrealm = "*"', '[[route]]\nrealm = "corp.test"\nbackends = ["directory"]\n\n[[route]]\nrealm = "*"')
    first_is(tree, "directories", "backend directory", "certificate", mend="config check --online")


def test_clear_text_where_a_hash_is_expected(tree: Tree) -> None:
    file = tree.site.directory / "passwd"
    file.write_text("# users\nbob:swordfish\n")
    shutil.chown(file, USER, GROUP)
    add(tree.site, f'\n[backend.files]\ntype = "passwd_file"\npath = "{file}"\n')
    replace(tree.site, '[[route]]\nrealm = "*"', '[[route]]\nrealm = "files.test"\nbackends = ["files"]\n\n[[route]]\nrealm = "*"')
    seen = tree.examined(account=False)
    assert (seen.first.check, seen.first.outcome) == ("accounts", "fail")
    assert f"{file}:2: clear text" in seen.first.cause
    assert "saslauthd-py hash" in seen.first.mend
    assert "swordfish" not in "\n".join(map(str, seen.lines))


def test_a_locked_account(tree: Tree) -> None:
    tree.site.sql("UPDATE identity SET locked = 'left the firm'")
    try:
        first_is(tree, "accounts", ALICE, "locked (left the firm)", mend=f"saslauthd-py user unlock {ALICE}", account=True)
    finally:
        tree.site.sql("UPDATE identity SET locked = NULL")


def test_an_unreadable_store(tree: Tree) -> None:
    tree.site.store.chmod(0o644)
    first_is(tree, "accounts", str(tree.site.store), "lets others in", mend=f"chmod 0600 {tree.site.store}")


def test_a_store_that_belongs_to_another_user(tree: Tree) -> None:
    os.chown(tree.site.store, 1, 1)
    first_is(tree, "accounts", str(tree.site.store), "belongs to daemon", mend="chown -R")


def test_a_deadline_shorter_than_a_hash(fresh: Tree) -> None:
    """Most passwords are kept at a cost that alice's, by luck, is not."""
    replace(fresh.site, "[server]\n", '[server]\ndeadline = "1s"\n')
    dear = slowest()
    for number in range(2):
        fresh.site.add(f"user{number}@example.test", "pw")
    text = passwords.decoy(dear).text
    others = "SELECT secret.id FROM secret JOIN identity ON identity.id = secret.identity WHERE identity.local LIKE 'user%'"
    fresh.site.sql(f"UPDATE encoding SET profile = '{dear}', text = '{text}' WHERE secret IN ({others})")  # noqa: S608 - made here
    with fresh.site.serving():
        seen = fresh.examined()
    assert seen.first.check == "capacity", seen.first
    assert "deadline is 1 s" in seen.first.cause
    assert "[server] deadline" in seen.first.mend


def slowest() -> str:
    """A profile of sha512crypt at the most that a record may cost."""
    scheme = passwords.SCHEMES["sha512crypt"]
    return f"sha512crypt rounds={scheme.most_work}"


def test_a_configuration_that_is_wrong_is_what_is_named(tree: Tree) -> None:
    replace(tree.site, 'group = "postfix"', 'grupp = "postfix"')
    seen = tree.examined(account=False)
    assert seen.first.check == "daemon"
    assert "grupp" in seen.first.cause
    assert "config check" in seen.first.mend
