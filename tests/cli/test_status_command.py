"""`status` for people and for Nagios, from a status as the daemon sends it; and where the daemon is looked for."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from saslauthd_py.control.status import (
    AdmissionStatus,
    BackendStatus,
    CacheStatus,
    ConnectionsStatus,
    LimitedStatus,
    ListenerStatus,
    LoginsStatus,
    State,
    Status,
    TurnsStatus,
    WorkersStatus,
)
from tests.cli.commands import Outcome, invoke
from tests.cli.sites import Site

_FREE = TurnsStatus(64, 0, 0)
_USERS = BackendStatus("users", "store", State.OK, "", 10, 0, 1.234, _FREE)
_SYSTEM = BackendStatus("system", "pam", State.UNASKED, "", 0, 0, None, TurnsStatus(4, 0, 0), WorkersStatus(4, 0))
_STATUS = Status(
    version="1.2",
    uptime=93784.5,
    generation=2,
    pid=40,
    monitor_pid=39,
    listeners=(
        ListenerStatus("saslauthd", "/run/mux"),
        ListenerStatus(
            "dovecot", "/run/auth", ("PLAIN", "LOGIN", "SCRAM-SHA-256"), {"SCRAM-SHA-1": "backend users: none has keys"}, "close"
        ),
        ListenerStatus("dovecot", "127.0.0.1:12345", ("PLAIN",), dict.fromkeys(("SCRAM-SHA-256", "SCRAM-SHA-1"), "not named"), "fail"),
    ),
    connections=ConnectionsStatus(3, 100),
    logins=LoginsStatus(7, 2, 1),
    cache=CacheStatus(5, 1000, 0.25),
    hashing=TurnsStatus(2, 1, 0),
    admission=AdmissionStatus(4, 1, (LimitedStatus("pair", "al from 192.0.2.0/24", 9.5, 10), LimitedStatus("account", "", 1.0, 30))),
    backends=(_USERS, _SYSTEM),
)


@contextmanager
def answering(site: Site, answer: dict[str, Any]) -> Iterator[None]:
    """One request at the control socket of a site."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{site.mux}.control")
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(json.dumps(answer).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()
        Path(f"{site.mux}.control").unlink()


def asked(site: Site, status: dict[str, Any], *words: str) -> Outcome:
    with answering(site, {"done": status}):
        return invoke("status", *words, "--config", site.configuration)


def test_status_for_people(site: Site) -> None:
    assert asked(site, _STATUS.to_json()) == (
        0,
        """\
saslauthd-py 1.2, up 1 d 2 h, generation 2, pid 40, monitor 39
logins       7 accepted, 2 rejected, 1 unavailable
connections  3 of 100
cache        5 of 1000, 25.0% of all logins answered from it
hashes       1 of 2 places, 0 waiting
listeners
  saslauthd  /run/mux
  dovecot    /run/auth        PLAIN, LOGIN, SCRAM-SHA-256  an outage: closes the connection
    no SCRAM-SHA-1: backend users: none has keys
  dovecot    127.0.0.1:12345  PLAIN                        an outage: FAIL with code=temp_fail
    no SCRAM-SHA-256: not named
    no SCRAM-SHA-1: not named
backends
  users   store  ok       1.2 ms  10 asked, 0 outages  0 of 64 places, 0 waiting
  system  pam    unasked  -       0 asked, 0 outages   0 of 4 places, 0 waiting; workers 0 busy, 4 idle
admission    4 users have logged in lately and are not limited, 1 login refused by a limit
near a limit
  pair     al from 192.0.2.0/24   9.5 of 10 failed logins
  account  names without a route  1.0 of 30 failed logins
""",
        "",
    )


def test_servers_that_are_down_stand_below_their_backend(site: Site) -> None:
    lines = asked(site, _with(down={"ldap://a": "refused", "ldap://b": "silent"})).out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("  users   store "))
    assert lines[place + 1 : place + 3] == ["    ldap://a is down: refused", "    ldap://b is down: silent"]


def test_status_for_programs(site: Site) -> None:
    outcome = asked(site, _STATUS.to_json(), "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out) == json.loads(json.dumps(_STATUS.to_json()))


def test_all_is_well(site: Site) -> None:
    outcome = asked(site, _STATUS.to_json(), "--check")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "SASLAUTHD-PY OK - up 1 d 2 h, generation 2, users ok, system unasked | uptime=93784s generation=2 accepted=7c rejected=2c "
        "unavailable=1c limited=1c connections=3;90;;0;100 cache_entries=5;;;0;1000 hashes_waiting=0 users_time=0.001234s users_waiting=0 "
        "system_waiting=0\n"
    )


def _with(**changes: Any) -> dict[str, Any]:
    """The status with other facts of the backend `users`."""
    status = _STATUS.to_json()
    status["backends"][0].update(changes)
    return status


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (_with(state="failing", cause="no store"), 1, "WARNING - backend users had an outage: no store"),
        (_with(state="unavailable", cause="a|b"), 2, "CRITICAL - backend users is unavailable: a/b"),
        (_with(down={"ldap://a": "refused"}), 1, "WARNING - backend users: ldap://a is down: refused"),
        (_with(down={"ldap://a": "x"}, state="unavailable", cause="y"), 2, "CRITICAL - backend users is unavailable: y |"),
        (_with(workers={"idle": 0, "busy": 0}), 2, "CRITICAL - backend users has no worker"),
        (_with(workers={"idle": 0, "busy": 1}), 0, "OK"),
        (_with(turns={"places": 4, "busy": 4, "waiting": 5}), 1, "WARNING - backend users: 5 logins wait for 4 places"),
        (_with(turns={"places": 4, "busy": 4, "waiting": 4}), 0, "OK"),
        (_STATUS.to_json() | {"connections": {"open": 90, "most": 100}}, 1, "WARNING - 90 of 100 connections are open"),
        (_STATUS.to_json() | {"connections": {"open": 89, "most": 100}}, 0, "OK"),
        (_STATUS.to_json() | {"hashing": {"places": 2, "busy": 2, "waiting": 21}}, 1, "WARNING - 21 hashes wait for 2 places"),
        (_STATUS.to_json() | {"hashing": {"places": 2, "busy": 2, "waiting": 20}}, 0, "OK"),
    ],
)
def test_what_is_not_well(site: Site, status: dict[str, Any], code: int, text: str) -> None:
    outcome = asked(site, status, "--check")
    assert (outcome.code, outcome.err) == (code, "")
    assert outcome.out.startswith(f"SASLAUTHD-PY {text}")
    assert outcome.out.count("|") == 1
    assert outcome.out.count("\n") == 1


