"""`test --trace` against a real daemon: set-ups that fail for different reasons, and the reason of each is named; no secret is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.interop.daemon import GROUP, PATIENCE, USER, Daemon, Site, environment, listener, new_site
from tests.interop.mux import OK, exchange

SECRET, WRONG = "correct horse", "battery staple"

_CONFIGURATION = """\
{listeners}
[backend.users]
type = "store"
path = "{site.store}"

[backend.readers]
type = "store"
path = "{site.store}"
services = ["imap"]

[[route]]
realm = "example.test"
backends = ["users"]

[[route]]
realm = "read.test"
backends = ["readers"]

[[route]]
realm = "side.test"
listener = "{site.directory}/side"
backends = ["users"]

[[route]]
realm = "mail.test"
service = "imap"
backends = ["users"]

[server]
user = "{user}"
group = "{group}"

[log]
to = "stderr"

[control]
path = "{site.control}"

[failure]
delay = "0s"

[admission]
per_account = "3/10m"
"""
_PAM = """
[backend.system]
type = "pam"
pam_service = "saslauthd-py-test-{service}"

[[route]]
realm = ""
backends = ["system"]
"""


_EXPIRED = "UPDATE secret SET expires = 1 WHERE identity = (SELECT id FROM identity WHERE local = 'old')"
_BROKEN = """\
UPDATE encoding SET scheme = 'nonesuch' WHERE secret =
(SELECT secret.id FROM identity JOIN secret ON identity.id = secret.identity WHERE local = 'broken')
"""


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def run(site: Site, *words: str, secret: str = "") -> Said:
    command = [sys.executable, "-m", "saslauthd_py", *words, "--config", str(site.configuration)]
    done = subprocess.run(command, env=environment(), cwd="/", input=secret, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert secret not in done.stdout + done.stderr or not secret
    assert "Traceback" not in done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def traced(site: Site, name: str, *words: str, secret: str = SECRET) -> Said:
    return run(site, "test", name, "--trace", "--password-stdin", *words, secret=secret)


def add(site: Site, name: str, *words: str) -> None:
    said = run(site, "user", "add", name, "--backend", "users", "--password-stdin", *words, secret=SECRET)
    assert said.code == 0, said.err


def configure(site: Site) -> None:
    listeners = "\n".join(listener(path) for path in (site.mux, site.directory / "side"))
    text = _CONFIGURATION.format(listeners=listeners, site=site, user=USER, group=GROUP)
    site.configuration.write_text(text + (_PAM if os.geteuid() == 0 else ""))


@pytest.fixture(scope="module")
def shared(machine: Path) -> Iterator[tuple[Site, Daemon]]:
    """One daemon for all set-ups that a daemon can have at once."""
    with new_site(machine) as site:
        configure(site)
        for name in ("alice@example.test", "locked@example.test", "guessed@example.test", "old@example.test", "broken@example.test"):
            add(site, name)
        add(site, "device@example.test", "--service", "imap")
        add(site, "office@example.test", "--network", "192.0.2.0/24")
        for realm in ("read", "side", "mail"):
            add(site, f"alice@{realm}.test")
        assert run(site, "user", "lock", "locked@example.test", "--backend", "users").code == 0
        site.sql(_EXPIRED)
        site.sql(_BROKEN)
        with site.serving() as daemon:
            yield site, daemon


@pytest.fixture
def site(shared: tuple[Site, Daemon]) -> Site:
    return shared[0]


REASONS = {
    "a realm of no route": ("alice@nowhere.test", SECRET, (), 77, "none takes it: route[0] wants realm example.test, not nowhere.test;"),
    "a listener of no route": ("alice@side.test", SECRET, (), 77, "route[2] wants listener {side}, not {mux}"),
    "a service of no route": ("alice@mail.test", SECRET, (), 77, "route[3] wants service imap, not smtp"),
    "unknown user": ("nobody@example.test", SECRET, (), 77, "users: rejected: unknown-user"),
    "wrong secret": ("alice@example.test", WRONG, (), 77, "users: rejected: wrong-secret"),
    "locked": ("locked@example.test", SECRET, (), 77, "users: rejected: locked"),
    "expired": ("old@example.test", SECRET, (), 77, "rejected: expired"),
    "a service that the backend is not for": ("alice@read.test", SECRET, (), 77, "readers is not asked: its services are imap, not smtp"),
    "a service that the password is not for": ("device@example.test", SECRET, (), 77, "may not be used: service"),
    "a network that the password is not for": (
        "office@example.test",
        SECRET,
        ("--client-ip", "198.51.100.7"),
        77,
        "may not be used: network",
    ),
    "an address that no client named": ("office@example.test", SECRET, (), 77, "may not be used: network"),
    "a broken record": ("broken@example.test", SECRET, (), 75, "nonesuch"),
    "a name that none may have": ("al\u200bice@example.test", SECRET, (), 77, "before anybody is asked: name holds a control"),
}


@pytest.mark.parametrize("what", REASONS)
def test_trace_names_the_reason(site: Site, what: str) -> None:
    name, secret, words, code, reason = REASONS[what]
    said = traced(site, name, *words, secret=secret)
    assert (said.code, said.err) == (code, "")
    reason = reason.format(mux=site.mux, side=site.directory / "side")
    assert reason in said.out
    assert ("Postfix says 454" if code == 75 else "Postfix says 535") in said.out
    others = [text for other, (_, _, _, _, text) in REASONS.items() if other != what and text and text not in reason and reason not in text]
    assert not [text for text in others if text in said.out]


def test_trace_of_a_good_login_tells_each_step_and_the_cache_answers_the_next(site: Site) -> None:
    assert run(site, "cache", "flush", "alice@example.test").code == 0
    first = traced(site, "alice@example.test")
    assert first.code == 0
    for words in (
        f"{site.mux} (saslauthd): login alice, realm example.test, service smtp",
        "local part alice, realm example.test",
        "route[0] of ",
        "this password is not proved yet",
        "users: accepted, ",
        "in the cache for 60 s",
        "Postfix says 235",
    ):
        assert words in first.out
    second = traced(site, "alice@example.test")
    assert "proved lately, by users for alice@example.test" in second.out
    assert "users: accepted, " not in second.out
    assert run(site, "cache", "flush", "Alice@EXAMPLE.test").out == "Alice@EXAMPLE.test: 1 remembered login forgotten\n"
    assert "this password is not proved yet" in traced(site, "alice@example.test").out


def test_trace_fills_the_cache_that_a_real_client_meets(shared: tuple[Site, Daemon]) -> None:
    site, daemon = shared
    assert run(site, "cache", "flush").code == 0
    assert traced(site, "alice@side.test", "--socket", str(site.directory / "side")).code == 0
    asked = b"".join(len(field).to_bytes(2, "big") + field for field in (b"alice", SECRET.encode(), b"smtp", b"side.test"))
    assert exchange(site.directory / "side", asked) == OK
    daemon.wait_for_line("accepted", "alice@side.test", "cached=yes")


def test_a_traced_login_is_logged_and_counted_like_any_other(shared: tuple[Site, Daemon]) -> None:
    site, daemon = shared

    def counted() -> dict[str, int]:
        found: dict[str, int] = json.loads(run(site, "status", "--json").out)["logins"]
        return found

    before = counted()
    assert run(site, "unblock", "logged@example.test").code == 0
    assert traced(site, "logged@example.test").code == 77
    daemon.wait_for_line("INFO rejected user=logged@example.test service=smtp", f"listener={site.mux}", "reason=unknown-user", " peer=")
    assert traced(site, "lo\tgged@example.test").code == 77
    daemon.wait_for_line("WARNING refused", f"listener={site.mux}", "lo")
    after = counted()
    assert {name: after[name] - before[name] for name in after} == {"accepted": 0, "rejected": 1, "unavailable": 0}


def test_trace_says_why_a_login_costs_nothing(site: Site) -> None:
    assert run(site, "unblock", "alice@example.test").code == 0
    assert run(site, "cache", "flush").code == 0
    assert "costs nothing: the password was right" in traced(site, "alice@example.test").out
    assert "counts as a failed login" in traced(site, "alice@example.test", secret="an old one").out
    repeated = traced(site, "alice@example.test", secret="an old one").out
    assert "costs nothing: the same wrong password counted within the last 10 min already" in repeated


@pytest.mark.parametrize(
    "what", ["300.1.2.3", "192.0.2", "192.0.2.0/24", "1.2.3.4.5", "::g1:".replace("g", ""), "2001:db8:::1", "fe80::/64"]
)
def test_a_mistyped_address_is_not_taken_for_a_user(site: Site, what: str) -> None:
    assert run(site, "unblock", what) == (65, "", f"saslauthd-py: {what}: looks like an IP address, and is none; name one, or a user\n")


@pytest.mark.parametrize("what", ["300.1.2.3@example.test", "1234", "4.5", "alice:1", "192.0.2.1", "2001:db8::1", "cafe"])
def test_what_is_an_address_or_a_name_is_unblocked(site: Site, what: str) -> None:
    assert run(site, "unblock", what) == (0, f"{what}: no failed login counts against it\n", "")


def test_trace_names_a_limit_and_unblock_ends_it(site: Site) -> None:
    assert run(site, "unblock", "guessed@example.test").code == 0
    for number in range(3):
        said = traced(site, "guessed@example.test", secret=f"guess {number}")
        assert said.code == 77
        assert "counts as a failed login" in said.out
    refused = traced(site, "guessed@example.test")
    assert refused.code == 75
    assert "refused, and nobody is asked: too many failed logins of this account; `unblock` ends it" in refused.out
    assert "users:" not in refused.out
    status: dict[str, Any] = json.loads(run(site, "status", "--json").out)
    (near,) = (one for one in status["admission"]["top"] if one["name"] == "guessed@example.test")
    assert (near["kind"], near["limit"]) == ("account", 3)
    assert 2 < near["failures"] <= 3
    assert run(site, "unblock", "guessed@example.test").out == "guessed@example.test: failed logins forgotten\n"
    assert traced(site, "guessed@example.test").code == 0


@pytest.mark.root
def test_trace_names_a_missing_pam_file(site: Site) -> None:
    said = traced(site, "alice")
    assert said.code == 75
    assert "system: unavailable: no file /etc/pam.d/saslauthd-py-test-smtp" in said.out
    assert "Postfix says 454" in said.out


def test_trace_names_a_store_that_is_away_and_status_too(shared: tuple[Site, Daemon]) -> None:
    site, _ = shared
    away = site.store.with_name("away.db")
    site.store.rename(away)
    try:
        said = traced(site, "alice@example.test")
        assert said.code == 75
        assert f"users: unavailable: {site.store}" in said.out
        assert "nobody can tell what has changed: backend " in said.out
        assert "Postfix says 454" in said.out
        check = run(site, "status", "--check")
        assert check.code == 2
        assert check.out.startswith("SASLAUTHD-PY CRITICAL - backend users is unavailable: ")
    finally:
        away.rename(site.store)
    assert traced(site, "alice@example.test").code == 0


def test_trace_is_told_which_listeners_there_are(site: Site) -> None:
    said = traced(site, "alice@example.test", "--socket", "/nonexistent/mux")
    assert said.code == 65
    assert f"it listens at {site.mux}, {site.directory}/side" in said.err


def test_trace_for_programs(site: Site) -> None:
    said = traced(site, "alice@example.test", "--json", secret=WRONG)
    fields: dict[str, Any] = json.loads(said.out)
    assert said.code == 77
    assert fields["verdict"] == "NO"
    assert fields["by"] == str(site.control)
    assert [step["step"] for step in fields["steps"]][:3] == ["asked", "split", "route"]
    assert {"step": "verdict", "reason": "wrong-secret"}.items() <= {**fields["steps"][-1]}.items()
    assert [step["seconds"] for step in fields["steps"]] == sorted(step["seconds"] for step in fields["steps"])


def test_directly_traced_without_a_daemon(site: Site) -> None:
    said = traced(site, "alice@example.test", "--direct", secret=WRONG)
    assert said.code == 77
    assert "route[0] of " in said.out
    assert "users: rejected: wrong-secret" in said.out
    assert "; by this process as " in said.out


def test_status_of_a_daemon(shared: tuple[Site, Daemon]) -> None:
    site, daemon = shared
    said = run(site, "status")
    assert (said.code, said.err) == (0, "")
    assert f"pid {daemon.front}" in said.out
    assert str(site.mux) in said.out
    fields: dict[str, Any] = json.loads(run(site, "status", "--json").out)
    assert {one["name"] for one in fields["backends"]} >= {"users", "readers"}
    assert {one["name"] for one in fields["listeners"]} == {str(site.mux), str(site.directory / "side")}
    assert fields["pid"] == daemon.front


def test_h2_control_socket_is_for_its_owner_alone(site: Site) -> None:
    found = site.control.stat()
    assert found.st_mode & 0o777 == 0o600
    assert found.st_uid == site.store.stat().st_uid


@pytest.mark.root
def test_h2_another_user_is_not_permitted(site: Site) -> None:
    command = [sys.executable, "-m", "saslauthd_py", "status", "--config", str(site.configuration)]
    done = subprocess.run(
        command, env=environment(), cwd="/", user=1, group=1, extra_groups=[], capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 77
    assert b"permission denied" in done.stderr


def test_without_a_daemon(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(site.configuration.read_text().replace(str(site.control), str(tmp_path / "control")))
    here = Site(tmp_path)
    (tmp_path / "saslauthd-py.toml").write_text(other.read_text())
    for words in (("status",), ("reload",), ("cache", "flush"), ("unblock", "x")):
        said = run(here, *words)
        assert said.code == 69
        assert "the daemon does not run" in said.err
    check = run(here, "status", "--check")
    assert (check.code, check.err) == (2, "")
    assert check.out.startswith("SASLAUTHD-PY CRITICAL - nobody listens at ")


def test_wrong_file_is_refused_at_reload_and_status_goes_on(site: Site) -> None:
    before = site.configuration.read_text()
    number = json.loads(run(site, "status", "--json").out)["generation"]
    try:
        site.configuration.write_text(before + "\n[cache]\nmax_entires = 7\n")
        said = run(site, "reload")
        assert said.code == 78
        assert "max_entires" in said.err
        assert "did you mean" in said.err
        assert json.loads(run(site, "status", "--json").out)["generation"] == number
        site.configuration.write_text(before + "\n[cache]\nmax_entries = 7\n")
        assert run(site, "reload") == (0, "reloaded: the configuration as it is now serves\n", "")
        status = json.loads(run(site, "status", "--json").out)
        assert (status["generation"], status["cache"]["most"]) == (number + 1, 7)
    finally:
        site.configuration.write_text(before)
        assert run(site, "reload").code == 0
