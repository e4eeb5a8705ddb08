"""The units under a real systemd, process 1 of namespaces of its own, which applies every restriction that they ask for."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.mux import NO, OK, ask
from tests.interop.pam_machine import STACKS, hashed
from tests.interop.waiting import until
from tests.packaging.systemd_machine import BOTH, UNITS, NoSystemd, SystemdMachine, status_of, systemd_machine

pytestmark = [pytest.mark.root, pytest.mark.peer("systemd")]

FRONT, MONITOR = BOTH
MUX = "/run/saslauthd/mux"
ALICE = "alice@example.org"
MOST_EXPOSURE = 15
"""Tenths."""

CONFIGURATION = f"""\
[[listen]]
protocol = "saslauthd"
path = "{MUX}"

[[listen]]
protocol = "saslauthd"
path = "/run/saslauthd/daemons-only"
allow_users = ["daemon"]
mode = "0666"

[[listen]]
protocol = "dovecot"
address = "127.0.0.1:12345"

[[listen]]
protocol = "dovecot"
address = "[::1]:999"

[backend.users]
type = "store"

[backend.system]
type = "pam"
services = ["smtp", "imap"]
workers = 1

[[route]]
realm = ""
backends = ["system"]

[[route]]
realm = "*"
backends = ["users"]

[failure]
delay = "0s"

[metrics]
address = "127.0.0.1:9477"
"""

PAM = "auth required pam_unix.so nodelay\naccount required pam_unix.so\n"


@pytest.fixture(scope="module")
def machine() -> Iterator[SystemdMachine]:
    """With the user, the directories, a configuration, alice in the store and bob in /etc/shadow."""
    try:
        with systemd_machine() as machine:
            machine.run("systemd-tmpfiles", "--create", f"{machine.directory}/units/saslauthd-py.tmpfiles")
            configure(machine, CONFIGURATION)
            machine.run("saslauthd-py", "user", "add", ALICE, "--password-stdin", secret="pw1")
            etc = machine.root / "etc"
            with (etc / "passwd").open("a") as passwd, (etc / "shadow").open("a") as shadow:
                passwd.write("bob:x:60000:65534::/nonexistent:/usr/sbin/nologin\n")
                shadow.write(f"bob:{hashed('pw2')}:19000:0:99999:7:::\n")
            (etc / "pam.d" / "smtp").write_text(PAM)
            yield machine
    except NoSystemd as error:
        pytest.skip(f"no systemd can be process 1 here: {error}")


@pytest.fixture
def running(machine: SystemdMachine) -> Iterator[SystemdMachine]:
    """Started; stopped and forgotten at the end."""
    machine.systemctl("start", FRONT)
    yield machine
    machine.systemctl("stop", FRONT)
    machine.systemctl("reset-failed")


def configure(machine: SystemdMachine, text: str) -> None:
    (machine.root / "etc/saslauthd-py/saslauthd-py.toml").write_text(text)


def login(machine: SystemdMachine, name: str, password: str, service: str = "smtp") -> bytes:
    return ask(machine.root / MUX[1:], name, password, service)


def serving(machine: SystemdMachine) -> bool:
    return machine.states() == ("active", "active")


def probed(machine: SystemdMachine, program: str, unit: str = FRONT) -> dict[str, object]:
    """What a program finds in place of the unit's own: same user, same restrictions. It prints JSON."""
    text = (machine.directory / "units" / unit).read_text()
    text = re.sub(r"(?m)^(Requires|Wants|PartOf|After|ExecReload|WatchdogSec|Restart|.*Directory.*)=.*\n", "", text)
    script, found = "/run/probe.py", machine.directory / "probe.out"
    (machine.root / script[1:]).write_text(program)
    found.write_text("")
    text = re.sub(r"(?m)^Type=.*$", "Type=oneshot", text)
    text = re.sub(r"(?m)^ExecStart=.*$", f"ExecStart={sys.executable} {script}\nStandardOutput=append:{found}\nStandardError=inherit", text)
    machine.unit("probe.service", text)
    machine.systemctl("start", "probe.service", check=False)
    told = found.read_text()
    assert told.startswith("{"), told
    answer: dict[str, object] = json.loads(told)
    return answer


