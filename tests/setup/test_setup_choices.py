"""What setup writes into files of libsasl's, which socket it chooses, and which account it logs in with."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.config.load import parse
from saslauthd_py.mta import processes, smtpd_conf
from saslauthd_py.mta.processes import Who
from saslauthd_py.setup import sasl_lines, site
from saslauthd_py.setup.account import throw_away
from saslauthd_py.setup.asking import Asker, choose
from saslauthd_py.setup.site import Refused, Site
from saslauthd_py.setup.steps import Joined, State

WANTED = {"pwcheck_method": "saslauthd", "saslauthd_path": "/private/saslauthd"}
LINES = st.lists(
    st.sampled_from(
        ["# a comment\n", "\n", "pwcheck_method: auxprop\n", "PWCHECK_METHOD: x\n", "log_level: 7\n", "saslauthd_path:/x\n", "odd\n"]
    )
)


@given(LINES, st.sampled_from(["", "last: one"]))
def test_what_is_said_is_what_libsasl_reads_and_the_rest_stays(lines: list[str], last: str) -> None:
    text = "".join(lines) + last
    edited = sasl_lines.edited(text, WANTED)
    assert smtpd_conf.parse(edited) == {**smtpd_conf.parse(text), **WANTED}
    others = [line for line in text.splitlines() if not smtpd_conf.parse(line).keys() & WANTED.keys()]
    assert [line for line in edited.splitlines() if not smtpd_conf.parse(line).keys() & WANTED.keys()] == others


def test_only_a_newline_ends_a_line_of_libsasl_s() -> None:
    line = "log_level:\x0b1\x85pwcheck_method: x\n"
    assert sasl_lines.edited(line, {"pwcheck_method": "saslauthd"}) == f"{line}pwcheck_method: saslauthd\n"
    assert smtpd_conf.parse(line) == {"log_level": "1\x85pwcheck_method: x"}


def test_what_is_said_already_is_no_change() -> None:
    assert sasl_lines.differing({**WANTED, "mech_list": "plain"}, "saslauthd", "/private/saslauthd") == {}
    assert sasl_lines.differing({**WANTED, "mech_list": "PLAIN CRAM-MD5"}, "saslauthd", "/private/saslauthd") == {
        "mech_list": "PLAIN LOGIN"
    }
    assert sasl_lines.differing({}, "saslauthd", "/x", "sasl_")["sasl_mech_list"] == "PLAIN LOGIN"


@pytest.mark.parametrize("path", ['/a"b', "/a\\b", "/a\nb"])
def test_a_path_that_toml_would_misread_is_refused(path: str) -> None:
    with pytest.raises(Refused, match="by hand"):
        site.listener("x", "dovecot", path, "postfix", "postfix")


def new_site(directory: Path, text: str) -> Site:
    path = directory / "ours.toml"
    path.write_text(text)
    return Site(str(path), parse(text, str(path)), text)


STORE = '[backend.users]\ntype = "store"\n[backend.system]\ntype = "passwd_file"\npath = "/x"\n'


@pytest.mark.parametrize(
    ("routes", "login"),
    [
        ('[[route]]\nrealm = "*"\nbackends = ["users"]\n', "@setup.invalid"),
        ('[[route]]\nrealm = ["a.test"]\nbackends = ["users"]\n', "@a.test"),
        ('[[route]]\nrealm = ""\nbackends = ["users"]\n', ""),
        ('[[route]]\nrealm = "a.test"\nservice = "imap"\nbackends = ["users"]\n', None),
        ('[[route]]\nrealm = "*"\nbackends = ["system"]\n', None),
        ('[[route]]\nrealm = "a.test"\nbackends = ["system"]\n[[route]]\nrealm = ["a.test", "b.test"]\nbackends = ["users"]\n', "@b.test"),
        ('[[route]]\nrealm = "a.test"\nlistener = "/run/other"\nbackends = ["users"]\n', None),
        ('[identity]\ndefault_realm = "d.test"\n[[route]]\nrealm = ["", "d.test"]\nbackends = ["users"]\n', "@d.test"),
    ],
)
def test_the_account_is_one_that_the_routes_lead_to_a_store(tmp_path: Path, routes: str, login: str | None) -> None:
    text = (
        f'[[listen]]\nprotocol = "saslauthd"\npath = "/run/mux"\n[[listen]]\nprotocol = "saslauthd"\npath = "/run/other"\n{STORE}{routes}'
    )
    found = throw_away("ours.toml", new_site(tmp_path, text).settings, "smtp", ("/run/mux",), "")
    assert (found is None) == (login is None)
    if found is not None:
        local, at, realm = found.login.partition("@")
        assert local.startswith("setup-")
        assert at + realm == login
        assert found.stored == found.login


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Path]:
    """A socket that somebody listens at, in a directory for all."""
    directory = tmp_path / "run"
    directory.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(directory / "mux"))
        listening.listen()
        yield directory / "mux"


def asker(who: Who, *roots: str) -> Asker:
    return Asker("saslauthd", who, frozenset(roots or ("/",)), "Postfix asks here.")


def with_listener(directory: Path, path: Path) -> Site:
    return new_site(
        directory, f'[[listen]]\nprotocol = "saslauthd"\npath = "{path}"\n{STORE}[[route]]\nrealm = "*"\nbackends = ["users"]\n'
    )


def here() -> Who:
    return Who(os.geteuid(), os.getegid(), frozenset())


def test_a_listener_that_can_be_opened_is_used(tmp_path: Path, heard: Path) -> None:
    chosen = choose(with_listener(tmp_path, heard), asker(here()), (str(tmp_path / "new"),))
    assert (chosen.path, chosen.ours, chosen.joins) == (str(heard), (), ())


def test_a_listener_outside_of_the_chroot_is_not(tmp_path: Path, heard: Path) -> None:
    chosen = choose(with_listener(tmp_path, heard), asker(here(), str(tmp_path / "chroot")), (str(tmp_path / "chroot" / "new"),))
    assert chosen.path == str(tmp_path / "chroot" / "new")
    [step] = chosen.ours
    added = parse(step.content.decode(), "x").listen[-1]
    assert (added.protocol, added.path, added.mode) == ("saslauthd", chosen.path, 0o660)


@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_the_lines_of_the_configuration_stay_as_they_are(tmp_path: Path, begin: bytes) -> None:
    text = with_listener(tmp_path, tmp_path / "mux").text.replace("\n", "\r\n").removesuffix("\r\n")
    path = tmp_path / "ours.toml"
    path.write_bytes(begin + text.encode())
    here = Site(str(path), parse(text, str(path)), text)
    [step] = here.with_listener("[[listen]]\n")
    assert (step.content, step.state()) == (begin + text.encode() + b"\n\n[[listen]]\n", State.BEFORE)
    path.write_bytes(begin + text.encode() + b"# edited\n")
    [step] = here.with_listener("[[listen]]\n")
    assert step.state() is State.OTHER, "it was edited since it was read"


def test_where_something_is_already_no_listener_is_put(tmp_path: Path, heard: Path) -> None:
    other = new_site(tmp_path, f'[[listen]]\nprotocol = "pwcheck"\npath = "/x"\n{STORE}[[route]]\nrealm = "*"\nbackends = ["users"]\n')
    chosen = choose(other, asker(here()), (str(heard), str(tmp_path / "second")))
    assert chosen.path == str(tmp_path / "second")
    with pytest.raises(Refused, match="something is there already"):
        choose(other, asker(here()), (str(heard),))


@pytest.mark.root
def test_a_group_that_opens_the_socket_is_joined(machine_directory: Path) -> None:
    path = machine_directory / "mux"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        os.chown(path, 0, 12)
        path.chmod(0o660)
        os.chown(machine_directory, 0, 12)
        machine_directory.chmod(0o710)
        nobody = processes.of_user("nobody")
        joined = choose(with_listener(machine_directory, path), asker(nobody), (str(machine_directory / "new"),))
        stays = choose(with_listener(machine_directory, path), replace(asker(nobody), regroups=False), (str(machine_directory / "new"),))
        daemons = f'[server]\nuser = "nobody"\ngroup = "{processes.group_name(12)}"\n'
        theirs = new_site(machine_directory, with_listener(machine_directory, path).text + daemons)
        shares = choose(theirs, asker(nobody), (str(machine_directory / "new"),))
        os.chown(path, 0, 0)
        roots = choose(with_listener(machine_directory, path), asker(nobody), (str(machine_directory / "new"),))
    assert (shares.joins, shares.path) == ((), str(machine_directory / "new")), "nobody is put into the daemon's group"
    assert (stays.joins, stays.path) == ((), str(machine_directory / "new")), "a group that it would not have after a reload"
    assert joined.joins == (Joined("nobody", processes.group_name(12)),)
    assert roots.joins == (), "nobody is put into the group of root"
    assert roots.path == str(machine_directory / "new")


@pytest.fixture
def machine_directory() -> Iterator[Path]:
    """Every user may search what is above it."""
    directory = Path(tempfile.mkdtemp(prefix="saslauthd-py-", dir="/run"))
    yield directory
    shutil.rmtree(directory)
