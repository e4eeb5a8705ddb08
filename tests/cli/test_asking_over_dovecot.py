"""`test --protocol dovecot`: a login as Postfix makes one, with every mechanism, and what it says of every way to be answered."""

from __future__ import annotations

import json
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from saslauthd_py.cli.dovecot_client import Login, ask
from saslauthd_py.cli.parser import MECHANISMS
from saslauthd_py.cli.socket_client import Answer, Tcp, tcp
from saslauthd_py.mechanisms import table
from saslauthd_py.mechanisms.client import Credentials
from saslauthd_py.secret import Secret
from saslauthd_py.wire.dovecot import MailClient
from tests.cli.commands import Outcome, forked, invoke
from tests.cli.dovecot_servers import NAME, PASSWORD, Conduct, serving
from tests.cli.peers import answering
from tests.cli.sites import Site

DOVECOT = ("--protocol", "dovecot")
WITH_SECRET = [mechanism for mechanism in MECHANISMS if mechanism != "EXTERNAL"]
SCRAM = [mechanism for mechanism in MECHANISMS if mechanism.startswith("SCRAM")]
VERSION = b"VERSION\t1\t2\n"


def test_the_parser_knows_the_mechanisms_of_the_table() -> None:
    assert tuple(table.MECHANISMS) == MECHANISMS


def tried(path: Path | str, *words: str, user: str = NAME, secret: bytes = PASSWORD) -> Outcome:
    return invoke("test", user, *DOVECOT, "--socket", str(path), "--password-stdin", *words, stdin=secret)


def fields(outcome: Outcome) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(outcome.out)
    return told


@pytest.mark.parametrize("mechanism", WITH_SECRET)
@pytest.mark.parametrize("piece", [1, 65536])
def test_every_mechanism_says_right_and_wrong(tmp_path: Path, mechanism: str, piece: int) -> None:
    path = tmp_path / "auth"
    with serving(path, Conduct(piece=piece)) as server:
        right, wrong = (tried(path, "--mechanism", mechanism.lower(), "--json", secret=secret) for secret in (PASSWORD, b"battery"))
    assert [auth.mechanism for auth in server.asked] == [mechanism] * 2
    assert (right.code, wrong.code) == (0, 77)
    told = fields(right)
    assert 0 < told.pop("seconds")["median"] < 20
    assert told == {
        "verdict": "OK",
        "meaning": f"accepted, user {NAME}",
        "by": str(path),
        "login": NAME,
        "realm": "",
        "service": "smtp",
        "mechanism": mechanism,
        "authzid": "",
        "user": NAME,
        "tries": {"OK": 1, "NO": 0, "unavailable": 0},
    }
    told = fields(wrong)
    assert (told["verdict"], told["meaning"]) == ("NO", "rejected, reason invalid user name or password")
    assert told["reason"] == "invalid user name or password"
    assert PASSWORD.decode() not in right.out + wrong.out + right.err + wrong.err


def test_for_people_it_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "auth"
    with serving(path):
        outcome = tried(path, secret=b"battery")
    assert outcome.code == 77
    assert outcome.out.startswith("NO  ")
    reason = "rejected, reason invalid user name or password"
    assert outcome.out.endswith(f" ms  {reason} (login {NAME}, service smtp, mechanism PLAIN; by {path})\n")


def test_the_request_is_postfix_s(tmp_path: Path) -> None:
    with answering(tmp_path, VERSION + b"MECH\tPLAIN\tplaintext\nSPID\t1\nDONE\n") as peer:
        assert tried(peer.path).code == 75  # it closes then
    with serving(tmp_path / "auth") as server:
        assert tried(tmp_path / "auth").code == 0
        assert tried(tmp_path / "auth", "--service", "imap", "--client-ip", "2001:DB8::1", "--no-tls").code == 0
    (first, second), (greeting,) = server.asked, peer.received
    assert greeting.startswith(b"VERSION\t1\t0\nCPID\t")
    assert (first.service, first.client) == (b"smtp", MailClient(secured=True))
    assert (second.service, second.client) == (b"imap", MailClient(ip_address("2001:db8::1")))
    assert first.initial == Secret(b"\0" + NAME.encode() + b"\0" + PASSWORD)
    assert not first.request.final_resp_ok


@pytest.mark.parametrize("mechanism", ["PLAIN", *SCRAM])
def test_authzid_is_sent(tmp_path: Path, mechanism: str) -> None:
    with serving(tmp_path / "auth"):
        outcome = tried(tmp_path / "auth", "--authzid", "office@example.org", "--mechanism", mechanism, "--json")
    assert (outcome.code, fields(outcome)["user"], fields(outcome)["authzid"]) == (0, "office@example.org", "office@example.org")