def test_systemd_finds_nothing_wrong_with_units_and_examples(machine: SystemdMachine) -> None:
    examples = UNITS / "examples"
    for unit, name in ((FRONT, "more.conf"), (MONITOR, "monitor-more.conf")):
        lines = [line.removeprefix("#") if re.match(r"#[A-Z]", line) else line for line in (examples / name).read_text().splitlines()]
        machine.unit(f"{unit}.d/more.conf", "\n".join(lines) + "\n")
    machine.unit("saslauthd-py-monitor.socket", (examples / "saslauthd-py-monitor.socket").read_text())
    try:
        units = machine.directory / "units"
        done = machine.run(
            "systemd-analyze", "verify", "--man=no", f"{units}/{FRONT}", f"{units}/{MONITOR}", f"{units}/saslauthd-py-monitor.socket"
        )
        assert (done.stdout, done.stderr) == ("", "")
    finally:
        for name in (f"{FRONT}.d/more.conf", f"{MONITOR}.d/more.conf", "saslauthd-py-monitor.socket"):
            (machine.directory / "units" / name).unlink()
        machine.systemctl("daemon-reload")


def test_the_exposure_of_the_front_is_at_most_1_5(machine: SystemdMachine) -> None:
    machine.run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE}", str(UNITS / FRONT))


def test_nothing_flatters_that_would_break_peers_ldap_or_a_module_of_pam(machine: SystemdMachine) -> None:
    off = {"PrivateUsers": "no", "ProtectProc": "default", "IPAddressDeny": "", "PrivateNetwork": "no"}
    assert machine.shown(FRONT, *off) == off
    off |= {
        **dict.fromkeys(("NoNewPrivileges", "MemoryDenyWriteExecute", "PrivateTmp", "PrivateDevices", "ProtectHome", "ProtectClock"), "no"),
        "DevicePolicy": "auto",
        "ProtectSystem": "yes",
        "User": "",
    }
    assert machine.shown(MONITOR, *off) == off


def test_a1_started_by_the_front_s_unit_both_halves_answer_logins(running: SystemdMachine) -> None:
    assert serving(running)
    assert [login(running, ALICE, secret) for secret in ("pw1", "pw2")] == [OK, NO]
    assert [login(running, "bob", secret) for secret in ("pw2", "pw1")] == [OK, NO]
    assert login(running, "nobody-here", "pw2") == NO
    owners = {name: running.run("stat", "-c", "%U %a", name).stdout.strip() for name in ("/run/saslauthd-py", "/run/saslauthd")}
    assert owners == {"/run/saslauthd-py": "root 755", "/run/saslauthd": "root 755"}
    assert running.run("stat", "-c", "%U %a", "/var/lib/saslauthd-py").stdout == "saslauthd-py 700\n"
    assert running.run("stat", "-c", "%U %a", "/run/saslauthd-py/control").stdout == "saslauthd-py 600\n"


def test_a2_the_kernel_shows_the_restrictions_of_each_half(running: SystemdMachine) -> None:
    front, monitor = running.status(FRONT), running.status(MONITOR)
    nothing = "0" * 16
    assert [front[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [nothing] * 5
    assert (front["NoNewPrivs"], front["Seccomp"], monitor["Seccomp"]) == ("1", "2", "2")
    assert (front["Uid"].split()[0] == "0", monitor["Uid"].split()) == (False, ["0"] * 4)
    assert running.shown(FRONT, "LimitNOFILE") == {"LimitNOFILE": "65536"}
    kept = sum(1 << number for number in (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 14, 23, 24, 29))  # linux/capability.h
    here = int(status_of((running.root / "proc/1/status").read_text())["CapBnd"], 16)  # a virtual machine may have kept some
    assert int(monitor["CapBnd"], 16) == kept & here


def test_the_peer_is_named_and_allow_users_tells_users_apart(running: SystemdMachine) -> None:
    client = ("saslauthd-py", "test", ALICE, "--password-stdin", "--socket")
    running.run(*client, MUX, secret="pw1")
    until(lambda: any(re.search(r"accepted user=alice@example.org .* peer=python\S*\[\d+\]", line) for line in running.log()), "the line")
    setpriv = ("setpriv", "--reuid=daemon", "--clear-groups", "--")
    assert running.run(*setpriv, *client, "/run/saslauthd/daemons-only", secret="pw1").returncode == 0
    setpriv = ("setpriv", "--reuid=games", "--clear-groups", "--")
    assert running.run(*setpriv, *client, "/run/saslauthd/daemons-only", secret="pw1", check=False).returncode == 75


DOVECOT_LOGIN = """\
import base64, socket, sys
host, port, name, secret = sys.argv[1:]
with socket.create_connection((host, int(port)), 10) as client, client.makefile("rb") as lines:
    while lines.readline() not in (b"DONE\\n", b""): pass
    resp = base64.b64encode(b"\\0".join((b"", name.encode(), secret.encode()))).decode()
    client.sendall(f"VERSION\\t1\\t1\\nCPID\\t1\\nAUTH\\t1\\tPLAIN\\tservice=smtp\\tresp={resp}\\n".encode())
    print(lines.readline().decode().split("\\t")[0])
"""


def dovecot_login(machine: SystemdMachine, host: str, port: int, secret: str) -> str:
    """OK or FAIL, as a client inside is told."""
    return machine.run(sys.executable, "-c", DOVECOT_LOGIN, host, str(port), ALICE, secret).stdout.strip()


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 12345), ("::1", 999)])
def test_clients_at_a_tcp_address_are_answered_at_a_port_of_root_s_too(host: str, port: int, running: SystemdMachine) -> None:
    assert [dovecot_login(running, host, port, secret) for secret in ("pw1", "pw2")] == ["OK", "FAIL"]


