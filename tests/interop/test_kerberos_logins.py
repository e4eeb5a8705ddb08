"""Logins by a real KDC: every verdict, the KDC that is not ours, every outage; and the whole daemon, with the library and without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from saslauthd_py.app import kerberos
from saslauthd_py.app.directories import Unusable
from saslauthd_py.app.online.findings import Outcome, Said
from saslauthd_py.app.online.proving import proved
from saslauthd_py.app.start import StartError
from saslauthd_py.backend import Attempt
from saslauthd_py.backends.kerberos import KerberosBackend, verdicts
from saslauthd_py.backends.kerberos.proving import NotProved
from saslauthd_py.config.settings import KerberosSettings
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from tests.interop.daemon import GROUP, PATIENCE, USER, Daemon, environment, searchable
from tests.interop.kdc import SERVICE, Kdc, kdc, system_gssapi
from tests.interop.mux import NO, OK, ask

if TYPE_CHECKING:
    from saslauthd_py.backends.kerberos.proving import Proving

pytestmark = pytest.mark.peer("krb5")

WRONG = Rejected(Reason.WRONG_SECRET)
PEOPLE = (
    "addprinc -pw pw1 alice",
    "addprinc -pw pw1 +requires_preauth bob",
    "addprinc -pw mail-pw alice/mail",
    "addprinc -pw pw1 -allow_tix locked",
    "addprinc -pw pw1 -expire yesterday gone",
    "addprinc -pw pw1 -pwexpire yesterday old",
    "addprinc -pw pw1 +needchange fresh",
    "addprinc -pw pässwörd müller",
    "addprinc -randkey imap/mx.test",
)


@pytest.fixture(scope="module")
def library() -> Iterator[Path]:
    """The system's python-gssapi, for this process and those that it starts."""
    with searchable() as directory:
        sys.path.append(str(system_gssapi(directory)))
        yield directory
        sys.path.remove(str(directory))


@pytest.fixture(scope="module")
def realm(library: Path) -> Iterator[Kdc]:
    with searchable() as directory, kdc(directory) as made:
        made.admin(*PEOPLE)
        yield made


@pytest.fixture(autouse=True)
def of_this_realm(realm: Kdc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever writes tickets or replay caches to files would write them here."""
    monkeypatch.setenv("KRB5_CONFIG", str(realm.configuration))
    (tmp_path / "files").mkdir()
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/files/cc")
    monkeypatch.setenv("KRB5RCACHEDIR", f"{tmp_path}/files")
    monkeypatch.setenv("TMPDIR", f"{tmp_path}/files")


def settings(ours: Kdc, **keys: Any) -> KerberosSettings:
    return KerberosSettings.model_validate({"type": "kerberos", "keytab": str(ours.keytab), "verify_principal": SERVICE, **keys})


async def login(ours: Kdc, name: str, secret: str | bytes, service: str = "smtp", **keys: Any) -> Verdict:
    wanted = settings(ours, **keys)
    presented = secret.encode() if isinstance(secret, str) else secret
    backend = KerberosBackend(wanted, kerberos.prepared(wanted), "realm")
    return await backend.verify_password(Attempt(Identity(name), Secret(presented), service))


@pytest.mark.parametrize(
    ("name", "secret", "verdict"),
    [
        ("alice", "pw1", Accepted(Identity("alice"))),
        ("alice", "wrong", WRONG),
        ("alice", "", WRONG),
        ("alice", b"pw1\0x", WRONG),
        ("alice", "x" * 5000, WRONG),
        ("alice", b"\xff\xfe", WRONG),
        ("bob", "pw1", Accepted(Identity("bob"))),
        ("bob", "wrong", WRONG),
        ("müller", "pässwörd", Accepted(Identity("müller"))),
        ("nobody", "pw1", UnknownUser()),
        ("alice@OTHER.REALM", "pw1", UnknownUser()),
        ("alice/mail", "mail-pw", Accepted(Identity("alice/mail"))),
        ("alice/mail", "pw1", WRONG),
        ("locked", "pw1", Rejected(Reason.LOCKED)),
        ("gone", "pw1", Rejected(Reason.EXPIRED)),
        ("old", "pw1", Rejected(Reason.EXPIRED)),
        ("fresh", "pw1", Rejected(Reason.EXPIRED)),
    ],
)
async def test_verdicts(realm: Kdc, name: str, secret: str | bytes, verdict: Verdict, tmp_path: Path) -> None:
    assert await login(realm, name, secret) == verdict
    assert list((tmp_path / "files").iterdir()) == [], "tickets and replay caches are kept in memory only"


async def test_password_that_has_changed_is_refused_at_once(realm: Kdc) -> None:
    realm.admin("addprinc -pw pw1 carol")
    assert await login(realm, "carol", "pw1") == Accepted(Identity("carol"))
    realm.admin("cpw -pw pw2 carol")
    assert [await login(realm, "carol", secret) for secret in ("pw1", "pw2")] == [WRONG, Accepted(Identity("carol"))]


async def test_service_has_its_own_principals(realm: Kdc) -> None:
    keys = {"service_instance": {"imap": "mail"}}
    assert await login(realm, "alice", "mail-pw", "imap", **keys) == Accepted(Identity("alice"))
    assert await login(realm, "alice", "pw1", "imap", **keys) == WRONG
    assert await login(realm, "alice", "pw1", "smtp", **keys) == Accepted(Identity("alice"))


async def test_kdc_of_somebody_else_lets_nobody_in(
    realm: Kdc, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the realm's name, our service, a key of the same number for it, and alice with a password that its owner knows."""
    with kdc(tmp_path_factory.mktemp("spoof")) as spoof:
        spoof.admin("addprinc -pw guess alice")
        monkeypatch.setenv("KRB5_CONFIG", str(spoof.configuration))
        assert await login(spoof, "alice", "guess") == Accepted(Identity("alice"))
        verdict = await login(realm, "alice", "guess")
        assert isinstance(verdict, Unavailable)
        assert verdict.judged
        assert verdict.cause.startswith("proving the KDC by the keytab: ")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"keytab": "/nonexistent/keytab"}, "not found"),
        ({"keytab": "/etc/passwd"}, "the file is no keytab"),
        ({"verify_principal": "host/other.test"}, "it has no such key"),
        ({"verify_principal": "nix"}, "it has no such key"),
    ],
)
async def test_keytab_that_proves_nothing_is_an_outage_before_the_kdc_is_asked(realm: Kdc, keys: dict[str, str], words: str) -> None:
    with realm.stopped():
        verdict = await login(realm, "alice", "pw1", **keys)
    assert isinstance(verdict, Unavailable)
    assert (verdict.judged, words in verdict.cause) == (False, True), verdict.cause
    wanted = settings(realm, **keys)
    assert words in kerberos.complaint(wanted, kerberos.prepared(wanted))
    (said,) = proved(wanted, kerberos.prepared(wanted))
    assert (said.step, said.outcome) == ("keytab", Outcome.FAIL)


