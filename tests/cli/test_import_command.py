from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from saslauthd_py import passwords
from saslauthd_py.cli import import_, transfer_flags
from saslauthd_py.credential import Encoding
from saslauthd_py.passwords import SCRAM_SCHEMES
from saslauthd_py.secret import Secret
from saslauthd_py.store.merging import OnConflict
from saslauthd_py.transfer import converting, processes
from tests.cli.commands import Outcome, forked
from tests.cli.sites import OWNER, Site
from tests.interop.daemon import PATIENCE, children_of, environment
from tests.interop.waiting import until
from tests.sasldb.sasldbs import set_password
from tests.transfer.files import APR1, ARGON2ID, SHA512, SSHA

RIGHT = b"correct horse battery"
"""The password of ARGON2ID."""

USERS = f"""\
# users
alice@example.org:{ARGON2ID}
bob:{{PLAIN}}geheim
ALICE@Example.org:{{PLAIN}}other
carl:{{FOO}}x
dora:x:::::
"""


def taken(site: Site, form: str, text: str | bytes, *flags: str, screen: bool = False) -> Outcome:
    file = site.directory / "file"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return forked("import", form, str(file), *flags, "--config", site.configuration, screen=screen)


def listed(site: Site) -> list[dict[str, Any]]:
    outcome = site.user("list", "--json")
    return [json.loads(line) for line in outcome.out.splitlines()] if outcome.code == 0 else []


def names(site: Site) -> list[str]:
    return [account["identity"] for account in listed(site)]


def test_flags_offer_what_there_is() -> None:
    assert set(transfer_flags.FORMATS) == {*import_._FORMATS, "ldif"}
    assert set(transfer_flags.ON_CONFLICT) == set(OnConflict)


def test_what_is_in_the_file_is_taken_over_and_what_is_not_is_told_by_line(site: Site) -> None:
    outcome = taken(site, "passwd-file", USERS, "--realm", "example.net")
    file = site.directory / "file"
    assert outcome.code == 65
    assert outcome.out.splitlines() == [
        f"{site.store}: made",
        "2 accounts added; 2 accounts of the file not taken over",
        "passed over: 1 without a password",
    ]
    folded = "(alice@example.org: one name, once case is folded)"
    assert outcome.err.splitlines() == [
        f"saslauthd-py: warning: {file}:4: ALICE@Example.org: repeats line 2 {folded}, and the first counts",
        f"saslauthd-py: warning: {file}:5: unknown scheme 'FOO'",
    ]
    assert names(site) == ["bob@example.net", "alice@example.org"]
    assert site.right("alice@example.org", RIGHT)
    assert site.right("bob@example.net", b"geheim")
    assert not site.right("bob@example.net", b"other")
    assert site.shown("bob@example.net")["passwords"][0]["schemes"] == ["argon2id"]
    status = os.stat(site.store)
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, OWNER.pw_uid)
    assert sorted(os.listdir(site.store.parent)) == ["users.db"]


def test_json_tells_the_same_and_nothing_else(site: Site) -> None:
    outcome = taken(site, "passwd-file", USERS, "--json")
    assert outcome.err == ""
    told = json.loads(outcome.out)
    complaints = told.pop("complaints")
    assert [(one["line"], one["lost"]) for one in complaints] == [(4, True), (5, True)]
    assert told == {
        "store": str(site.store),
        "made": True,
        "dry_run": False,
        "added": 2,
        "replaced": 0,
        "present": 0,
        "lost": 2,
        "passed": {"without a password": 1},
        "more_complaints": 0,
        "warnings": [],
    }


def test_dry_run_makes_nothing_and_hashes_nothing(site: Site) -> None:
    outcome = taken(site, "passwd-file", USERS, "--dry-run")
    assert outcome.code == 65
    assert outcome.out.splitlines()[0] == "2 accounts would be added; 2 accounts of the file not taken over"
    assert not site.store.parent.exists()
    site.add("bob")
    before = site.store.read_bytes()
    assert taken(site, "passwd-file", USERS, "--dry-run").out.startswith("nothing was imported: 1 name is there already; say --on-conflict")
    replaced = taken(site, "passwd-file", USERS, "--dry-run", "--on-conflict", "replace")
    assert replaced.out.startswith("1 account would be added, 1 would be replaced; 2 accounts of the file")
    assert site.store.read_bytes() == before


