from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from saslauthd_py.credential import UNRESTRICTED, Encoding, Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.store.incoming import Incoming, IncomingSecret
from saslauthd_py.transfer.formats import NO_PASSWORD, Found, Passed
from saslauthd_py.transfer.passwd_file import PasswdFile
from saslauthd_py.transfer.shadow import ShadowFile
from tests.transfer.files import APR1, ARGON2ID, SHA512, SSHA, found

HASH = Encoding("argon2id", ARGON2ID)
DAY = 86400.0


def account(name: Identity, encoding: Encoding, limits: Restrictions = UNRESTRICTED, locked: str | None = None) -> Found:
    return Found(Incoming(name, (IncomingSecret((encoding,), restrictions=limits),), locked))


def test_passwd_file_of_dovecot_is_read_with_names_realms_and_extra_fields(tmp_path: Path) -> None:
    lines = (
        "# users",
        "",
        f"alice:{ARGON2ID}",
        f"Bob@Example.org:{{ARGON2ID}}{ARGON2ID}:1000:1000::/srv/bob:/bin/sh:allow_nets=192.0.2.0/24 userdb_quota=1G",
        "carl:{PLAIN}ge:heim",
        "dora::1000:1000:::",
        "erik:x:1000:1000:::",
        "fred:{FOO}secret",
        "gina",
        f"hans:{ARGON2ID}:::::: allow_real_nets=192.0.2.1",
    )
    assert found(PasswdFile("example.net"), tmp_path / "users", "\n".join(lines)) == {
        3: account(Identity("alice", "example.net"), HASH),
        4: account(Identity("Bob", "Example.org"), HASH, Restrictions(networks=(ip_network("192.0.2.0/24"),))),
        5: Found(Incoming(Identity("carl", "example.net"), (IncomingSecret(()),)), {0: Secret(b"ge")}),
        6: NO_PASSWORD,
        7: NO_PASSWORD,
        8: "unknown scheme 'FOO'",
        9: "no colon, so no password; write name:hash, or # before a comment",
        10: "allow_real_nets cannot be judged here; take it out, or leave this account to Dovecot",
    }


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"alice:!{ARGON2ID}", "locked in the file it was imported from"),
        (f"alice:!!{ARGON2ID}:::::", "locked in the file it was imported from"),
        (f"alice:*LK*{ARGON2ID}", "locked in the file it was imported from"),
        (f"alice:{ARGON2ID}::::::nologin", "nologin in the file it was imported from"),
        (f"alice:{ARGON2ID}::::::nologin=y allow_nets=192.0.2.1", "nologin in the file it was imported from"),
        (f"alice:{ARGON2ID}::::::allow_nets=local", "allow_nets let nobody in"),
    ],
)
def test_account_that_nobody_could_log_in_with_comes_locked_with_its_hash(line: str, why: str, tmp_path: Path) -> None:
    read = found(PasswdFile(""), tmp_path / "users", line)[1]
    assert isinstance(read, Found)
    assert read.account.locked == why
    assert read.account.secrets[0].encodings == (HASH,)
    limited = "192.0.2.1" in line
    assert read.account.secrets[0].restrictions == (Restrictions(networks=(ip_network("192.0.2.1/32"),)) if limited else UNRESTRICTED)


def test_lock_is_found_between_a_label_and_its_hash(tmp_path: Path) -> None:
    read = found(PasswdFile(""), tmp_path / "users", f"alice:{{CRYPT}}!{SHA512}")
    locked = "locked in the file it was imported from"
    assert read == {1: account(Identity("alice"), Encoding("sha512crypt", SHA512), locked=locked)}


@pytest.mark.parametrize("line", ["alice:!", "alice:*", "alice:!!", "alice:{CRYPT}!", "alice:::::::nologin", "alice:x:::::"])
def test_account_without_a_hash_is_passed_over_whatever_locks_it(line: str, tmp_path: Path) -> None:
    assert found(PasswdFile(""), tmp_path / "users", line) == {1: NO_PASSWORD}


