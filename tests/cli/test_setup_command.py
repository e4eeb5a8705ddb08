"""`setup`'s own words: what it refuses before it looks at any file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from saslauthd_py.cli import setup_flags
from saslauthd_py.setup import journal
from tests.cli.commands import forked, invoke

_UNPRIVILEGED = 65534


def test_the_help_names_the_directory_that_is_used() -> None:
    assert setup_flags.STATE_DIRECTORY == journal.DEFAULT_DIRECTORY


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("exim", "--type", "cyrus"), "exim can be set up with --type dovecot only"),
        (("cyrus-imap", "--type", "dovecot"), "cyrus-imap can be set up with --type cyrus only"),
        (("postfix", "--password-stdin"), "a password without --user"),
    ],
)
def test_what_makes_no_sense_is_64(flags: tuple[str, ...], said: str) -> None:
    outcome = invoke("setup", *flags)
    assert outcome.code == 64
    assert said in outcome.error


@pytest.mark.parametrize("flags", [("--apply", "--undo"), ("sendmail",)])
def test_a_wrong_command_line_is_64(flags: tuple[str, ...]) -> None:
    assert invoke("setup", "postfix", *flags).code == 64


@pytest.mark.root
@pytest.mark.parametrize("flag", ["--apply", "--undo"])
def test_only_root_changes_anything(flag: str) -> None:
    outcome = forked("setup", "postfix", flag, uid=_UNPRIVILEGED)
    assert (outcome.code, outcome.error) == (77, "these files are root's: run this as root")


def test_what_is_to_be_said_again_is_said_whole(tmp_path: Path) -> None:
    configuration, imapd = tmp_path / "ours.toml", tmp_path / "imapd.conf"
    configuration.write_text(
        '[[listen]]\nprotocol = "dovecot"\npath = "/x"\n[backend.users]\ntype = "store"\n[[route]]\nrealm = "*"\nbackends = ["users"]\n'
    )
    imapd.write_text("cyrus_user: nobody\n")
    flags = ("--imapd-conf", str(imapd), "--config", str(configuration), "--user", "a b", "--state-dir", "/srv/x")
    outcome = invoke("setup", "cyrus-imap", *flags)
    assert outcome.code == 0, outcome.error
    command = f"saslauthd-py setup cyrus-imap --imapd-conf {imapd} --config {configuration} --user 'a b' --state-dir /srv/x --apply"
    assert outcome.out.rstrip().endswith(command)


def test_nothing_applied_is_66(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("root's")
    outcome = invoke("setup", "postfix", "--undo", "--state-dir", str(tmp_path))
    assert outcome.code == 66
    assert "nothing was applied" in outcome.error


def test_no_configuration_is_66(tmp_path: Path) -> None:
    assert invoke("setup", "postfix", "--config", str(tmp_path / "none")).code == 66


def test_no_mail_server_is_78(tmp_path: Path) -> None:
    configuration = tmp_path / "ours.toml"
    configuration.write_text(
        '[[listen]]\nprotocol = "dovecot"\npath = "/x"\n[backend.users]\ntype = "store"\n[[route]]\nrealm = "*"\nbackends = ["users"]\n'
    )
    outcome = invoke("setup", "cyrus-imap", "--config", str(configuration), "--imapd-conf", str(tmp_path / "imapd.conf"))
    assert outcome.code == 78
    assert "imapd.conf" in outcome.error