def test_name_that_is_there_keeps_all_out_unless_it_is_said_what_becomes_of_it(site: Site) -> None:
    site.add("Bob", b"old")
    text = f"alice:{ARGON2ID}\nbob:{{PLAIN}}new\n"
    outcome = taken(site, "passwd-file", text)
    assert outcome.code == 65
    assert outcome.out == "nothing was imported: 1 name is there already; say --on-conflict skip or --on-conflict replace\n"
    assert outcome.error.endswith("file:2: bob: exists already, as Bob")
    assert names(site) == ["Bob"]
    skipped = taken(site, "passwd-file", text, "--on-conflict", "skip")
    assert (skipped.code, skipped.out) == (0, "1 account added, 1 there already and left as they are\n")
    assert site.right("bob", b"old")
    replaced = taken(site, "passwd-file", text, "--on-conflict", "replace")
    assert (replaced.code, replaced.out) == (0, "0 accounts added, 2 replaced\n")
    assert site.right("bob", b"new")
    assert not site.right("bob", b"old")


def test_file_without_an_account_makes_no_store_for_an_empty_one_would_call_everybody_wrong(site: Site) -> None:
    for form, text in (("passwd-file", ""), ("passwd-file", "# nobody\n"), ("passwd-file", "carl:{FOO}x\n"), ("ldif", "\n\n")):
        outcome = taken(site, form, text)
        assert outcome.code == 65
        assert "made" not in outcome.out
        assert os.listdir(site.store.parent) == []
    site.add("bob")
    assert taken(site, "passwd-file", "").code == 65
    assert names(site) == ["bob"]


def test_many_faulty_lines_are_counted_and_the_first_of_them_listed(site: Site) -> None:
    text = "\n".join(f"user{number}:{{FOO}}x" for number in range(1, 5001)) + f"\nalice:{ARGON2ID}\n"
    outcome = taken(site, "passwd-file", text, "--most-listed", "3")
    told = outcome.err.splitlines()
    assert [line.rpartition("file:")[2].partition(":")[0] for line in told[:3]] == ["1", "2", "3"]
    assert told[3] == "saslauthd-py: warning: 4997 more such lines: --most-listed"
    assert len(told) == 4
    assert outcome.out.splitlines()[1] == "1 account added; 5000 accounts of the file not taken over"


def test_keys_for_scram_are_made_where_they_are_wanted_and_of_what_is_in_clear(site: Site) -> None:
    outcome = taken(site, "passwd-file", f"alice:{ARGON2ID}\nbob:{{PLAIN}}geheim\ncarl:{{PLAIN.b64}}gA==\n", "--scram")
    assert outcome.code == 0
    lines = outcome.err.splitlines()
    assert lines[0].startswith(f"saslauthd-py: warning: {site.directory / 'file'}:3: no SCRAM keys: ")
    assert "accounts without SCRAM keys, alice among them: SCRAM is offered only while every account has them" in lines[1]
    schemes = {account["identity"]: account["passwords"][0]["schemes"] for account in listed(site)}
    assert schemes == {"alice": ["argon2id"], "bob": ["argon2id", *sorted(SCRAM_SCHEMES)], "carl": ["argon2id"]}
    upgrading = Site(site.directory / "other")
    upgrading.directory.mkdir()
    upgrading.directory.chmod(0o755)
    upgrading.configure()
    configuration = Path(upgrading.configuration)
    configuration.write_text(configuration.read_text().replace('type = "store"', 'type = "store"\nscram_upgrade = true'))
    assert taken(upgrading, "passwd-file", f"alice:{ARGON2ID}\nbob:{{PLAIN}}geheim\n").err == ""
    assert len(upgrading.shown("bob")["passwords"][0]["schemes"]) == 3


