from __future__ import annotations

import io
from pathlib import Path

import pytest

from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.store.incoming import Incoming, IncomingSecret
from saslauthd_py.transfer import sasldb as transfer_sasldb
from saslauthd_py.transfer.formats import BadFile, Found
from saslauthd_py.transfer.sasldb import Sasldb
from tests.sasldb.sasldbs import key, loaded, set_password, users
from tests.transfer.files import found


def the(name: str, realm: str, password: bytes) -> Found:
    return Found(Incoming(Identity(name, realm), (IncomingSecret(()),)), {0: Secret(password)})


@pytest.mark.peer("saslpasswd2")
def test_users_of_the_real_saslpasswd2_are_found_with_their_passwords(tmp_path: Path) -> None:
    path = tmp_path / "sasldb2"
    set_password(path, "alice", b"ge\xffheim \xc3\xa9", "example.test")
    set_password(path, "Bob", b"x" * 300, "Other.Test")
    read = list(found(Sasldb("example.net"), path).values())
    assert len(read) == 2
    assert the("alice", "example.test", b"ge\xffheim \xc3\xa9") in read
    assert the("Bob", "Other.Test", b"x" * 300) in read


@pytest.mark.peer("berkeleydb")
def test_other_properties_are_passed_over_and_strange_names_told(tmp_path: Path) -> None:
    records = [
        (key("alice"), b"with\0nul"),
        (key("alice", prop="cmusaslsecretOTP"), b"x"),
        (b"\xff\0example.test\0userPassword", b"geheim"),
        (b"\0example.test\0userPassword", b"geheim"),
        (key("bob", ""), b"pw"),
        (key("carl@host"), b"pw"),
    ]
    read = list(found(Sasldb("example.net"), loaded(tmp_path / "sasldb2", records)).values())
    assert len(read) == 5
    assert the("alice", "example.test", b"with\0nul") in read
    assert the("bob", "example.net", b"pw") in read
    assert the("carl@host", "example.test", b"pw") in read
    assert {one for one in read if isinstance(one, str)} == {r"b'\xff': name is not UTF-8", "b'': empty name"}


@pytest.mark.peer("berkeleydb")
def test_blocks_hold_every_record_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_sasldb, "_AT_ONCE", 7)
    read = found(Sasldb(""), loaded(tmp_path / "sasldb2", users(50)))
    assert sorted(read) == list(range(1, 51))
    assert {str(one.account.identity) for one in read.values() if isinstance(one, Found)} == {f"user{n}@example.test" for n in range(50)}


def test_what_is_no_sasldb2_is_refused_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "sasldb2").write_text("alice:secret")
    with pytest.raises(BadFile, match=r"sasldb2: it is no sasldb2"):
        Sasldb("").open(str(tmp_path / "sasldb2"), io.BytesIO())
    with pytest.raises(BadFile, match=r"nowhere: no such file"):
        Sasldb("").open(str(tmp_path / "nowhere"), io.BytesIO())
    with pytest.raises(BadFile, match="a file is wanted"):
        Sasldb("").open("-", io.BytesIO())