def test_h2_a_tcp_socket_of_a_socket_unit_is_served(machine: SystemdMachine) -> None:
    text = (UNITS / "examples" / "saslauthd-py-monitor.socket").read_text()
    machine.unit("saslauthd-py-monitor.socket", text.replace("#ListenStream=", "ListenStream="))
    try:
        machine.systemctl("start", "saslauthd-py-monitor.socket")
        assert machine.states() == ("inactive", "inactive")
        assert dovecot_login(machine, "127.0.0.1", 12345, "pw1") == "OK", "it starts both"
        assert login(machine, ALICE, "pw1") == OK
        machine.systemctl("stop", FRONT)
        assert dovecot_login(machine, "127.0.0.1", 12345, "pw1") == "OK", "it starts both again"
    finally:
        machine.systemctl("stop", "saslauthd-py-monitor.socket", FRONT)
        (machine.directory / "units" / "saslauthd-py-monitor.socket").unlink()
        machine.systemctl("daemon-reload")


def test_metrics_are_there_on_localhost(running: SystemdMachine) -> None:
    program = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9477/metrics').read().decode())"
    assert "saslauthd" in running.run(sys.executable, "-c", program).stdout


def test_h1_systemctl_reload_returns_when_the_new_configuration_serves(running: SystemdMachine) -> None:
    before = running.main_pid(FRONT)
    configure(running, CONFIGURATION.replace(f'path = "{MUX}"', f'path = "{MUX}2"'))
    try:
        running.systemctl("reload", FRONT)
        assert ask(running.root / f"{MUX[1:]}2", ALICE, "pw1") == OK
        configure(running, "[wrong]\n")
        running.systemctl("reload", FRONT, check=False)
        assert running.shown(FRONT, "ExecReload")["ExecReload"].endswith("status=78 }")
        assert ask(running.root / f"{MUX[1:]}2", ALICE, "pw1") == OK
    finally:
        configure(running, CONFIGURATION)
    running.systemctl("reload", FRONT)
    assert (login(running, ALICE, "pw1"), running.main_pid(FRONT)) == (OK, before)


def test_start_stop_and_restart_of_the_front_are_the_monitor_s_too(running: SystemdMachine) -> None:
    before = running.pids()
    running.systemctl("restart", FRONT)
    assert serving(running)
    assert not set(before) & set(running.pids())
    assert login(running, ALICE, "pw1") == OK
    running.systemctl("stop", FRONT)
    until(lambda: running.states() == ("inactive", "inactive"), "the monitor's end too")
    assert not (running.root / MUX[1:]).exists()
    running.systemctl("start", MONITOR)
    until(lambda: serving(running), "the front, which the monitor wants")
    running.systemctl("stop", MONITOR)
    assert running.states() == ("inactive", "inactive")


@pytest.mark.parametrize("unit", BOTH)
def test_a5_whichever_half_is_killed_both_are_started_again(unit: str, running: SystemdMachine) -> None:
    gone = {*running.pids(), "0"}
    running.systemctl("kill", "--signal=KILL", "--kill-whom=main", unit)
    until(lambda: not gone & set(running.pids()), "both halves anew")
    assert [login(running, ALICE, "pw1"), login(running, "bob", "pw2")] == [OK, OK]


