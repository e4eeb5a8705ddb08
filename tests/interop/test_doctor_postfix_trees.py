"""`doctor` on a real Postfix that is broken in one place: the first line that is no pass names the fault, and what mends it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.interop import postfix as private_postfix
from tests.interop.doctor_site import LIMIT, Tree, new_tree

pytestmark = [pytest.mark.peer("postfix", "openssl"), pytest.mark.root]


@pytest.fixture(scope="module")
def tree(machine: Path) -> Iterator[Tree]:
    """smtpd in no chroot, the daemon running, all well."""
    with private_postfix.running(machine / "plain") as postfix, new_tree(machine, postfix) as made, made.site.serving():
        yield made


def test_a_healthy_tree_has_nothing_but_passes(tree: Tree) -> None:
    seen = tree.examined()
    assert [str(line) for line in seen.lines if line.outcome != "pass"] == []
    assert seen.code == 0
    assert seen.seconds < LIMIT
    assert len({line.check for line in seen.lines}) == 18
    assert len(seen.of("login")) == 3, "a login through each of the three ports"


def test_a_healthy_chrooted_tree_has_nothing_but_passes(machine: Path) -> None:
    with (
        private_postfix.running(machine / "inside", chroot=True) as postfix,
        new_tree(machine, postfix) as tree,
        tree.site.serving(),
    ):
        seen = tree.examined()
    assert [str(line) for line in seen.lines if line.outcome != "pass"] == []
    assert seen.code == 0


@contextmanager
def smtpd_conf(tree: Tree, line: str, other: str) -> Iterator[None]:
    """With another line."""
    with tree.kept("sasl/smtpd.conf"):
        text = tree.smtpd_conf.read_text()
        assert line in text
        tree.smtpd_conf.write_text(text.replace(line, other))
        yield


@contextmanager
def main_cf(tree: Tree, *settings: str) -> Iterator[None]:
    with tree.kept("main.cf"):
        for setting in settings:
            tree.postconf("-e", setting)
        yield


def wrong_path(tree: Tree) -> AbstractContextManager[None]:
    return smtpd_conf(tree, str(tree.postfix.mux), str(tree.postfix.mux.parent / "elsewhere"))


def without_mux(tree: Tree) -> AbstractContextManager[None]:
    return smtpd_conf(tree, str(tree.postfix.mux), str(tree.postfix.mux.parent))


def too_long(tree: Tree) -> AbstractContextManager[None]:
    return smtpd_conf(tree, str(tree.postfix.mux), f"/run/{'x' * 110}/mux")


def scram(tree: Tree) -> AbstractContextManager[None]:
    return smtpd_conf(tree, "mech_list: PLAIN LOGIN", "mech_list: PLAIN LOGIN SCRAM-SHA-256")


@contextmanager
def chroot(tree: Tree) -> Iterator[None]:
    with tree.kept("master.cf"):
        tree.postconf("-F", "*/inet/chroot=y")
        yield


@contextmanager
def other_directory(tree: Tree) -> Iterator[None]:
    """Debian's Postfix takes no notice of cyrus_sasl_config_path."""
    elsewhere = tree.conf / "elsewhere"
    elsewhere.mkdir()
    with main_cf(tree, f"cyrus_sasl_config_path = {elsewhere}"):
        moved = elsewhere / "smtpd.conf"
        shutil.move(tree.smtpd_conf, moved)
        try:
            yield
        finally:
            shutil.move(moved, tree.smtpd_conf)
            elsewhere.rmdir()


@contextmanager
def group(tree: Tree) -> Iterator[None]:
    """Writable for a group that smtpd's user is not in."""
    before = tree.postfix.mux.stat().st_gid
    os.chown(tree.postfix.mux, -1, 1)
    try:
        yield
    finally:
        os.chown(tree.postfix.mux, -1, before)


@contextmanager
def mode(tree: Tree, path: Path, wrong: int) -> Iterator[None]:
    before = path.stat().st_mode & 0o7777
    path.chmod(wrong)
    try:
        yield
    finally:
        path.chmod(before)


