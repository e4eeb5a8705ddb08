"""`status` and `test --trace` of a real daemon's Dovecot listeners: what is offered, what is not and why, and each step of a login."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop import dovecot
from tests.interop.daemon import PATIENCE, Site, environment, new_site

SECRET, WRONG = "correct horse", "battery staple"
ALICE, BOB = "alice@example.test", "bob@example.test"
PORT = "127.0.0.1:46123"

_MORE = f"""
[[proxy_user]]
authcid = "{ALICE}"
may_act_as = ["{BOB}"]
"""


def run(site: Site, *words: str, secret: str = "") -> tuple[int, str]:
    command = [sys.executable, "-m", "saslauthd_py", *words, "--config", str(site.configuration)]
    done = subprocess.run(command, env=environment(), cwd="/", input=secret, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert secret not in done.stdout + done.stderr or not secret
    assert done.stderr == "", done.stderr
    return done.returncode, done.stdout


def traced(site: Site, *words: str, name: str = ALICE, secret: str = SECRET) -> tuple[int, str]:
    return run(site, "test", name, "--protocol", "dovecot", "--trace", "--password-stdin", *words, secret=secret)


@pytest.fixture(scope="module")
def shared(machine: Path) -> Iterator[Site]:
    """Two listeners of Dovecot's protocol; one account that has keys, and one that has none."""
    with new_site(machine) as site:
        here = dovecot.listener(site.directory / "auth", more='require_tls = true\nmechanisms = ["PLAIN", "LOGIN", "SCRAM-SHA-256"]\n')
        there = f'[[listen]]\nprotocol = "dovecot"\naddress = "{PORT}"\non_unavailable = "fail"\n'
        site.configure([here, there])
        site.configuration.write_text(site.configuration.read_text() + _MORE)
        site.add(ALICE, SECRET, "--scram")
        site.add(BOB, SECRET)
        with site.serving():
            yield site


def test_status_says_what_is_offered_and_what_keeps_scram_off(shared: Site) -> None:
    _, text = run(shared, "status")
    assert f"  dovecot  {shared.directory}/auth" in text
    assert "PLAIN, LOGIN, SCRAM-SHA-256  an outage: closes the connection\n" in text
    assert "    no SCRAM-SHA-1: the listener's `mechanisms` does not name it\n" in text
    assert "an outage: FAIL with code=temp_fail\n    no SCRAM-SHA-256: backend users: " in text
    first, second = json.loads(run(shared, "status", "--json")[1])["listeners"]
    assert first["mechanisms"] == ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
    assert (second["name"], second["mechanisms"], second["on_unavailable"]) == (PORT, ["PLAIN", "LOGIN"], "fail")
    assert set(second["withheld"]) == {"SCRAM-SHA-256", "SCRAM-SHA-1"}


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
def test_trace_of_each_mechanism(shared: Site, mechanism: str) -> None:
    code, text = traced(shared, "--mechanism", mechanism)
    assert code == 0
    assert (
        f"{shared.directory}/auth (dovecot): login {ALICE}, no realm of its own, service smtp, no client address, {mechanism}, over TLS"
        in text
    )
    assert "local part alice, realm example.test, service smtp" in text
    assert "OK: Postfix says 235" in text
    assert ("the client knows that this server has its keys" in text) == (mechanism == "SCRAM-SHA-256")
    code, text = traced(shared, "--mechanism", mechanism, secret=WRONG)
    assert code == 77
    assert "rejected: wrong-secret" in text
    assert "FAIL: Postfix says 535" in text


def test_trace_of_scram_for_one_who_has_no_keys_names_the_decoy(shared: Site) -> None:
    code, text = traced(shared, "--mechanism", "SCRAM-SHA-256", name=BOB)
    assert code == 77
    assert "made up, for the proof to fail by: rejected: no-credential" in text


def test_trace_of_one_who_acts_as_another(shared: Site) -> None:
    code, text = traced(shared, "--authzid", BOB)
    assert code == 0
    assert f"accepted, for {ALICE} as {BOB}" in text
    code, text = traced(shared, "--authzid", ALICE, name=BOB)
    assert code == 77
    assert f"{BOB} may not act as {ALICE}: no [[proxy_user]] says so" in text


def test_trace_without_tls_names_require_tls(shared: Site) -> None:
    code, text = traced(shared, "--no-tls")
    assert code == 77
    assert "PLAIN without TLS, and require_tls is set" in text


def test_trace_of_a_mechanism_that_is_not_offered_says_why(shared: Site) -> None:
    code, text = traced(shared, "--mechanism", "SCRAM-SHA-256", "--address", PORT)
    assert code == 77
    assert "SCRAM-SHA-256 is not offered: backend users: " in text


def test_trace_fills_the_cache_that_a_real_client_meets(shared: Site) -> None:
    assert run(shared, "cache", "flush")[0] == 0
    assert traced(shared)[0] == 0
    with dovecot.greeted(shared.directory / "auth") as client:
        reply = client.ask(b"AUTH\t1\tPLAIN\tservice=smtp\tsecured\tresp=" + dovecot.plain(ALICE, SECRET))
    assert reply.startswith(b"OK\t1\tuser=alice@example.test")
    assert "proved lately" in traced(shared)[1]


def test_directly_traced_without_a_daemon(shared: Site) -> None:
    code, text = run(
        shared,
        "test",
        ALICE,
        "--protocol",
        "dovecot",
        "--direct",
        "--trace",
        "--mechanism",
        "SCRAM-SHA-256",
        "--password-stdin",
        secret=SECRET,
    )
    assert code == 0
    assert "the client knows that this server has its keys" in text
    assert "mechanism=SCRAM-SHA-256" in text


def test_trace_for_programs(shared: Site) -> None:
    fields: dict[str, Any] = json.loads(traced(shared, "--json", "--mechanism", "SCRAM-SHA-256")[1])
    assert fields["verdict"] == "OK"
    names = [step["step"] for step in fields["steps"]]
    assert names[:3] == ["asked", "split", "route"]
    assert {"keys", "proof", "signature", "verdict"} <= set(names)
