"""The system's accounts by getpwnam_r and getspnam_r: unknown is one thing, an outage another."""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.config.settings import PamSettings, ShadowSettings
from saslauthd_py.monitor import accounts
from saslauthd_py.monitor.accounts import Account, find_account, find_shadow, is_denied, is_login
from tests.interop.daemon import PATIENCE, environment


def answering(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The name service finds nothing, and says so with this number."""
    monkeypatch.setattr(accounts, "_libc", lambda _: lambda *_: code)


def test_every_account_of_the_system_is_found_as_pwd_finds_it() -> None:
    for entry in pwd.getpwall():
        assert find_account(os.fsencode(entry.pw_name)) == Account(os.fsencode(entry.pw_name), entry.pw_uid, os.fsencode(entry.pw_passwd))


@pytest.mark.root
def test_shadow_entry_is_read_as_it_is_written() -> None:
    with open("/etc/shadow", "rb") as lines:
        for line in lines:
            name, password, changed, _, maximum, _, _, expires = line.rstrip(b"\n").split(b":")[:8]
            found = find_shadow(name)
            assert found is not None
            assert found.password == password
            assert (found.changed, found.maximum, found.expires) == tuple(int(days or -1) for days in (changed, maximum, expires))


def test_unknown_names_are_none() -> None:
    for login in (b"nosuchaccount", b"\xff", b"-x", b"a" * 500):
        assert find_account(login) is None
        if os.geteuid() == 0:
            assert find_shadow(login) is None


def test_number_that_means_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, 0)
    assert find_account(b"alice") is None
    assert find_shadow(b"alice") is None


@pytest.mark.root
@pytest.mark.peer("unshare")
@pytest.mark.parametrize("sources", ["nosuchmodule", "files"])
def test_d8_name_service_that_is_down_is_an_outage_and_never_an_unknown_user(sources: str, tmp_path: Path) -> None:
    """One that cannot be loaded, as NIS that is down, leaves errno as it was; a passwd that is gone sets ENOENT, as a sssd that is down."""
    (tmp_path / "nsswitch.conf").write_text(f"passwd: {sources}\n")
    enter = 'mount --make-rprivate / 2>/dev/null; mount --bind "$0" /etc && exec "$@"'
    look = "from saslauthd_py.monitor.accounts import find_account\ntry: print(find_account(b'root'))\nexcept OSError: print('outage')"
    command = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", enter, str(tmp_path), sys.executable, "-c", look]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.stdout == "outage\n", done.stderr


@pytest.mark.parametrize(
    "code", [errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EIO, errno.EMFILE, errno.ENOMEM, errno.EAGAIN, errno.ECONNREFUSED, errno.ERANGE]
)
def test_numbers_that_mean_an_outage(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    answering(monkeypatch, code)
    for find in (find_account, find_shadow):
        with pytest.raises(OSError, match=r"get(pw|sp)nam_r") as failed:
            find(b"alice")
        assert failed.value.errno == code


def test_entry_longer_than_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = find_account(b"root")
    monkeypatch.setattr(accounts, "_SMALLEST_BUFFER", 8)
    assert expected is not None
    assert find_account(b"root") == expected


def test_records_do_not_show_their_hashes() -> None:
    assert "$6$" not in repr(Account(b"alice", 1000, b"$6$salt$hash"))
    assert "$6$" not in repr(accounts.Shadow(b"$6$salt$hash"))


@given(st.binary(max_size=600))
def test_login_has_neither_slash_nor_control_character(login: bytes) -> None:
    forbidden = {*range(32), 127, ord("/")}
    assert is_login(login) == (0 < len(login) <= 511 and not forbidden.intersection(login) and login not in (b".", b".."))


@pytest.mark.parametrize("login", ["alice", "alice@example.test", "Jürgen", "a.b+c", "...", "a" * 511])
def test_usual_logins(login: str) -> None:
    assert is_login(login.encode()[:511])


def test_denied_by_id_and_by_either_name() -> None:
    settings = PamSettings(type="pam", min_uid=1000, deny=("root", "bob"))
    assert is_denied(settings, b"alice", Account(b"alice", 999, b"x"))
    assert not is_denied(settings, b"alice", Account(b"alice", 1000, b"x"))
    assert is_denied(settings, b"bob", Account(b"bob", 1000, b"x"))
    assert is_denied(settings, b"BOB", Account(b"bob", 1000, b"x"))
    assert is_denied(settings, b"bob", None)
    assert not is_denied(settings, b"carol", None)
    assert is_denied(PamSettings(type="pam", deny=("CAROL",)), b"CAROL", Account(b"carol", 1000, b"x"))
    assert is_denied(ShadowSettings(type="shadow", min_uid=0), b"root", Account(b"root", 0, b"x"))