@contextmanager
def no_plugins(tree: Tree) -> Iterator[None]:
    """libsasl looks for its mechanisms in an empty directory."""
    empty = tree.conf / "no-plugins"
    empty.mkdir()
    with main_cf(tree, f"import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C SASL_PATH={empty}"):
        yield
    empty.rmdir()


def no_tls(tree: Tree) -> AbstractContextManager[None]:
    return main_cf(tree, "smtpd_tls_security_level = none", "smtpd_tls_auth_only = yes")


def local_domain(tree: Tree) -> AbstractContextManager[None]:
    """A name without @ gets a realm; here only the names without one may log in."""
    return main_cf(tree, "smtpd_sasl_local_domain = $myhostname")


Fault = Callable[[Tree], AbstractContextManager[None]]

FAULTS: dict[str, tuple[Fault, str, tuple[str, ...], str]] = {
    "wrong path": (wrong_path, "path", ("wrong path", "saslauthd_path", "elsewhere"), "saslauthd_path: {mux}"),
    "missing mux": (without_mux, "path", ("directory", "{mux.parent}"), "saslauthd_path: {mux}"),
    "path over 107 bytes": (too_long, "path", ("119 bytes", "107"), "choose a shorter one"),
    "chroot": (chroot, "path", ("chroot", "{mux}", "outside"), "/inet/chroot=n'"),
    "group": (group, "path", ("postfix", "not in group daemon"), 'group = "postfix"'),
    "mode of the socket": (lambda tree: mode(tree, tree.postfix.mux, 0o600), "path", ("may not write", "0600"), 'mode = "0660"'),
    "mode of the directory": (lambda tree: mode(tree, tree.postfix.mux.parent, 0o700), "path", ("may not enter", "0700"), "chmod go+x"),
    "SCRAM over saslauthd": (scram, "mechanisms", ("SCRAM-SHA-256", "PLAIN and LOGIN only"), "mech_list: PLAIN LOGIN"),
    "wrong directory of smtpd.conf": (other_directory, "path", ("elsewhere/smtpd.conf is not read",), "install -D -m 644"),
    "plugin package missing": (no_plugins, "mechanisms", ("plugin of PLAIN is not installed", "libplain.so"), "install"),
    "tls_auth_only without TLS": (no_tls, "mechanisms", ("smtpd_tls_auth_only", "no TLS"), "smtpd_tls_security_level = may"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_first_line_that_is_no_pass_names_the_fault(tree: Tree, name: str) -> None:
    breaks, check, words, mend = FAULTS[name]
    with breaks(tree):
        seen = tree.examined(account=False)
    first = seen.first
    assert (first.check, first.outcome) == (check, "fail"), first
    for word in words:
        assert word.format(mux=tree.postfix.mux) in first.cause, first
    assert mend.format(mux=tree.postfix.mux) in first.mend, first
    assert seen.code == 65
    assert seen.seconds < LIMIT


def test_sockets_for_everybody_are_warned_of(tree: Tree) -> None:
    with mode(tree, tree.postfix.mux, 0o666):
        seen = tree.examined(account=False)
    assert (seen.first.check, seen.first.outcome) == ("rights", "warn")
    assert "every user of this machine" in seen.first.cause
    assert seen.code == 0


def test_logins_that_are_switched_off_are_named(tree: Tree) -> None:
    with ExitStack() as stack:
        stack.enter_context(tree.kept("main.cf", "master.cf"))
        tree.postconf("-e", "smtpd_sasl_auth_enable = no")
        for service in ("submission", "submissions"):
            name = f"127.0.0.1:{tree.postfix.ports[service]}/inet"
            tree.postconf("-P", f"{name}/smtpd_sasl_auth_enable=no")
        first = tree.examined(account=False).first
    assert first.check == "path"
    assert "smtpd_sasl_auth_enable is no" in first.cause
    assert "smtpd_sasl_auth_enable = yes" in first.mend


def test_a_wrong_password_fails_at_the_login_in_the_daemon_s_own_word(tree: Tree) -> None:
    first = tree.examined(password="not hers").first
    assert first.check == "login"
    assert "535" in first.cause
    assert "the daemon says rejected (wrong-secret)" in first.cause
    assert "test alice@example.test --trace" in first.mend
