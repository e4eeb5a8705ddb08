from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from saslauthd_py.store.access import become_owner, check
from saslauthd_py.store.errors import NoSuchStore, UnsafeStore

NOBODY = 65534

# Becomes the store's owner, as a command of root's does; then writes to the store, and tries to become root again.
COMMAND = """
import os, sys
from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.identity import split
from saslauthd_py.store import usage
from saslauthd_py.store.access import become_owner
from saslauthd_py.store.errors import StoreError
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.store import Store
path, create_for = sys.argv[1], (int(sys.argv[2]),) * 2 if len(sys.argv) > 2 else None
try:
    become_owner(path, create_for)
    with Store.open(path, create=True) as store:
        store.add(split("alice"), NewSecret(Encoding("argon2id", "x")))
        usage.write(path, {1: 1.0})
        files = {name: os.lstat(os.path.join(os.path.dirname(path), name)).st_uid for name in os.listdir(os.path.dirname(path))}
        print(sorted(files.items()))
except StoreError as error:
    print(type(error).__name__, error)
print(os.getresuid(), os.getresgid(), os.getgroups())
for back in (lambda: os.setresuid(0, 0, 0), lambda: os.setresgid(0, 0, 0), lambda: os.setgroups([0])):
    try:
        back()
        print("went back")
    except PermissionError:
        pass
"""


@pytest.fixture
def place() -> Iterator[str]:
    """A directory of root's that everybody may pass through, as /var/lib is."""
    made = tempfile.mkdtemp()
    os.chmod(made, 0o755)  # noqa: S103 - that it is open to all is the point
    yield made
    shutil.rmtree(made)


def command(environment: dict[str, str], *words: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", COMMAND, *words], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def own(directory: str, uid: int = NOBODY) -> str:
    os.mkdir(directory, 0o700)
    os.chown(directory, uid, uid)
    return directory


@pytest.mark.root
def test_a7_a_command_of_root_becomes_the_owner_and_leaves_no_file_of_root(place: str, environment: dict[str, str]) -> None:
    path = os.path.join(own(f"{place}/store"), "users.db")
    files, ids = command(environment, path)
    assert files == "[('usage.db', 65534), ('users.db', 65534), ('users.db-shm', 65534), ('users.db-wal', 65534)]"
    assert ids == "(65534, 65534, 65534) (65534, 65534, 65534) [65534]"
    assert {os.lstat(f"{place}/store/{name}").st_uid for name in os.listdir(f"{place}/store")} == {NOBODY}


@pytest.mark.root
def test_a7_a_missing_directory_is_made_for_the_daemons_user(place: str, environment: dict[str, str]) -> None:
    umask = os.umask(0)
    try:
        files, ids = command(environment, f"{place}/store/users.db", "4242")
    finally:
        os.umask(umask)
    assert ids == "(4242, 4242, 4242) (4242, 4242, 4242) [4242]"
    assert "('users.db', 4242)" in files
    made = os.lstat(f"{place}/store")
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (4242, 4242, 0o700)


@pytest.mark.root
def test_a7_a_directory_is_made_only_where_root_alone_can_write(place: str) -> None:
    own(f"{place}/theirs")
    with pytest.raises(UnsafeStore, match=r"/theirs: others than root can write here; make .*/theirs/store as its user$"):
        become_owner(f"{place}/theirs/store/users.db", (NOBODY, NOBODY))
    os.mkdir(f"{place}/open")
    os.chmod(f"{place}/open", 0o777)  # noqa: S103 - what is refused
    with pytest.raises(UnsafeStore, match=r"/open: others than root can write here"):
        become_owner(f"{place}/open/store/users.db", (NOBODY, NOBODY))
    with pytest.raises(NoSuchStore, match=r"/none: no such directory; is its file system mounted\?$"):
        become_owner(f"{place}/none/store/users.db", (NOBODY, NOBODY))
    with pytest.raises(
        NoSuchStore, match=r"/store: no such directory; put it back or restore it; for a first user: `saslauthd-py user add`$"
    ):
        become_owner(f"{place}/store/users.db")
    assert sorted(os.listdir(place)) == ["open", "theirs"]


@pytest.mark.root
@pytest.mark.parametrize("name", ["users.db", "users.db-wal", "users.db-shm"])
def test_a7_a_planted_link_is_refused_and_not_followed(place: str, environment: dict[str, str], name: str) -> None:
    own(f"{place}/store")
    os.symlink(f"{place}/target", f"{place}/store/{name}")
    line, ids = command(environment, f"{place}/store/users.db")[:2]
    assert line == f"UnsafeStore {place}/store/{name}: a symbolic link; a store is a file of its own"
    assert ids.startswith("(0, 0, 0)")
    assert sorted(os.listdir(place)) == ["store"]


@pytest.mark.root
def test_a7_a_linked_directory_is_refused(place: str) -> None:
    own(f"{place}/real")
    os.symlink("real", f"{place}/store")
    with pytest.raises(UnsafeStore, match=r"/store: not a directory but a symbolic link; "):
        become_owner(f"{place}/store/users.db", (NOBODY, NOBODY))


@pytest.mark.root
def test_a7_a_hard_link_to_a_file_of_roots_is_refused(place: str, environment: dict[str, str]) -> None:
    own(f"{place}/store")
    with open(f"{place}/precious", "w") as file:
        file.write("root's")
    os.chmod(f"{place}/precious", 0o600)
    os.link(f"{place}/precious", f"{place}/store/users.db")
    line, ids = command(environment, f"{place}/store/users.db")
    assert line.startswith(f"UnsafeStore {place}/store/users.db: belongs to root, not to nobody, and has another name elsewhere")
    assert "chown" not in line
    assert ids.startswith("(65534, 65534, 65534)")


@pytest.mark.root
def test_a7_files_of_roots_in_a_directory_of_the_daemons_are_to_be_given_back(place: str, environment: dict[str, str]) -> None:
    directory = own(f"{place}/store")
    os.close(os.open(f"{directory}/users.db", os.O_CREAT, 0o600))
    line, _ = command(environment, f"{directory}/users.db")
    assert line == f"UnsafeStore {directory}/users.db: belongs to root, not to nobody; run once, as root: chown -R nobody: {directory}"


@pytest.mark.parametrize(("owner", "may"), [(NOBODY, "only root and nobody"), (0, "only root")])
def test_a7_somebody_else_is_told_to_be_root_and_not_to_chown(path: str, monkeypatch: pytest.MonkeyPatch, owner: int, may: str) -> None:
    found = os.stat_result((stat.S_IFDIR | 0o700, 1, 1, 1, owner, owner, 0, 0, 0, 0))
    monkeypatch.setattr(os, "lstat", lambda _: found)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(UnsafeStore, match=rf", and this is uid 4242: {may} may use it: run this as root; ") as refused:
        check(path)
    assert "chown" not in str(refused.value)


@pytest.mark.root
def test_a7_a_directory_of_roots_is_refused(place: str) -> None:
    own(f"{place}/store", 0)
    with pytest.raises(UnsafeStore, match=r"/store: belongs to root, and the daemon never runs as root; .*: chown -R USER: .*/store$"):
        become_owner(f"{place}/store/users.db")


def test_a7_anyone_but_root_stays_who_they_are(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    before = os.getresuid(), os.getresgid(), os.getgroups()
    become_owner(path, (NOBODY, NOBODY))
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before
    assert not os.path.exists(os.path.dirname(path))