@pytest.mark.parametrize(
    ("form", "text", "flags", "expected"),
    [
        ("htpasswd", f"alice:{APR1}\nbob:{SSHA}\n", (), {"alice": "apr1", "bob": "ssha"}),
        (
            "shadow",
            f"root:*:1:::::: \nalice:{SHA512}:19000:0:99999:7:::\n",
            ("--realm", "example.org"),
            {"alice@example.org": "sha512crypt"},
        ),
        ("ldif", f"dn: x\nuid: a\nmail: alice@example.org\nuserPassword: {SSHA}\n", (), {"a": "ssha"}),
        ("ldif", f"dn: x\nuid: a\nmail: B@example.org\nuserPassword: {SSHA}\n", ("--name-attribute", "mail"), {"B@example.org": "ssha"}),
        ("jsonl", '{"name": "alice", "passwords": [{"password": "x"}]}\n', ("--scheme", "bcrypt"), {"alice": "bcrypt"}),
    ],
)
def test_each_format_is_taken_over(form: str, text: str, flags: tuple[str, ...], expected: dict[str, str], site: Site) -> None:
    outcome = taken(site, form, text, *flags)
    assert (outcome.code, outcome.err) == (0, "")
    assert {account["identity"]: account["passwords"][0]["schemes"][0] for account in listed(site)} == expected


@pytest.mark.peer("saslpasswd2")
def test_users_of_the_real_saslpasswd2_log_in_with_their_passwords(site: Site) -> None:
    file = site.directory / "sasldb2"
    set_password(file, "alice", b"geheim", "example.org")
    set_password(file, "bob", b"x" * 100, "Example.net")
    file.chmod(0o600)
    outcome = forked("import", "sasldb", str(file), "--config", site.configuration)
    assert (outcome.code, outcome.out.splitlines()[1], outcome.err) == (0, "2 accounts added", "")
    assert site.right("alice@example.org", b"geheim")
    assert site.right("bob@example.net", b"x" * 100)
    again = forked("import", "sasldb", str(file), "--config", site.configuration)
    assert "sasldb2: record " in again.err


def test_default_realm_of_the_configuration_is_taken_for_names_without_one(site: Site) -> None:
    site.configure('[identity]\ndefault_realm = "example.org"\n')
    assert taken(site, "passwd-file", f"alice:{ARGON2ID}\n").code == 0
    assert taken(site, "passwd-file", f"bob:{ARGON2ID}\n", "--realm", "").code == 0
    assert names(site) == ["bob", "alice@example.org"]


