"""SCRAM by scramp, a client not written here, at the daemon's own Dovecot socket; with one that has the wrong signature in between."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from scramp import ScramClient, ScramException  # type: ignore[import-untyped]  # scramp has no type hints

from tests.interop import dovecot
from tests.interop.daemon import Daemon, Site, new_site
from tests.interop.dovecot import ASKED, Client
from tests.interop.outages import store_moved_away
from tests.interop.relay import relaying
from tests.interop.scram_signature import forged

ALICE, BOB, CAROL = "alice@example.test", "bob, of=test", "carol@example.test"
PASSWORDS = {ALICE: "pw1", BOB: "p,w=2 üß", CAROL: "pw3"}
"""Carol's account has no SCRAM keys."""
FAILED = b"\treason=invalid user name or password"


@pytest.fixture(scope="module")
def served(machine: Path) -> Iterator[tuple[Site, Daemon]]:
    with new_site(machine) as site:
        site.configure([dovecot.listener(site.mux, more=dovecot.offering((*dovecot.SCRAM, "PLAIN", "LOGIN")))])
        for name, password in PASSWORDS.items():
            site.add(name, password, *([] if name == CAROL else ["--scram"]))
        with site.serving() as daemon:
            yield site, daemon


@pytest.fixture
def path(served: tuple[Site, Daemon]) -> Path:
    return served[0].mux


def sent(message: str) -> bytes:
    return base64.b64encode(message.encode())


def heard(line: bytes) -> str:
    """The message of a CONT."""
    kind, _, message = line.split(b"\t")
    assert kind == b"CONT", line
    return base64.b64decode(message).decode()


def up_to_proof(client: Client, scram: ScramClient, mechanism: str, *, initial: bool = True) -> bytes:
    """What is answered to the proof of request 7, which is of a client that takes no final data with OK."""
    auth = b"AUTH\t7\t%b\t%b" % (mechanism.encode(), ASKED)
    first = sent(scram.get_client_first())
    if initial:
        challenge = client.ask(b"%b\tresp=%b" % (auth, first))
    else:
        assert client.ask(auth) == b"CONT\t7\t"
        challenge = client.ask(b"CONT\t7\t%b" % first)
    scram.set_server_first(heard(challenge))
    return client.ask(b"CONT\t7\t%b" % sent(scram.get_client_final()))


@pytest.mark.parametrize("minor", [0, 2])
@pytest.mark.parametrize("initial", [True, False], ids=["initial response", "prompted"])
@pytest.mark.parametrize("mechanism", dovecot.SCRAM)
@pytest.mark.parametrize("name", [ALICE, BOB])
def test_scramp_logs_in_and_finds_the_signature_right(path: Path, name: str, mechanism: str, initial: bool, minor: int) -> None:
    scram = ScramClient([mechanism], name, PASSWORDS[name])
    with dovecot.greeted(path, minor) as client:
        scram.set_server_final(heard(up_to_proof(client, scram, mechanism, initial=initial)))
        assert client.ask(b"CONT\t7\t") == b"OK\t7\tuser=" + name.encode()


@pytest.mark.parametrize("mechanism", dovecot.SCRAM)
def test_scramp_with_final_resp_ok_gets_the_signature_with_ok(path: Path, mechanism: str) -> None:
    scram = ScramClient([mechanism], ALICE, "pw1")
    with dovecot.greeted(path) as client:
        asked = b"AUTH\t7\t%b\t%b\tfinal-resp-ok\tresp=%b" % (mechanism.encode(), ASKED, sent(scram.get_client_first()))
        scram.set_server_first(heard(client.ask(asked)))
        accepted, _, final = client.ask(b"CONT\t7\t%b" % sent(scram.get_client_final())).rpartition(b"\tresp=")
        assert accepted == b"OK\t7\tuser=" + ALICE.encode()
        scram.set_server_final(base64.b64decode(final).decode())


@pytest.mark.parametrize("mechanism", dovecot.SCRAM)
@pytest.mark.parametrize(
    ("name", "password"),
    [
        pytest.param(ALICE, "pw1x", id="wrong"),
        pytest.param("nosuch@example.test", "pw1", id="unknown user"),
        pytest.param("alice", "pw1", id="realm missing"),
        pytest.param(CAROL, "pw3", id="no keys"),
    ],
)
def test_f3_scramp_wrong_login_fails_at_the_proof_whatever_the_cause(path: Path, name: str, password: str, mechanism: str) -> None:
    scram = ScramClient([mechanism], name, password)
    with dovecot.greeted(path) as client:
        assert up_to_proof(client, scram, mechanism) == b"FAIL\t7\tuser=" + name.encode() + FAILED
        again = ScramClient([mechanism], ALICE, "pw1")
        assert heard(up_to_proof(client, again, mechanism)).startswith("v=")


