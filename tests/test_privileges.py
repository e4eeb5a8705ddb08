"""privileges: each drop happens in a process of its own, which tells what the kernel says about it afterwards."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from saslauthd_py import privileges
from saslauthd_py.privileges import Ids, PrivilegeError, account

ROOT = Path(__file__).parent.parent
DROP = "privileges.drop(Ids(65534, 65533, 'someone'))\n"
PREPARE = """\
import ctypes, os, resource, threading
from saslauthd_py import privileges
from saslauthd_py.privileges import Ids, PrivilegeError
def status(name):
    return next(line.split(":", 1)[1].split() for line in open("/proc/self/status") if line.startswith(name + ":"))
def inherit_everything():
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert privileges._LIBC.capget(header, sets) == 0
    sets[2], sets[5] = sets[1], sets[4]
    assert privileges._LIBC.capset(header, sets) == 0
    assert int(status("CapInh")[0], 16)
"""


def run(program: str) -> str:
    """What the program printed; its failure is the test's."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARE + program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(program: str) -> str:
    """The text of the PrivilegeError that the program must end with."""
    caught = "\nexcept PrivilegeError as error:\n    print(error)\nelse:\n    raise SystemExit('not refused')\n"
    return run("try:\n" + "".join(f"    {line}\n" for line in program.splitlines()) + caught)


@pytest.mark.root
def test_a2_a_drop_leaves_no_capability_no_group_and_no_way_back() -> None:
    told = run(
        "os.setgroups([12345])\ninherit_everything()\n"
        + DROP
        + "for name in ('Uid', 'Gid', 'Groups', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd',"
        " 'CapAmb', 'NoNewPrivs'):\n    print(name, *status(name))\n"
    )
    none = "0" * 16
    assert told.splitlines() == [
        "Uid 65534 65534 65534 65534",
        "Gid 65533 65533 65533 65533",
        "Groups",
        *(f"Cap{which} {none}" for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")),
        "NoNewPrivs 1",
    ]


@pytest.mark.root
@pytest.mark.parametrize("attempt", ["open('/etc/shadow')", "os.setuid(0)", "os.setgid(0)", "os.setgroups([0])", "os.chown('/tmp', 0, 0)"])
def test_a2_after_a_drop_what_needs_root_is_refused(attempt: str) -> None:
    assert run(DROP + f"try:\n    {attempt}\nexcept PermissionError:\n    print('refused')\n") == "refused\n"


@pytest.mark.root
@pytest.mark.parametrize(
    ("left_out", "told"),
    [
        ("privileges._empty_bounding_set = lambda: None", "CapBnd"),
        ("os.setgroups = lambda groups: None", "Groups"),
        ("os.setresgid = lambda *ids: None", "Gid"),
        ("os.setresuid = lambda *ids: None", "Uid"),
        ("privileges._clear_capabilities = lambda: None", "CapInh"),
        ("real = privileges._prctl\nprivileges._prctl = lambda option, value: option == 38 or real(option, value)", "NoNewPrivs"),
    ],
)
def test_a2_a_drop_that_the_kernel_did_not_do_whole_is_refused(left_out: str, told: str) -> None:
    assert told in refused(f"os.setgroups([12345])\ninherit_everything()\n{left_out}\n{DROP}")


@pytest.mark.root
def test_a2_a_drop_beside_another_thread_is_refused() -> None:
    told = refused(f"threading.Thread(target=threading.Event().wait, daemon=True).start()\n{DROP}")
    assert "thread" in told


@pytest.mark.root
def test_a2_a_drop_without_cap_setpcap_says_what_is_missing() -> None:
    assert "CAP_SETPCAP" in refused(f"os.setresuid(65534, 65534, 65534)\n{DROP}")


def test_a2_a_sealed_process_leaves_no_core_and_cannot_be_traced() -> None:
    told = run("privileges.seal()\nprint(resource.getrlimit(resource.RLIMIT_CORE), privileges._LIBC.prctl(3, 0, 0, 0, 0))")
    assert told == "(0, 0) 0\n"  # 3: PR_GET_DUMPABLE


def test_e2_the_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    told = run(
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "assert privileges.raise_nofile() == hard\nassert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)\nprint('raised')\n"
    )
    assert told == "raised\n"


def test_account_finds_the_ids_of_user_and_group() -> None:
    user = next(found for found in pwd.getpwall() if found.pw_uid and found.pw_gid)
    group = next(found for found in grp.getgrall() if found.gr_gid not in (0, user.pw_gid))
    assert account(user.pw_name, group.gr_name) == Ids(user.pw_uid, group.gr_gid, user.pw_name)
    assert account(user.pw_name) == Ids(user.pw_uid, user.pw_gid, user.pw_name)


def test_account_without_the_user_names_the_lines_that_make_it() -> None:
    with pytest.raises(PrivilegeError) as caught:
        account("no-such-user-here", "no-such-user-here")
    text = str(caught.value)
    assert "systemd-sysusers --inline 'u no-such-user-here - \"no-such-user-here\"'" in text
    assert "useradd --system" in text
    assert "\n" not in text


def test_account_without_the_group_names_the_line_that_makes_it() -> None:
    user = next(found.pw_name for found in pwd.getpwall() if found.pw_uid)
    with pytest.raises(PrivilegeError, match="groupadd --system no-such-group-here"):
        account(user, "no-such-group-here")


def test_a2_root_is_refused_as_the_daemons_user_and_group() -> None:
    with pytest.raises(PrivilegeError, match=r"is root \(uid 0\)"):
        account("root")
    user = next(found.pw_name for found in pwd.getpwall() if found.pw_uid)
    with pytest.raises(PrivilegeError, match="root's group"):
        account(user, grp.getgrgid(0).gr_name)


def test_a2_a_drop_by_who_is_not_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(option: int, value: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(privileges, "_prctl", forbidden)
    monkeypatch.setattr(os, "listdir", lambda _: ["1"])
    with pytest.raises(PrivilegeError, match="cannot become someone"):
        privileges.drop(Ids(65534, 65534, "someone"))


def test_the_other_end_of_a_unix_socket_is_known() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert privileges.peer_ids(ours) == privileges.Peer(os.getpid(), os.geteuid(), os.getegid())


def test_a_socket_that_cannot_name_its_peer_has_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()[:2]) as tcp:
        assert privileges.peer_ids(tcp).uid == 0xFFFFFFFF


def test_peers_are_read_in_one_place_but_for_the_front_s_hot_path() -> None:
    package = ROOT / "saslauthd_py"
    found = {str(source.relative_to(package)) for source in package.rglob("*.py") if "socket.SO_PEERCRED" in source.read_text()}
    assert found == {"privileges.py"}