def test_htpasswd_is_read_with_its_hashes_and_nothing_else(tmp_path: Path) -> None:
    lines = f"alice:{APR1} \r\nbob:{SSHA}\r\ncarl:secret\r\ndora:!{APR1}\r\n"
    assert found(PasswdFile("", "htpasswd"), tmp_path / "htpasswd", lines) == {
        1: account(Identity("alice"), Encoding("apr1", APR1)),
        2: account(Identity("bob"), Encoding("ssha", SSHA)),
        3: "no password record of a scheme we know, or a malformed one",
        4: account(Identity("dora"), Encoding("apr1", APR1), locked="locked in the file it was imported from"),
    }


def test_shadow_comes_with_its_locks_and_the_earlier_of_its_ends(tmp_path: Path) -> None:
    lines = (
        f"root:{SHA512}:19000:0:99999:7:::",
        "daemon:*:19000:0:99999:7:::",
        "new:!:19000:0:99999:7:::",
        "never:!*:19000:0:99999:7:::",
        "open::19000:0:99999:7:::",
        f"alice:{SHA512}:19000:0:99999:7:::",
        f"bob:!{SHA512}:19000:0:99999:7:::",
        f"carl:{SHA512}:19000:0:90:7::20000:",
        f"dora:{SHA512}:19000:0:90:7::19010:",
        f"erik:{SHA512}:0:0:99999:7:::",
        f"fred:{SHA512}::::::0:",
        f"gina:{SHA512}:19000:0:-1:7:::",
        f"hans:{SHA512}:nineteen:0:99999:7:::",
        "ida:$9$nonsense:19000:0:99999:7:::",
        "jan:x",
        "# comment",
        "",
    )
    hashed = Encoding("sha512crypt", SHA512)

    def there(name: str, end: float | None = None, locked: str | None = None) -> Found:
        limits = UNRESTRICTED if end is None else Restrictions(expires=end * DAY)
        return account(Identity(name, "example.org"), hashed, limits, locked)

    assert found(ShadowFile("example.org"), tmp_path / "shadow", "\n".join(lines)) == {
        1: Passed("named root, whom backends pam and shadow let nobody be"),
        **dict.fromkeys((2, 3, 4, 5), NO_PASSWORD),
        6: there("alice"),
        7: there("bob", locked="locked in the shadow file it was imported from"),
        8: there("carl", 19091),
        9: there("dora", 19010),
        10: there("erik", locked="the shadow file it was imported from wants the password changed first"),
        11: there("fred", 0),
        12: there("gina"),
        13: "a day that is no number",
        14: "no password record of a scheme we know, or a malformed one",
        15: "not the 9 fields of a shadow line",
    }


def test_line_over_a_mebibyte_is_told_and_the_lines_behind_it_keep_their_numbers(tmp_path: Path) -> None:
    text = f"alice:{ARGON2ID}\nbob:{'x' * (2 << 20)}\ncarl:{ARGON2ID}\n{'#' * 70000}\ndora:{ARGON2ID}"
    read = found(PasswdFile(""), tmp_path / "users", text)
    assert read[2] == "too long"
    assert [line for line, one in read.items() if isinstance(one, Found)] == [1, 3, 5]


def test_file_with_a_mark_of_byte_order_and_the_line_ends_of_another_system_is_read(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + f"alice:{ARGON2ID}\r\nbob:{ARGON2ID}\r\n".encode()
    assert list(found(PasswdFile(""), tmp_path / "users", text).values()) == [account(Identity(name), HASH) for name in ("alice", "bob")]


def test_names_that_no_account_can_have_are_told(tmp_path: Path) -> None:
    text = b"\xff\xfe:" + ARGON2ID.encode() + b"\n" + "a\u0000b".encode() + b":" + ARGON2ID.encode() + b"\n"
    assert found(PasswdFile(""), tmp_path / "users", text) == {
        1: "name is not UTF-8",
        2: "name holds a control or formatting character",
    }