@pytest.mark.parametrize("mechanism", dovecot.SCRAM)
def test_f3_scramp_salt_and_rounds_of_a_name_are_the_same_each_time_and_after_a_restart(
    served: tuple[Site, Daemon], path: Path, mechanism: str
) -> None:
    def offered(name: str) -> tuple[str, str]:
        with dovecot.greeted(path) as client:
            first = sent(ScramClient([mechanism], name, "x").get_client_first())
            challenge = heard(client.ask(b"AUTH\t1\t%b\t%b\tresp=%b" % (mechanism.encode(), ASKED, first)))
        _, salt, rounds = challenge.rsplit(",", 2)
        return salt, rounds

    names = (ALICE, CAROL, "nosuch@example.test", "nobody@example.test")
    before = [offered(name) for name in names]
    assert before == [offered(name) for name in names]
    assert len({salt for salt, _ in before}) == len(names)
    assert len({rounds for _, rounds in before}) == 1
    served[1].restart()
    assert before == [offered(name) for name in names]


@pytest.mark.parametrize("mechanism", dovecot.SCRAM)
def test_scramp_does_not_trust_a_wrong_server_signature(served: tuple[Site, Daemon], mechanism: str) -> None:
    site, _ = served
    scram = ScramClient([mechanism], ALICE, "pw1")
    between = site.directory / "between"
    with relaying(between, site.mux, change=forged), dovecot.greeted(between) as client:
        final = heard(up_to_proof(client, scram, mechanism))
        assert final.startswith("v=")
        with pytest.raises(ScramException):
            scram.set_server_final(final)


@pytest.mark.parametrize("mechanism", dovecot.SCRAM)
def test_c6_scramp_old_password_is_refused_once_the_command_has_returned(served: tuple[Site, Daemon], path: Path, mechanism: str) -> None:
    site, _ = served
    name = f"dave-{mechanism.lower()}@example.test"
    site.add(name, "pw1", "--scram")
    with dovecot.greeted(path) as client:
        assert heard(up_to_proof(client, ScramClient([mechanism], name, "pw1"), mechanism)).startswith("v=")
        assert client.ask(b"CONT\t7\t") == b"OK\t7\tuser=" + name.encode()
        site.passwd(name, "pw2")
        assert up_to_proof(client, ScramClient([mechanism], name, "pw1"), mechanism).startswith(b"FAIL\t7\t")


def test_c6_scramp_password_changed_amid_the_exchange_is_no_login_with_the_old_one(served: tuple[Site, Daemon], path: Path) -> None:
    """The challenge was made from the old keys; when the proof comes they are no longer the account's."""
    site, _ = served
    name = "erin@example.test"
    site.add(name, "pw1", "--scram")
    scram = ScramClient(["SCRAM-SHA-256"], name, "pw1")
    with dovecot.greeted(path) as client:
        first = sent(scram.get_client_first())
        scram.set_server_first(heard(client.ask(b"AUTH\t7\tSCRAM-SHA-256\t%b\tresp=%b" % (ASKED, first))))
        site.passwd(name, "pw2")
        assert client.ask(b"CONT\t7\t%b" % sent(scram.get_client_final())).startswith(b"FAIL\t7\t")


@pytest.mark.parametrize("outage_before", ["AUTH", "CONT"])
@pytest.mark.parametrize(("on_unavailable", "told"), [("fail", b"FAIL\t7\t"), ("close", b"")])
def test_c6_scramp_store_moved_away_is_an_outage_and_back_is_a_login(
    site: Site, on_unavailable: str, told: bytes, outage_before: str
) -> None:
    """Before the challenge is asked for, and before the proof is sent: neither a login nor a wrong password."""
    more = f'on_unavailable = "{on_unavailable}"\n' + dovecot.offering(dovecot.SCRAM)
    site.configure([dovecot.listener(site.mux, more=more)])
    site.add(ALICE, "pw1", "--scram")
    with site.serving():
        scram = ScramClient(["SCRAM-SHA-256"], ALICE, "pw1")
        asked = b"AUTH\t7\tSCRAM-SHA-256\t%b\tresp=%b" % (ASKED, sent(scram.get_client_first()))
        with dovecot.greeted(site.mux) as client:
            if outage_before == "CONT":
                scram.set_server_first(heard(client.ask(asked)))
                asked = b"CONT\t7\t%b" % sent(scram.get_client_final())
            with store_moved_away(site):
                answer = client.ask(asked)
            assert answer.startswith(told)
            assert (b"code=temp_fail" in answer) is (on_unavailable == "fail"), answer
        with dovecot.greeted(site.mux) as client:
            assert heard(up_to_proof(client, ScramClient(["SCRAM-SHA-256"], ALICE, "pw1"), "SCRAM-SHA-256")).startswith("v=")