def test_e9_a_front_whose_loop_stands_still_is_started_again(machine: SystemdMachine) -> None:
    assert "\nWatchdogSec=30\n" in (UNITS / FRONT).read_text()
    machine.unit(f"{FRONT}.d/watchdog.conf", "[Service]\nWatchdogSec=2\n")
    try:
        machine.systemctl("start", FRONT)
        gone = {*machine.pids(), "0"}
        machine.systemctl("kill", "--signal=STOP", FRONT)
        until(lambda: not gone & set(machine.pids()), "another front")
        assert login(machine, ALICE, "pw1") == OK
        machine.systemctl("stop", FRONT)
    finally:
        machine.unit(f"{FRONT}.d/watchdog.conf", "")


def test_a_wrong_configuration_is_an_error_and_is_not_tried_again(machine: SystemdMachine) -> None:
    configure(machine, "[wrong]\n")
    try:
        machine.systemctl("start", FRONT, check=False)
        assert machine.states() == ("inactive", "failed")
        assert machine.shown(MONITOR, "ExecMainStatus", "NRestarts") == {"ExecMainStatus": "78", "NRestarts": "0"}
        assert any("saslauthd-py.toml:1" in line for line in machine.log(MONITOR))
    finally:
        configure(machine, CONFIGURATION)
        machine.systemctl("reset-failed")


def test_no_store_is_an_error_and_is_not_tried_again(machine: SystemdMachine) -> None:
    configure(machine, CONFIGURATION.replace('type = "store"', 'type = "store"\npath = "/var/lib/saslauthd-py/none.db"'))
    try:
        machine.systemctl("start", FRONT, check=False)
        until(lambda: machine.states() == ("failed", "inactive"), "both stopped")
        assert machine.shown(FRONT, "ExecMainStatus", "NRestarts") == {"ExecMainStatus": "66", "NRestarts": "0"}
    finally:
        configure(machine, CONFIGURATION)
        machine.systemctl("reset-failed")


FRONT_PROBE = """\
import array, ctypes, json, mmap, os, resource, socket, sqlite3, struct, sys, threading
found = {}
def attempt(name, what):
    try: found[name] = what() or "done"
    except Exception as error: found[name] = type(error).__name__
def hashes():
    import argon2
    argon2.PasswordHasher().verify(argon2.PasswordHasher().hash("pw"), "pw")
def store():
    db = sqlite3.connect("/tmp/probe.db"); db.execute("PRAGMA journal_mode=WAL"); db.execute("CREATE TABLE t (a)"); db.close()
def tcp():
    import trio
    async def both():
        async with trio.open_nursery() as nursery:
            async def answer(stream): await stream.send_all(b"x")
            (listener,) = await nursery.start(lambda task_status: trio.serve_tcp(answer, 0, host="127.0.0.1", task_status=task_status))
            stream = await trio.open_tcp_stream("localhost", listener.socket.getsockname()[1])
            assert await stream.receive_some(1) == b"x"
            nursery.cancel_scope.cancel()
    trio.run(both)
def descriptors():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sent = os.memfd_create("x"); os.write(sent, b"y")
    socket.send_fds(ours, [b"z"], [sent])
    _, (taken,), _, _ = socket.recv_fds(theirs, 10, 1)
    assert os.pread(taken, 1, 0) == b"y"
def callbacks():
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    numbers = (ctypes.c_int * 2)(2, 1)
    order = kind(lambda a, b: ctypes.cast(a, ctypes.POINTER(ctypes.c_int))[0] - ctypes.cast(b, ctypes.POINTER(ctypes.c_int))[0])
    ctypes.CDLL(None).qsort(numbers, 2, 4, order)
    assert list(numbers) == [1, 2]
def crypt():
    from saslauthd_py import passwords
    from saslauthd_py.secret import Secret
    passwords.preload()
    for scheme in ("yescrypt", "sha512crypt"): passwords.make(scheme, Secret(b"pw"))
for name in ("hashes", "store", "tcp", "descriptors", "callbacks", "crypt"):
    attempt(name, globals()[name])
attempt("limits", lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
attempt("peer", lambda: open("/proc/1/comm").read().strip())
attempt("shadow", lambda: open("/etc/shadow"))
attempt("etc", lambda: open("/etc/x", "w"))
attempt("lib", lambda: open("/var/lib/x", "w"))
attempt("writable code", lambda: mmap.mmap(-1, 4096, prot=7))
attempt("packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*arguments) == -1: raise OSError(ctypes.get_errno(), "")
attempt("namespace", lambda: call(272, 0x10000000))
attempt("trace", lambda: call(101, 0, 1, 0, 0))
attempt("keys", lambda: call(250, 0, -3, 0))
print(json.dumps(found))
"""


