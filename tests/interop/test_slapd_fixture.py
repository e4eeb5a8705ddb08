"""The private slapd, asked with OpenLDAP's own tools: what tests of the LDAP backend stand on is as they take it to be."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import directory_tree as tree
from tests.interop.slapd import Slapd, Tool, black_hole, slapd
from tests.interop.waiting import PATIENCE, until

pytestmark = pytest.mark.peer("slapd", "openssl")

OK, INVALID_CREDENTIALS, INSUFFICIENT_ACCESS, UNWILLING, NO_ANSWER = 0, 49, 50, 53, 255


@pytest.fixture(scope="module")
def server(machine: Path) -> Iterator[Slapd]:
    with slapd(machine / "slapd-fixture", 20, debug="stats") as running:
        yield running


def bind(server: Slapd, person: tree.Person, password: str | None = None, *, uri: str = "", options: tuple[str, ...] = ()) -> int:
    """The result code of a simple bind."""
    secret = person.password if password is None else password
    return server.tool("ldapwhoami", "-x", *options, "-D", person.dn, "-w", secret, uri=uri).code


def found(server: Slapd, pattern: str, *attributes: str, base: str = tree.BASE) -> str:
    """What the service identity finds, without line breaks within a value."""
    identity = ("-x", "-D", server.service, "-w", server.service_password)
    done = server.tool("ldapsearch", "-LLL", "-o", "ldif-wrap=no", *identity, "-b", base, pattern, *attributes or ("1.1",))
    assert done.code == OK, done
    return done.text


REFUSED = (tree.CLEARTEXT, tree.UNKNOWN_SCHEME, tree.LOCKED, tree.EXPIRED, tree.NO_PASSWORD)


@pytest.mark.parametrize("person", [person for person in tree.PERSONS if person not in REFUSED], ids=lambda person: person.uid)
def test_each_person_binds_with_the_password_of_the_tree_and_with_no_other(server: Slapd, person: tree.Person) -> None:
    assert bind(server, person) == OK
    assert bind(server, person, person.password + "x") == INVALID_CREDENTIALS


@pytest.mark.parametrize("person", REFUSED, ids=lambda person: person.uid)
def test_those_who_are_locked_expired_or_have_no_usable_password_do_not(server: Slapd, person: tree.Person) -> None:
    assert bind(server, person, person.password or "any") == INVALID_CREDENTIALS


def test_a_person_with_two_passwords_binds_with_each(server: Slapd) -> None:
    assert [bind(server, tree.TWO_PASSWORDS, word) for word in ("first", "second", "third")] == [OK, OK, INVALID_CREDENTIALS]


def test_an_empty_password_is_not_taken_for_an_anonymous_bind(server: Slapd) -> None:
    assert bind(server, tree.ALICE, "") == UNWILLING


def test_a_wrong_password_leaves_no_trace_on_who_is_under_no_policy(server: Slapd) -> None:
    bind(server, tree.CAROL, "wrong")
    assert "pwdFailureTime" not in found(server, "(uid=carol)", "+")


def test_who_must_change_the_password_binds_and_may_do_nothing_else(server: Slapd) -> None:
    person = tree.MUST_CHANGE
    identity = ("-x", "-D", person.dn, "-w", person.password)
    assert server.tool("ldapsearch", *identity, "-b", tree.BASE).code == INSUFFICIENT_ACCESS


@pytest.mark.parametrize("number", [1, 20])
def test_the_many_are_there(server: Slapd, number: int) -> None:
    assert bind(server, tree.numbered(number)) == OK


def test_as_many_as_asked_for(server: Slapd) -> None:
    assert found(server, "(uid=u0*)").count("dn: ") == 20


@pytest.mark.parametrize("person", tree.PERSONS, ids=lambda person: f"{person.uid} {person.unit}")
def test_names_are_found_as_they_are_written(server: Slapd, person: tree.Person) -> None:
    escaped = re.sub(rb"[*()\\\x80-\xff]", lambda letter: b"\\%02x" % letter[0][0], person.uid.encode()).decode()
    entries = found(server, f"(uid={escaped})").count("dn:")
    assert entries == (2 if person in tree.TWINS else 1)


def test_certificate_holds_for_the_address_and_the_names_of_this_machine(server: Slapd) -> None:
    for uri in (server.ldaps, f"ldaps://localhost:{server.tls_port}", f"ldaps://{socket.gethostname()}:{server.tls_port}"):
        assert bind(server, tree.ALICE, uri=uri) == OK
    assert bind(server, tree.ALICE, options=("-ZZ",)) == OK


@pytest.mark.parametrize("misled", ["the address is not in the certificate", "the CA is another one"])
def test_certificate_holds_for_nothing_else(server: Slapd, misled: str) -> None:
    trusted, tls, plain = (
        (server.ca, server.ldaps_unnamed, server.ldap_unnamed) if "address" in misled else (server.other_ca, server.ldaps, server.ldap)
    )
    assert trying(trusted, tls) == NO_ANSWER
    assert trying(trusted, plain, "-ZZ") == 1
    assert trying(server.ca, server.ldap_unnamed) == OK


def trying(trusted: Path, uri: str, *options: str) -> int:
    """The code of a bind by somebody who trusts that CA."""
    variables = {**os.environ, "LDAPCONF": "/dev/null", "LDAPRC": "none", "HOME": "/nonexistent", "LDAPTLS_CACERT": str(trusted)}
    command = ["ldapwhoami", "-x", "-H", uri, *options, "-D", tree.ALICE.dn, "-w", tree.ALICE.password]
    return subprocess.run(command, env=variables, capture_output=True, timeout=PATIENCE, check=False).returncode


def test_a_verifier_that_keeps_to_rfc_5280_takes_the_certificate(server: Slapd) -> None:
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.1", "-CAfile", str(server.ca)]
    subprocess.run([*command, str(server.directory / "server.pem")], check=True, capture_output=True, timeout=PATIENCE)


def test_external_on_ldapi_is_the_service_identity(server: Slapd) -> None:
    assert bind(server, tree.ALICE, uri=server.ldapi) == OK
    external = server.tool("ldapwhoami", "-Q", "-Y", "EXTERNAL", uri=server.ldapi)
    assert external.text.strip() == f"dn:{server.service}"


def test_who_may_read_what(server: Slapd) -> None:
    assert "userPassword" not in found(server, "(uid=alice)", "userPassword")
    administrator = ("-x", "-D", server.admin, "-w", server.admin_password)
    assert "userPassword:: " in server.tool("ldapsearch", *administrator, "-b", server.base, "(uid=alice)", "userPassword").text
    assert server.tool("ldapsearch", "-x", "-b", server.base, "(uid=alice)").code == INSUFFICIENT_ACCESS


def comparing(server: Slapd, group: str, attribute: str, value: str) -> Tool:
    identity = ("-x", "-D", server.service, "-w", server.service_password)
    return server.tool("ldapcompare", *identity, f"cn={group},{tree.GROUPS}", f"{attribute}:{value}")


@pytest.mark.parametrize(("group", "attribute"), [("mail", "member"), ("unique", "uniqueMember"), ("posixmail", "memberUid")])
def test_every_second_one_is_in_the_large_groups(server: Slapd, group: str, attribute: str) -> None:
    names = [tree.ALICE, tree.numbered(1), tree.numbered(2), tree.CAROL]
    values = [person.uid if attribute == "memberUid" else person.dn for person in names]
    assert [comparing(server, group, attribute, value).code for value in values] == [6, 6, 5, 5]  # compareTrue, compareFalse


def test_two_groups_match_one_filter(server: Slapd) -> None:
    assert found(server, "(memberUid=both)").count("dn: ") == 2
    assert found(server, "(memberUid=alice)").count("dn: ") == 1


def test_groups_in_groups_are_followed_and_circles_end(server: Slapd) -> None:
    assert comparing(server, "outer", "member", tree.NESTED.dn).code == 5
    for person, groups in ((tree.NESTED, {"inner", "middle", "outer"}), (tree.CLERK, {"here", "there"})):
        text = found(server, f"(uid={person.uid})", "memberOf")
        assert set(re.findall(r"^memberOf: cn=(\w+),", text, re.MULTILINE)) == groups
    assert found(server, f"(&(uid=nested)(memberOf=cn=outer,{tree.GROUPS}))").count("dn: ") == 1


def test_a_new_password_holds_and_the_old_one_does_not(server: Slapd) -> None:
    person = tree.numbered(3)
    server.set_password(person.dn, "n e u ü")
    assert [bind(server, person, "n e u ü"), bind(server, person)] == [OK, INVALID_CREDENTIALS]


def test_entries_come_change_and_go(server: Slapd) -> None:
    person = tree.Person("new, #1", "pw of the new one")
    assert bind(server, person) == INVALID_CREDENTIALS
    server.add(person, tree.Group("newcomers", "groupOfNames", "member", (person.dn,)))
    assert bind(server, person) == OK
    server.modify(f"dn: {person.dn}\nchangetype: modrdn\nnewrdn: uid=renamed\ndeleteoldrdn: 1\n")
    assert bind(server, person) == INVALID_CREDENTIALS
    assert bind(server, tree.Person("renamed", person.password)) == OK
    server.delete(tree.Person("renamed", "").dn)
    assert not found(server, "(uid=renamed)")
    with pytest.raises(AssertionError, match="No such object"):
        server.delete(person.dn)


def test_log_tells_each_search_with_its_filter_and_how_many_it_found(server: Slapd) -> None:
    found(server, "(uid=told*apart)")
    assert re.search(r'SRCH base="dc=example,dc=test" scope=2 deref=0 filter="\(uid=told\*apart\)"', server.log())
    assert re.search(r"SEARCH RESULT tag=101 err=0 .*nentries=0", server.log())


def test_it_stops_and_comes_back_on_the_same_ports_with_everything_it_had(machine: Path) -> None:
    with slapd(machine / "slapd-stopped", 1) as server:
        server.set_password(tree.ALICE.dn, "changed")
        before = server.pid
        with server.stopped():
            for uri in (server.ldap, server.ldaps, server.ldapi):
                assert bind(server, tree.ALICE, "changed", uri=uri) == NO_ANSWER
        assert server.pid != before
        for uri in (server.ldap, server.ldaps, server.ldapi):
            assert bind(server, tree.ALICE, "changed", uri=uri) == OK
        last = server.pid
    assert not os.path.exists(f"/proc/{last}")


def test_frozen_it_takes_connections_and_answers_once_it_is_thawed(server: Slapd) -> None:
    codes: list[int] = []
    asking = threading.Thread(target=lambda: codes.append(bind(server, tree.ALICE)))
    accepted = server.log().count("ACCEPT")
    with server.frozen():
        asking.start()
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE).close()
        status = Path(f"/proc/{server.pid}/status").read_text()
        assert "State:\tT (stopped)" in status
        assert (codes, server.log().count("ACCEPT")) == ([], accepted)
    asking.join(PATIENCE)
    assert codes == [OK]


def test_it_can_be_stopped_while_it_is_frozen(machine: Path) -> None:
    with slapd(machine / "slapd-frozen", 1) as server, server.frozen():
        server.restart()
        assert bind(server, tree.ALICE) == OK


def test_a_slapd_that_has_crashed_is_told(machine: Path) -> None:
    with pytest.raises(AssertionError, match="slapd ended with -9"), slapd(machine / "slapd-crashed", 1) as server:
        os.kill(server.pid, signal.SIGKILL)


def test_idle_links_are_closed_where_its_settings_say_so(machine: Path) -> None:
    with (
        slapd(machine / "slapd-idle", 1, settings=["idletimeout 1"]) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as idle,
    ):
        assert idle.recv(1) == b""


def test_a_configuration_that_slapd_refuses_is_told(machine: Path) -> None:
    with pytest.raises(AssertionError, match="nonsense"), slapd(machine / "slapd-refusing", 1, settings=["nonsense 1"]):
        pass


def test_a_black_hole_takes_what_it_is_sent_and_says_nothing() -> None:
    with black_hole() as hole, socket.create_connection(("127.0.0.1", hole.port)) as first:
        with socket.create_connection(("127.0.0.1", hole.port)) as second:
            until(lambda: len(hole.connections) == 2, "both are taken")
            second.sendall(b"hello")
            assert hole.connections[1].recv(9) == b"hello"
        first.setblocking(False)
        with pytest.raises(BlockingIOError):
            first.recv(1)
        first.setblocking(True)
        first.settimeout(PATIENCE)
        port = hole.port
        with black_hole() as other:
            assert other.port != port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