async def test_key_that_was_renewed_at_the_kdc_is_an_outage(realm: Kdc, tmp_path_factory: pytest.TempPathFactory) -> None:
    own = tmp_path_factory.mktemp("renewed")
    realm.admin("addprinc -randkey smtp/mx.test", f"ktadd -k {own}/keytab smtp/mx.test")
    keys = {"keytab": f"{own}/keytab", "verify_principal": "smtp/mx.test"}
    assert await login(realm, "alice", "pw1", **keys) == Accepted(Identity("alice"))
    realm.admin("cpw -randkey smtp/mx.test")
    verdict = await login(realm, "alice", "pw1", **keys)
    assert isinstance(verdict, Unavailable)
    assert "write it anew (ktadd)" in verdict.cause
    realm.admin("delprinc -force smtp/mx.test")
    verdict = await login(realm, "alice", "pw1", **keys)
    assert isinstance(verdict, Unavailable)
    assert "the KDC does not know verify_principal" in verdict.cause


async def test_d8_kdc_that_is_gone_is_an_outage(realm: Kdc) -> None:
    with realm.stopped():
        verdict = await login(realm, "alice", "pw1")
    assert isinstance(verdict, Unavailable)
    assert not verdict.judged
    assert "does it run" in verdict.cause
    assert await login(realm, "alice", "pw1") == Accepted(Identity("alice"))
    verdict = await login(realm, "alice", "pw1", realm="ELSEWHERE.INVALID")
    assert isinstance(verdict, Unavailable)
    assert "/etc/krb5.conf" in verdict.cause


async def test_kdc_that_stands_still_is_an_outage_and_holds_no_interpreter(realm: Kdc) -> None:
    with realm.frozen():
        stop, turns = threading.Event(), [0]

        def count() -> None:
            while not stop.wait(0.001):
                turns[0] += 1

        counting = threading.Thread(target=count)
        counting.start()
        began = time.monotonic()
        verdict = await login(realm, "alice", "pw1", timeout="300ms")
        took = time.monotonic() - began
        stop.set()
        counting.join()
    assert verdict == Unavailable("no answer of the KDC within 0.3 s", judged=True)
    assert took < 5, "the library itself waits for 10 s and more"
    assert turns[0] > 3


def outcomes(said: Iterator[Said]) -> list[tuple[str, Outcome, bool]]:
    return [(one.step, one.outcome, one.unreachable) for one in said]


def test_online_check_needs_no_password(realm: Kdc) -> None:
    wanted = settings(realm)
    proving: Proving = kerberos.prepared(wanted)
    assert outcomes(proved(wanted, proving)) == [("keytab", Outcome.PASS, False), ("kdc", Outcome.PASS, False)]
    with realm.stopped():
        assert outcomes(proved(wanted, proving)) == [("keytab", Outcome.PASS, False), ("kdc", Outcome.FAIL, True)]
    realm.admin(f"modprinc -allow_tix {SERVICE}")
    try:
        assert outcomes(proved(wanted, proving)) == [("keytab", Outcome.PASS, False), ("kdc", Outcome.WARN, False)]
    finally:
        realm.admin(f"modprinc +allow_tix {SERVICE}")