def test_file_is_read_with_the_rights_of_the_caller_and_standard_input_too(site: Site) -> None:
    secret = site.directory / "private"
    secret.mkdir(mode=0o700)
    (secret / "users").write_text(f"alice:{ARGON2ID}\n")
    (secret / "users").chmod(0o600)
    assert forked("import", "passwd-file", str(secret / "users"), "--config", site.configuration).code == 0
    command = [sys.executable, "-m", "saslauthd_py", "import", "passwd-file", "-", "--config", site.configuration]
    done = subprocess.run(
        command, input=f"bob:{ARGON2ID}\n{'#' * 200000}\ncarl:{ARGON2ID}\n".encode(), capture_output=True, env=environment(), check=False
    )
    assert (done.returncode, done.stdout) == (0, b"2 accounts added\n")
    assert names(site) == ["alice", "bob", "carl"]


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("passwd-file", "FILE", "--name-attribute", "mail"), 64, "--name-attribute is for ldif"),
        (("passwd-file", "FILE", "--scheme", "nobody's"), 64, "unknown scheme"),
        (("passwd-file", "FILE", "--scheme", "md5"), 64, "no longer made"),
        (("other", "FILE"), 64, "invalid choice: 'other'"),
        (("passwd-file", "FILE", "--most-listed", "x"), 64, "'x' is no number"),
        (("passwd-file", "FILE", "--realm", "a..b\u00fc"), 65, "realm is no domain name"),
        (("passwd-file", "/nowhere/users"), 66, "/nowhere/users: no such file or directory"),
        (("sasldb", "/nowhere/sasldb2"), 65, "/nowhere/sasldb2: no such file or directory"),
        (("sasldb", "FILE"), 65, "it is no sasldb2"),
        (("jsonl", "FILE"), 65, "an export of format 9, and this program knows 1: upgrade it"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_and_no_store_is_made(arguments: tuple[str, ...], code: int, line: str, site: Site) -> None:
    file = site.directory / "file"
    file.write_text('{"saslauthd-py accounts": 9}\n')
    words = [str(file) if word == "FILE" else word for word in arguments]
    outcome = forked("import", *words, "--config", site.configuration)
    assert outcome.code == code
    assert line in outcome.error
    assert not site.store.exists()


def test_where_semaphores_cannot_be_made_the_line_names_their_directory(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(processes, "ProcessPoolExecutor", denied)
    outcome = taken(site, "passwd-file", USERS)
    assert (outcome.code, outcome.error) == (77, "/dev/shm: permission denied")


def test_process_that_is_killed_ends_the_import_with_nothing_taken_over(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "make", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    outcome = taken(site, "passwd-file", f"alice:{ARGON2ID}\nbob:{{PLAIN}}geheim\n")
    assert outcome.code == 65
    assert outcome.error == "a process that read the file was killed: is memory short? Nothing was imported"
    assert os.listdir(site.store.parent) == []


def test_work_that_takes_long_is_handed_back_in_parts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "_SLICE", -1.0)
    text = "".join(f"user{number}:{ARGON2ID}\n" for number in range(40)) + "x:{FOO}y\n"
    outcome = taken(site, "passwd-file", text)
    assert outcome.out.splitlines()[1] == "40 accounts added; 1 account of the file not taken over"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_f1_import_that_is_stopped_leaves_neither_a_store_nor_a_process(site: Site, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "saslauthd_py", "import", "passwd-file", "-", "--config", site.configuration]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"alice:{PLAIN}geheim\n" * 10000)  # more than a block: some of it is worked on
        process.stdin.flush()
        until(lambda: len(children_of(process.pid)) == (os.cpu_count() or 1), "a process a core")
        children = children_of(process.pid)
        process.send_signal(number)
        code = process.wait(PATIENCE)
        until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), "gone with the command")
        assert code == (130 if number is signal.SIGINT else -number)
        assert b"Traceback" not in process.stderr.read()
    assert not site.store.exists()
    if number is signal.SIGINT:
        assert os.listdir(site.store.parent) == []


def test_as_many_processes_as_cores_work_at_once(site: Site) -> None:
    assert processes._AHEAD >= 2, "one that is done has the next block at hand"
    command = [sys.executable, "-m", "saslauthd_py", "import", "passwd-file", "-", "--config", site.configuration, "--dry-run"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment()) as process:
        assert process.stdin is not None
        until(lambda: len(children_of(process.pid)) == (os.cpu_count() or 1), "a process a core")
        process.stdin.write(f"alice:{ARGON2ID}\n".encode())
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_small_file_whose_passwords_are_in_clear_is_shared_by_all_processes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(scheme: str, secret: Secret) -> Encoding:
        with open(site.directory / "pids", "a") as file:
            file.write(f"{os.getpid()} {secret.reveal().decode()}\n")
        return Encoding(scheme, ARGON2ID)

    (site.directory / "pids").touch()
    (site.directory / "pids").chmod(0o666)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(passwords, "make", counted)
    monkeypatch.setattr(converting, "_SLICE", -1.0)
    outcome = taken(site, "passwd-file", "".join(f"user{number}:{{PLAIN}}{number}\n" for number in range(60)))
    assert outcome.out.splitlines()[1] == "60 accounts added"
    hashed = [line.split() for line in (site.directory / "pids").read_text().splitlines()]
    assert sorted(int(number) for _, number in hashed) == list(range(60))
    assert len({pid for pid, _ in hashed}) > 1