def test_external_asks_for_no_password_and_vouches_for_a_certificate(tmp_path: Path) -> None:
    with serving(tmp_path / "auth") as server:
        outcome = invoke("test", NAME, *DOVECOT, "--mechanism", "external", "--socket", str(tmp_path / "auth"))
    assert outcome.code == 0
    (auth,) = server.asked
    assert (auth.mechanism, auth.initial, auth.client.certificate_user) == ("EXTERNAL", Secret(b""), NAME.encode())


def test_over_tcp(tmp_path: Path) -> None:
    with serving(None) as server:
        host, port = server.address
        outcome = invoke("test", NAME, *DOVECOT, "--address", f"{host}:{port}", "--password-stdin", stdin=PASSWORD)
    assert outcome.code == 0
    assert outcome.out.endswith(f"; by {host}:{port})\n")
    refused = invoke("test", NAME, *DOVECOT, "--address", f"{host}:{port}", "--password-stdin", stdin=PASSWORD)
    assert (refused.code, refused.error) == (69, f"nobody listens at {host}:{port}: is the daemon running, and is this its socket?")


def test_several_tries_are_a_connection_each(tmp_path: Path) -> None:
    with serving(tmp_path / "auth") as server:
        outcome = tried(tmp_path / "auth", "--count", "3", "--json")
    assert (outcome.code, fields(outcome)["tries"]["OK"]) == (0, 3)
    assert [len(session.asked) for session in server.sessions] == [1, 1, 1]


def test_a_closed_connection_is_unavailable(tmp_path: Path) -> None:
    with serving(tmp_path / "auth", Conduct(unavailable="close")):
        outcome = tried(tmp_path / "auth")
    assert outcome.code == 75
    assert "unavailable  " in outcome.out
    assert "closed without an answer: a mail server says 454, try later" in outcome.out


def test_a_temporary_failure_is_unavailable_and_told_with_what_an_mta_makes_of_it(tmp_path: Path) -> None:
    with serving(tmp_path / "auth", Conduct(unavailable="fail")):
        outcome = tried(tmp_path / "auth", "--json")
    told = fields(outcome)
    assert (outcome.code, told["verdict"], told["code"]) == (75, "unavailable", "temp_fail")
    meaning = "a temporary failure, which Postfix and Exim take for a wrong password all the same"
    assert told["meaning"] == f"{meaning}, reason temporary authentication failure, try again later, code temp_fail"


@pytest.mark.parametrize("mechanism", SCRAM)
def test_a_wrong_server_signature_is_65_and_told_as_what_it_is(tmp_path: Path, mechanism: str) -> None:
    path = tmp_path / "auth"
    with serving(path, Conduct(server_key=b"another server's")):
        outcome = tried(path, "--mechanism", mechanism)
    why = "SCRAM with a wrong server signature: this server has not the keys of this password"
    assert (outcome.code, outcome.out, outcome.error) == (65, "", f"{path}: the server is not to be trusted: {why}")


@pytest.mark.parametrize("mechanism", ["LOGIN", *SCRAM])
def test_an_ok_that_nothing_was_proved_for_is_not_believed(tmp_path: Path, mechanism: str) -> None:
    with serving(tmp_path / "auth", Conduct(believes=True)):
        outcome = tried(tmp_path / "auth", "--mechanism", mechanism)
    assert outcome.code == 65
    assert "the server is not to be trusted: a success before the exchange was over" in outcome.error


def test_too_few_rounds_are_not_hashed_with(tmp_path: Path) -> None:
    with serving(tmp_path / "auth", Conduct(rounds=1000)):
        outcome = tried(tmp_path / "auth", "--mechanism", "SCRAM-SHA-256")
    assert outcome.code == 65
    assert "1000 rounds" in outcome.error


def test_a_mechanism_that_is_not_offered_is_65_with_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "auth"
    with serving(path, Conduct(mechanisms=("PLAIN", "LOGIN"))) as server:
        outcome = tried(path, "--mechanism", "SCRAM-SHA-256")
    assert (outcome.code, outcome.error) == (65, f"{path}: SCRAM-SHA-256 is not offered, only PLAIN, LOGIN")
    assert not server.asked