def test_library_that_is_missing_is_an_error_of_the_configuration(realm: Kdc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    monkeypatch.delitem(sys.modules, "saslauthd_py.backends.kerberos.gss", raising=False)
    with pytest.raises(Unusable) as caught:
        kerberos.prepared(settings(realm))
    ((key, text),) = caught.value.complaints
    assert (key, "saslauthd-py[kerberos]" in text) == ("type", True)
    with pytest.raises(StartError, match=r"^backend\.realm\.type: .*needs the Python package gssapi"):
        kerberos.opened("realm", settings(realm))


def test_failure_says_its_step(realm: Kdc) -> None:
    proving = kerberos.prepared(settings(realm))
    with pytest.raises(NotProved) as caught:
        proving.prove("bob", Secret(b"secret-that-is-wrong"))
    assert verdicts.told(caught.value) == "asking the KDC with the password: Preauthentication failed"
    assert "secret-that" not in repr(caught.value.__context__) + repr(caught.value)


CONFIGURATION = """\
[[listen]]
protocol = "saslauthd"
path = "{directory}/mux"
[backend.realm]
type = "kerberos"
keytab = "{keytab}"
verify_principal = "host/mx.test"
timeout = "2s"
[[route]]
realm = ""
backends = ["realm"]
[log]
to = "stderr"
[control]
path = "{directory}/control"
[failure]
delay = "0s"
"""


@pytest.fixture
def site(realm: Kdc) -> Iterator[Path]:
    """A configuration in a directory of the daemon's user."""
    with searchable() as directory:
        file = directory / "saslauthd-py.toml"
        file.write_text(CONFIGURATION.format(directory=directory, keytab=realm.keytab))
        if os.geteuid() == 0:
            shutil.chown(directory, USER, GROUP)
        yield file


def program(realm: Kdc, *library: Path) -> list[str]:
    """`saslauthd-py` as nobody, who has no monitor and its own variables."""
    path = os.pathsep.join([*map(str, library), environment()["PYTHONPATH"]])
    user = ["setpriv", f"--reuid={USER}", f"--regid={GROUP}", "--clear-groups"] if os.geteuid() == 0 else []
    return ["env", f"PYTHONPATH={path}", f"KRB5_CONFIG={realm.configuration}", *user, sys.executable, "-m", "saslauthd_py"]


@pytest.mark.peer("unshare")
def test_daemon_asks_the_kdc(realm: Kdc, site: Path, library: Path) -> None:
    daemon = Daemon(site, program(realm, library))
    daemon.start()
    try:
        mux = site.parent / "mux"
        assert [ask(mux, *words) for words in (("alice", "pw1"), ("alice", "wrong"), ("nobody", "pw1"))] == [OK, NO, NO]
        with realm.stopped():
            assert ask(mux, "alice", "pw1") == b""
        assert ask(mux, "alice", "pw1") == OK
        daemon.wait_for_line("unavailable", "user=alice", "asking the KDC with the password")
        daemon.wait_for_line("rejected", "reason=unknown-user")
    finally:
        daemon.stop()


@pytest.mark.peer("unshare")
def test_daemon_without_the_keytab_starts_and_says_so(realm: Kdc, site: Path, library: Path) -> None:
    site.write_text(site.read_text().replace(str(realm.keytab), "/nonexistent/keytab"))
    command = [*program(realm, library), "config", "check", "--config", str(site)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd="/", check=False)
    assert done.returncode == 0
    assert "backend.realm.keytab: /nonexistent/keytab" in done.stdout + done.stderr
    checked = subprocess.run(
        [*program(realm, library), "serve", "--check", "--config", str(site)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd="/",
        check=False,
    )
    assert "backend.realm.keytab: /nonexistent/keytab" in checked.stdout + checked.stderr
    daemon = Daemon(site, program(realm, library))
    daemon.start()
    try:
        daemon.wait_for_line("ERROR", "backend realm: /nonexistent/keytab")
        assert ask(site.parent / "mux", "alice", "pw1") == b""
    finally:
        daemon.stop()


@pytest.mark.peer("unshare")
@pytest.mark.parametrize("words", [("config", "check"), ("serve", "--check"), ("serve",)])
def test_without_the_library_nothing_starts_and_the_extra_is_named(realm: Kdc, site: Path, words: tuple[str, ...]) -> None:
    if subprocess.run([sys.executable, "-c", "import gssapi"], capture_output=True, check=False).returncode == 0:
        pytest.skip("this Python has gssapi of its own")
    command = [*program(realm), *words, "--config", str(site)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd="/", check=False)
    assert done.returncode == 78
    assert "saslauthd-py[kerberos]" in done.stdout + done.stderr