def test_the_worst_comes_first(site: Site) -> None:
    status = _with(state="unavailable", cause="gone") | {"connections": {"open": 100, "most": 100}}
    outcome = asked(site, status, "--check")
    assert outcome.code == 2
    assert outcome.out.startswith("SASLAUTHD-PY CRITICAL - backend users is unavailable: gone; 100 of 100 connections are open | ")


@pytest.mark.parametrize(
    ("answer", "code"),
    [({"failed": "denied", "text": "no"}, 77), ({"failed": "unavailable", "text": "a bug"}, 75), ({"done": {}}, 75), ({}, 75)],
)
def test_a_daemon_that_cannot_be_asked_is_unknown(site: Site, answer: dict[str, Any], code: int) -> None:
    with answering(site, answer):
        assert invoke("status", "--config", site.configuration).code == code
    with answering(site, answer):
        outcome = invoke("status", "--check", "--config", site.configuration)
    assert (outcome.code, outcome.err) == (3, "")
    assert outcome.out.startswith("SASLAUTHD-PY UNKNOWN - ")


def test_no_daemon_is_critical_and_no_configuration_is_unknown(site: Site, tmp_path: Path) -> None:
    assert invoke("status", "--check", "--config", site.configuration).code == 2
    assert invoke("status", "--check", "--config", str(tmp_path / "none")).code == 3
    assert invoke("status", "--config", str(tmp_path / "none")).code == 66


def test_a_daemon_is_found_while_its_file_is_wrong_elsewhere(site: Site) -> None:
    site.configure("[servr]")
    assert asked(site, _STATUS.to_json()).code == 0


def test_a_file_that_is_no_toml_is_told(site: Site) -> None:
    site.configure("[servr")
    outcome = invoke("status", "--config", site.configuration)
    assert outcome.code == 78
    assert "not TOML" in outcome.error


@pytest.mark.parametrize(
    ("words", "facts", "line"),
    [
        (["reload"], {}, "reloaded: the configuration as it is now serves"),
        (["cache", "flush"], {"proofs": 12}, "all users: 12 remembered logins forgotten"),
        (["cache", "flush"], {"proofs": 1}, "all users: 1 remembered login forgotten"),
        (["cache", "flush", "al"], {"proofs": 0}, "al: 0 remembered logins forgotten"),
        (["unblock", "192.0.2.1"], {"limits": 3}, "192.0.2.1: failed logins forgotten"),
        (["unblock", "al"], {"limits": 0}, "al: no failed login counts against it"),
    ],
)
def test_what_was_done_is_told(site: Site, words: list[str], facts: dict[str, Any], line: str) -> None:
    with answering(site, {"done": facts}):
        assert invoke(*words, "--config", site.configuration) == (0, line + "\n", "")


def test_what_a_reload_could_not_do_is_a_warning(site: Site) -> None:
    with answering(site, {"done": {"warnings": ["the log stays", "no route uses it"]}}):
        outcome = invoke("reload", "--config", site.configuration)
    assert (outcome.code, outcome.out) == (0, "reloaded: the configuration as it is now serves\n")
    assert outcome.err == "saslauthd-py: warning: the log stays\nsaslauthd-py: warning: no route uses it\n"


def test_every_fault_of_a_new_configuration_is_told(site: Site) -> None:
    with answering(site, {"failed": "configuration", "text": "f:1: a\nf:2: b"}):
        outcome = invoke("reload", "--config", site.configuration)
    assert outcome == (78, "", "saslauthd-py: f:1: a\nsaslauthd-py: f:2: b\n")


def test_trace_tells_of_one_login(site: Site) -> None:
    outcome = invoke("test", "al", "--trace", "--count", "2", "--password-stdin", "--config", site.configuration, stdin=b"x")
    assert (outcome.code, outcome.error) == (64, "--trace: tells of one login; leave --count out")


def test_a_step_of_another_version_is_shown_as_it_is(site: Site) -> None:
    lines = b'{"step": "magic", "seconds": 0.5, "facts": {"word": "abra\\u001b"}}\n{"step": "split", "seconds": 1, "facts": {"x": 1}}\n'
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{site.mux}.control")
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(lines + b'{"done": {"verdict": "unavailable"}}\n')

        thread = threading.Thread(target=serve)
        thread.start()
        outcome = invoke("test", "al", "--trace", "--password-stdin", "--config", site.configuration, stdin=b"geheim")
        thread.join()
    assert outcome.code == 75
    assert "   500.0 ms  magic       word abra\\x1b\n" in outcome.out
    assert "  1000.0 ms  split       x 1\n" in outcome.out
    assert "Postfix says 454" in outcome.out
    assert "geheim" not in outcome.out