def test_what_the_front_needs_works_under_its_restrictions_and_the_rest_does_not(machine: SystemdMachine) -> None:
    package = (machine.directory / "saslauthd-py").read_text().split('PYTHONPATH="')[1].split('"')[0]
    found = probed(machine, f"import sys; sys.path.append({package!r})\n{FRONT_PROBE}")
    works = dict.fromkeys(("hashes", "store", "tcp", "descriptors", "callbacks", "crypt", "limits"), "done")
    refused = dict.fromkeys(("shadow", "namespace", "writable code"), "PermissionError")
    readonly = dict.fromkeys(("etc", "lib"), "OSError")
    families = dict.fromkeys(("packets", "netlink"), "OSError")
    expected = {**works, "peer": "systemd", **refused, **readonly, **families, "trace": "PermissionError", "keys": "done"}
    assert found == expected


MODULE = """\
#!/bin/sh -e
echo one >>{home}/token
echo two >>/etc/users.oath
{python} -c 'import socket; socket.create_connection(("127.0.0.1", 9477)); socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)'
{python} -c 'import mmap; mmap.mmap(-1, 4096, prot=7)'
setpriv --reuid=60000 --clear-groups true
mkdir /dev/shm/module
"""
"""What modules of PAM do: a home, a file in /etc, the network, the kernel's audit, code made at run time, another user, /dev."""


def test_a_module_of_pam_finds_its_home_etc_and_the_network_in_the_monitor_s_unit(running: SystemdMachine) -> None:
    script, home = running.directory / "module", running.directory / "home"
    home.mkdir()
    script.write_text(MODULE.format(home=home, python=sys.executable))
    script.chmod(0o755)
    (running.root / "etc/pam.d/imap").write_text(f"auth required pam_exec.so {script}\n{PAM}")
    assert login(running, "bob", "pw2", "imap") == OK, running.told()
    assert ((home / "token").read_text(), (running.root / "etc/users.oath").read_text()) == ("one\n", "two\n")
    (running.root / "etc/pam.d/imap").write_text((STACKS / "smtp.faillock").read_text())
    assert [login(running, "bob", "pw1", "imap"), login(running, "bob", "pw2", "imap")] == [NO, OK], "faillock's own files"


def test_h2_clients_of_a_socket_unit_wait_through_a_restart(machine: SystemdMachine) -> None:
    machine.unit("saslauthd-py-monitor.socket", (UNITS / "examples" / "saslauthd-py-monitor.socket").read_text())
    try:
        machine.systemctl("start", "saslauthd-py-monitor.socket")
        assert machine.states() == ("inactive", "inactive")
        assert login(machine, ALICE, "pw1") == OK, "it starts both"
        inode = (machine.root / MUX[1:]).stat().st_ino
        machine.systemctl("restart", FRONT)
        assert login(machine, ALICE, "pw1") == OK
        machine.systemctl("stop", FRONT)
        assert (machine.root / MUX[1:]).stat().st_ino == inode, "it is systemd's"
        assert login(machine, ALICE, "pw1") == OK
    finally:
        machine.systemctl("stop", "saslauthd-py-monitor.socket", FRONT)
        (machine.directory / "units" / "saslauthd-py-monitor.socket").unlink()
        machine.systemctl("daemon-reload")


def test_a8_a_credential_of_the_service_manager_reaches_both_halves(machine: SystemdMachine) -> None:
    told = {}
    (machine.directory / "secret").write_text("hush")
    for unit in BOTH:
        text = (machine.directory / "units" / unit).read_text()
        machine.unit(unit, text + f"[Service]\nLoadCredential=ldap:{machine.directory}/secret\n")
        program = "import json, os; print(json.dumps({'secret': open(os.environ['CREDENTIALS_DIRECTORY'] + '/ldap').read()}))"
        told[unit] = probed(machine, program, unit)
        machine.unit(unit, text)
    assert list(told.values()) == [{"secret": "hush"}] * 2


def test_the_filter_of_fail2ban_reads_the_front_s_unit() -> None:
    filters = Path(__file__).parents[2] / "conf" / "fail2ban" / "filter.d" / "saslauthd-py.conf"
    assert f"journalmatch = _SYSTEMD_UNIT={FRONT}\n" in filters.read_text()