@pytest.mark.parametrize(
    ("hello", "line"),
    [
        (VERSION + b"SPID\t4711\n", "auth-master/userdb socket"),
        (b"220 mx.example.org ESMTP\r\n", "its first line is not VERSION"),
        (b"VERSION\t2\t0\n", "its protocol is not version 1"),
        (VERSION + b"DONE\n", "it offers no mechanism"),
        (VERSION + b"x" * 20000, "a line of more than 16384 bytes"),
    ],
)
def test_another_protocol_is_65(tmp_path: Path, hello: bytes, line: str) -> None:
    with answering(tmp_path, hello) as peer:
        outcome = tried(peer.path)
    assert (outcome.code, outcome.out) == (65, "")
    assert outcome.error.startswith(f"{peer.path}: ")
    assert line in outcome.error


def test_a_server_that_closes_within_its_hello_is_unavailable(tmp_path: Path) -> None:
    with answering(tmp_path, VERSION) as peer:
        assert tried(peer.path).code == 75


def test_a_server_that_never_answers_is_left_in_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "auth"))
        listener.listen()
        login = Login("PLAIN", Credentials(NAME, Secret(PASSWORD)))
        assert ask(str(tmp_path / "auth"), login, patience=0.05).answer is Answer.LATE


@pytest.mark.parametrize(
    ("words", "secret", "line"),
    [
        ((), b"x" * 13000, "this login cannot be sent: a line of"),
        (("--mechanism", "SCRAM-SHA-256"), b"p\xe4ss", "this login cannot be sent: a password that is not UTF-8 has no SCRAM keys"),
    ],
)
def test_what_cannot_be_sent_is_65(tmp_path: Path, words: tuple[str, ...], secret: bytes, line: str) -> None:
    with serving(tmp_path / "auth"):
        outcome = tried(tmp_path / "auth", *words, secret=secret)
    assert (outcome.code, outcome.out) == (65, "")
    assert outcome.error.startswith(line)


def test_a_name_that_is_not_utf8_is_sent_as_it_is_and_not_by_scram(tmp_path: Path) -> None:
    with serving(tmp_path / "auth") as server:
        assert tried(tmp_path / "auth", user="j\udcfcrgen").code == 77
        scram = tried(tmp_path / "auth", "--mechanism", "SCRAM-SHA-1", user="j\udcfcrgen")
    assert server.asked[0].initial == Secret(b"\0j\xfcrgen\0" + PASSWORD)
    assert (scram.code, scram.error) == (65, "this login cannot be sent: SCRAM cannot carry a name that is not UTF-8")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((*DOVECOT, "--socket", "/x", "--realm", "example.org"), "--realm: a realm is part of the name here, USER@REALM"),
        (("--socket", "/x", "--mechanism", "LOGIN"), "--mechanism: only --protocol dovecot has that"),
        (("--socket", "/x", "--authzid", "x"), "--authzid: only --protocol dovecot has that"),
        (("--socket", "/x", "--no-tls"), "--no-tls: only --protocol dovecot has that"),
        (("--address", "127.0.0.1:1", "--realm", "x"), "--realm: a realm is part of the name here, USER@REALM"),
        (("--protocol", "saslauthd", "--address", "127.0.0.1:1"), "--address: only --protocol dovecot has that"),
        (("--socket", "/x", "--protocol", "pwcheck", "--no-tls"), "--no-tls: a pwcheck request is a name and a password"),
        (
            (*DOVECOT, "--socket", "/x", "--mechanism", "EXTERNAL", "--password-stdin"),
            "EXTERNAL has no password: leave --password-stdin and",
        ),
        ((*DOVECOT, "--mechanism", "NTLM"), "argument --mechanism: invalid choice: 'NTLM'"),
        ((*DOVECOT, "--address", "localhost"), "argument --address: 'localhost' is no HOST:PORT, such as 127.0.0.1:12345"),
        ((*DOVECOT, "--address", "localhost:1", "--socket", "/x"), "argument --socket: not allowed with argument --address"),
    ],
)
def test_what_makes_no_sense_is_64_before_a_password_is_asked_for(words: tuple[str, ...], line: str) -> None:
    outcome = invoke("test", NAME, *words)
    assert (outcome.code, outcome.out) == (64, "")
    assert outcome.error.startswith(line)


@pytest.mark.parametrize(
    ("text", "where"),
    [("127.0.0.1:25", Tcp("127.0.0.1", 25)), ("[::1]:65535", Tcp("::1", 65535)), ("auth.example:1", Tcp("auth.example", 1))],
)
def test_addresses_are_read_as_they_are_written(text: str, where: Tcp) -> None:
    assert tcp(text) == where
    assert str(where) == text


