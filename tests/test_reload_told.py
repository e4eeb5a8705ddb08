"""What a reload and a status tell besides that they were done: a log that stays where it was, what is hardly meant, who has keys now."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saslauthd_py.control import client
from tests.interop.daemon import PATIENCE, USER, Site, environment, listener, site_of
from tests.interop.waiting import until

NEVER_TAKEN = '\n[[route]]\nrealm = "x.test"\nbackends = ["users"]\n'


@pytest.fixture
def site() -> Iterator[Site]:
    with site_of("alice@example.test") as site:
        yield site


def written_for_the_daemon(log: Path) -> None:
    log.touch()
    if os.geteuid() == 0:
        os.chown(log, 65534, 65534)


def reload(site: Site) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "saslauthd_py", "reload", "--config", str(site.configuration)],
        env=environment(), cwd="/", capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_reload_says_that_the_log_stays_in_the_file_of_before_and_what_to_do(site: Site) -> None:
    log, moved = site.directory / "log", site.directory / "log.1"
    written_for_the_daemon(log)
    site.configuration.write_text(site.configuration.read_text().replace('to = "stderr"', f'to = "file:{log}"'))
    user = USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with site.serving():
        log.rename(moved)
        log.mkdir()
        stays = f"the log stays in the file of before: [log] to = 'file:{log}': Is a directory; run: chown {user} {log}"
        assert reload(site) == (0, "reloaded: the configuration as it is now serves\n", f"saslauthd-py: warning: {stays}\n")
        until(lambda: f"ERROR {stays}" in moved.read_text(), "the line in the file of before")
        site.configuration.write_text(site.configuration.read_text() + "[servr]\n")
        code, told, wrong = reload(site)
        assert (code, told) == (78, "")
        assert wrong.splitlines()[-1] == f"saslauthd-py: {stays}"
        log.rmdir()


def test_what_is_hardly_meant_is_a_warning_at_the_start_and_at_each_reload(site: Site) -> None:
    site.configuration.write_text(site.configuration.read_text() + NEVER_TAKEN)
    line = "route[1]: never taken"
    with site.serving() as daemon:
        daemon.wait_for_line(f" WARNING {site.configuration}:", line)
        (told,) = client.reload(str(site.control))
        assert line in told
        daemon.wait_for_line(f" WARNING {told}", count=2)
        site.configuration.write_text(site.configuration.read_text().replace(NEVER_TAKEN, ""))
        assert client.reload(str(site.control)) == ()


def test_status_tells_who_has_keys_at_this_moment(site: Site) -> None:
    def offered() -> list[str]:
        listeners: Any = client.status(str(site.control))["listeners"]
        return list(listeners[0]["mechanisms"])

    site.configure([listener(site.mux).replace("saslauthd", "dovecot", 1)])
    with site.serving():
        assert offered() == ["PLAIN", "LOGIN"]
        site.passwd("alice@example.test", "pw1")
        assert "SCRAM-SHA-256" not in offered()
        site.sql("DELETE FROM identity")
        site.add("bob@example.test", "pw2", "--scram")
        assert offered() == ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1"]
