"""`doctor` where Postfix and Exim ask by Dovecot's protocol; and what a doctor leaves behind: nothing."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop import dovecot_postfix
from tests.interop import exim as private_exim
from tests.interop import postfix as private_postfix
from tests.interop.daemon import Daemon, Site, environment, new_site
from tests.interop.doctor_site import ALICE, PASSWORD, Tree, new_tree
from tests.interop.postfix import Postfix

pytestmark = pytest.mark.root

_CHANGING = (
    "open,openat,openat2,creat,truncate,ftruncate,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utime,utimes,utimensat,futimesat,mknod,mknodat,setxattr,lsetxattr,fsetxattr"
)
_FOR_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
_DONE = re.compile(r"\d+ +(?P<call>\w+)\(.* = (?P<result>-?\d+)")
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)")


def findings(*flags: str) -> list[dict[str, Any]]:
    command = [*Daemon.PROGRAM, "doctor", "--user", ALICE, "--password-stdin", "--json", *flags]
    done = subprocess.run(command, env=environment(), cwd="/", input=PASSWORD, capture_output=True, text=True, timeout=60, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def no_passes(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in found if one["outcome"] != "pass"]


def dovecot_site(site: Site, listener: str) -> None:
    site.configure([listener], 'scheme = "sha512crypt"\n')
    site.add(ALICE, PASSWORD)


@pytest.mark.peer("postfix", "openssl")
def test_a_postfix_that_asks_by_dovecot_s_protocol(machine: Path, site: Site) -> None:
    with dovecot_postfix.new_place(machine) as place:
        dovecot_site(site, place.listener)
        with site.serving() as daemon, place.started() as postfix:
            flags = ("--config", str(site.configuration), "--mta", "postfix", "--postfix-config", str(postfix.directory / "conf"))
            well = findings(*flags)
            assert no_passes(well) == []
            assert any("the mail client's address comes with each login" in one["cause"] for one in well)
            daemon.stop()
            first = no_passes(findings(*flags))[0]
    assert first["check"] == "path"
    assert f"nothing is at {place.socket}" in first["cause"]
    assert "saslauthd-py serve --config" in first["mend"]


@pytest.mark.peer("exim", "openssl")
def test_an_exim(machine: Path, site: Site) -> None:
    auth = site.directory / "auth"
    dovecot_site(site, private_exim.listener(auth))
    with site.serving() as daemon, private_exim.running(machine / "exim", auth) as exim:
        flags = ("--config", str(site.configuration), "--mta", "exim", "--exim-config", str(exim.directory / "conf/exim.conf"))
        well = findings(*flags, "--exim-program", private_exim.PROGRAM)
        assert no_passes(well) == []
        assert any(f"logs in at 127.0.0.1:{exim.port} (exim)" in one["cause"] for one in well)
        daemon.stop()
        first = no_passes(findings(*flags, "--exim-program", private_exim.PROGRAM))[0]
    assert first["check"] == "path"
    assert f"nothing is at {auth}" in first["cause"]


@pytest.fixture(scope="module")
def tree(machine: Path) -> Iterator[Tree]:
    with private_postfix.running(machine / "watched") as postfix, new_tree(machine, postfix) as made, made.site.serving():
        yield made


def snapshot(*directories: Path) -> dict[str, tuple[int, ...] | str]:
    """Everything below them that a process could change: kind, rights, owner, times, contents."""
    found: dict[str, tuple[int, ...] | str] = {}
    for path in sorted(path for directory in directories for path in (directory, *directory.rglob("*"))):
        status = path.lstat()
        found[str(path)] = (
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
        if path.is_file():
            found[f"{path} contents"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def postfix_files(postfix: Postfix) -> tuple[Path, ...]:
    return postfix.directory / "conf", postfix.directory / "run"


@pytest.mark.peer("postfix", "openssl")
def test_a_doctor_changes_nothing(tree: Tree) -> None:
    """Without an account: a real login is a login, and counts as one."""
    watched = (*postfix_files(tree.postfix), tree.site.directory)
    before = snapshot(*watched)
    seen = tree.examined(account=False)
    assert seen.code == 0
    assert snapshot(*watched) == before


@pytest.mark.peer("postfix", "openssl", "strace")
def test_a_doctor_opens_no_file_for_writing(tree: Tree, tmp_path: Path) -> None:
    """By the kernel's word, of it and of every process below it; also beside a store that no daemon has open."""
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={_CHANGING}", "-e", "signal=none", *Daemon.PROGRAM]
    variables = environment(PYTHONDONTWRITEBYTECODE="1")
    words = tree.words("--user", ALICE, "--password-stdin")
    done = subprocess.run(
        [*command, *words], env=variables, cwd="/", input=PASSWORD, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    calls = list(whole(trace.read_text().splitlines()))
    assert any("/users.db" in line for line in calls), "the store was looked at"
    assert [line for line in calls if changes(line)] == []


def whole(lines: Iterable[str]) -> Iterator[str]:
    """Each call in a line, where another process's came between its two halves."""
    begun: dict[str, str] = {}
    for line in lines:
        if line.endswith(_UNFINISHED):
            begun[line.split()[0]] = line.removesuffix(_UNFINISHED)
        elif resumed := _RESUMED.match(line):
            yield begun.pop(resumed["pid"]) + resumed["rest"]
        else:
            yield line


def changes(line: str) -> bool:
    """A call that succeeded, and could have changed something. /dev/null is where nothing is written to."""
    done = _DONE.match(line)
    if done is None or int(done["result"]) < 0 or "/dev/null" in line:
        return False
    return done["call"] != "gettid" and (not done["call"].startswith("open") or _FOR_WRITING.search(line) is not None)


def test_a_change_in_a_trace_is_seen() -> None:
    assert changes('123 openat(AT_FDCWD, "/x", O_RDWR|O_CREAT, 0600) = 3')
    assert changes('123 unlink("/x") = 0')
    halves = ['123 openat(AT_FDCWD, "/x", O_WRONLY <unfinished ...>', "124 gettid() = 1", "123 <... openat resumed>) = 3"]
    assert [changes(line) for line in whole(halves)] == [False, True]
    assert not changes('123 openat(AT_FDCWD, "/x", O_RDWR|O_CREAT, 0600) = -1 EACCES (Permission denied)')
    assert not changes('123 openat(AT_FDCWD, "/dev/null", O_RDWR) = 3')
    assert not changes('123 openat(AT_FDCWD, "/x", O_RDONLY) = 3')


@pytest.mark.peer("postfix", "openssl")
def test_another_user_is_told_what_only_root_can_try(tree: Tree, site_of_nobody: Site) -> None:
    command = [*Daemon.PROGRAM, *tree.words("--json")]
    command[command.index(str(tree.site.configuration))] = str(site_of_nobody.configuration)
    done = subprocess.run(
        command,
        env=environment(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user="nobody",
        group="nogroup",
        extra_groups=[],
    )
    found = json.loads(done.stdout)["findings"]
    assert [one["outcome"] for one in found if one["check"] == "path"] == ["skip"]
    assert "only root can try it as postfix" in found[0]["cause"]


@pytest.fixture
def site_of_nobody(machine: Path) -> Iterator[Site]:
    """A configuration that every user may read."""
    with new_site(machine) as made:
        made.configure(['[[listen]]\nprotocol = "saslauthd"\npath = "/run/nowhere/mux"\n'])
        yield made