@pytest.mark.parametrize("text", ["", ":1", "x", "x:", "x:0", "x:65536", "x:1a", "::1:25", "[::1]", "[]:1", "x:²"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no HOST:PORT"):
        tcp(text)


def test_socket_comes_from_the_first_listener_of_the_protocol(site: Site) -> None:
    words = ("test", NAME, *DOVECOT, "--password-stdin", "--config", site.configuration)
    outcome = invoke(*words, stdin=PASSWORD)
    assert (outcome.code, "no [[listen]] of protocol dovecot" in outcome.error) == (78, True)
    site.configure(f'[[listen]]\nprotocol = "dovecot"\npath = "{site.directory}/auth"')
    with serving(site.directory / "auth"):
        assert invoke(*words, stdin=PASSWORD).code == 0
    with serving(None) as server:
        host, port = server.address
        site.configure(f'[[listen]]\nprotocol = "dovecot"\naddress = "{host}:{port}"')
        outcome = invoke(*words, stdin=PASSWORD)
    assert outcome.code == 0
    assert f"by {host}:{port}" in outcome.out


def test_the_first_listener_says_how_to_ask_where_the_command_line_does_not(site: Site) -> None:
    site.configure()
    file = Path(site.configuration)
    file.write_text(file.read_text().replace('protocol = "saslauthd"', 'protocol = "dovecot"'))
    words = ("test", NAME, "--password-stdin", "--config", site.configuration)
    with serving(Path(site.mux)) as server:
        assert invoke(*words, stdin=PASSWORD).code == 0
    assert [asked.mechanism for asked in server.asked] == ["PLAIN"]
    site.add(NAME, PASSWORD, "--scram")
    outcome = forked(*words, "--direct", "--mechanism", "SCRAM-SHA-256", stdin=PASSWORD)
    assert (outcome.code, outcome.err) == (0, "")
    outcome = invoke(*words, "--protocol", "saslauthd", stdin=PASSWORD)
    assert (outcome.code, "no [[listen]] of protocol saslauthd" in outcome.error) == (78, True)


def test_an_address_is_asked_over_the_one_protocol_that_has_addresses() -> None:
    with serving(None) as server:
        host, port = server.address
        assert invoke("test", NAME, "--password-stdin", "--address", f"{host}:{port}", stdin=PASSWORD).code == 0


@pytest.mark.parametrize("protocol", [(), ("--protocol", "pwcheck")])
def test_where_dovecot_s_protocol_is_spoken_the_others_say_so_at_once(tmp_path: Path, protocol: tuple[str, ...]) -> None:
    path = tmp_path / "auth"
    with serving(path):
        outcome = invoke("test", NAME, *protocol, "--password-stdin", "--socket", str(path), stdin=PASSWORD)
    assert (outcome.code, outcome.out) == (65, "")
    assert outcome.error == f"{path}: Dovecot's protocol is spoken there: --protocol dovecot"


@pytest.mark.parametrize(
    ("words", "secret", "code", "line"),
    [
        ((), PASSWORD, 0, "accepted user=tim@example.org service=smtp"),
        (("--mechanism", "LOGIN"), b"battery", 77, "mechanism=LOGIN"),
        (("--mechanism", "SCRAM-SHA-256"), PASSWORD, 0, "mechanism=SCRAM-SHA-256"),
        (("--mechanism", "SCRAM-SHA-1"), b"battery", 77, "reason=wrong-secret"),
        (("--authzid", "office@example.org"), PASSWORD, 77, "reason=authzid"),
    ],
)
def test_directly_it_is_decided_as_the_listener_s_requests_are(
    site: Site, words: tuple[str, ...], secret: bytes, code: int, line: str
) -> None:
    site.configure(f'[[listen]]\nprotocol = "dovecot"\npath = "{site.directory}/auth"')
    site.add(NAME, PASSWORD, "--scram")
    outcome = forked("test", NAME, *DOVECOT, *words, "--direct", "--password-stdin", "--config", site.configuration, stdin=secret)
    assert (outcome.code, outcome.err) == (code, "")
    assert f"listener={site.directory}/auth" in outcome.out
    assert line in outcome.out


def test_directly_without_tls_is_refused_where_that_is_required(site: Site) -> None:
    site.configure(f'[[listen]]\nprotocol = "dovecot"\npath = "{site.directory}/auth"\nrequire_tls = true')
    site.add(NAME, PASSWORD)
    words = ("test", NAME, *DOVECOT, "--direct", "--password-stdin", "--config", site.configuration)
    assert forked(*words, stdin=PASSWORD).code == 0
    outcome = forked(*words, "--no-tls", stdin=PASSWORD)
    assert (outcome.code, outcome.error) == (65, "PLAIN without TLS, and require_tls is set")
