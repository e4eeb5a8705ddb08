"""The daemon as a process: its start, its user, its signals, its sockets (rules A2, A6, E9)."""

from __future__ import annotations

import os
import pwd
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.daemon import PATIENCE, Daemon, Site, environment, listener, site_of
from tests.interop.mux import NO, OK, exchange

RIGHT = (b"alice", b"pw1", b"smtp", b"example.test")
WRONG = (b"alice", b"pw2", b"smtp", b"example.test")


@pytest.fixture
def site() -> Iterator[Site]:
    with site_of("alice@example.test") as site:
        yield site


@contextmanager
def process(site: Site, *words: str, user: int | None = None, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """`saslauthd-py WORDS --config ...`, as `user` where one is given; at the end it is gone."""
    group = None if user is None else pwd.getpwuid(user).pw_gid
    command = [sys.executable, "-m", "saslauthd_py", *words, "--config", str(site.configuration)]
    with subprocess.Popen(
        command,
        env=environment(**variables),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        user=user,
        group=group,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def fails(site: Site, *words: str, user: int | None = None) -> tuple[int, str]:
    """The exit code and the one line of a command that must not work."""
    with process(site, *words, user=user) as child:
        _, errors = child.communicate(timeout=PATIENCE)
    lines = errors.splitlines()
    assert len(lines) == 1, errors
    return child.returncode, lines[0]


def ask(path: Path, login: bytes, secret: bytes, service: bytes, realm: bytes) -> bytes:
    return exchange(path, b"".join(len(field).to_bytes(2, "big") + field for field in (login, secret, service, realm)))


def pid(daemon: Daemon) -> int:
    assert daemon._process is not None
    return daemon._process.pid


def status(number: int) -> dict[str, str]:
    return dict(re.findall(r"^(\w+):\t(.*)$", Path(f"/proc/{number}/status").read_text(), re.MULTILINE))


@pytest.mark.root
def test_a2_daemon_started_as_root_has_nothing_of_root_left(site: Site) -> None:
    with site.serving() as daemon:
        found = status(daemon.front)
        assert found["Uid"].split() == ["65534"] * 4
        assert found["Gid"].split() == ["65534"] * 4
        assert found["Groups"].strip() == ""
        assert {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0000000000000000"}
        assert found["NoNewPrivs"] == "1"
        limits = Path(f"/proc/{daemon.front}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
        assert os.stat(f"/proc/{daemon.front}/environ").st_uid == 0, "not dumpable: its own user may not look into it"
        assert ask(site.mux, *RIGHT) == OK


@pytest.mark.root
def test_a2_dropped_daemon_imports_nothing_more_for_whatever_a_client_sends(site: Site) -> None:
    trap = (
        "import sys; sys.path.append(sys.argv.pop())\n"
        "import saslauthd_py.app.daemon as app\n"
        "ready = app.Notifier.ready\n"
        "def say(self, text=''):\n"
        "    sys.meta_path.insert(0, Trap())\n"
        "    return ready(self, text)\n"
        "class Trap:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        print('imported after READY:', name, file=sys.stderr, flush=True)\n"
        "        return None\n"
        "app.Notifier.ready = say\n"
        "from saslauthd_py.cli.front import main; sys.exit(main())\n"
    )
    program = (
        "import sys, saslauthd_py.monitor.front as front\n"
        f"front._ENTRY = {trap!r}\n"
        "from saslauthd_py.cli.main import main\n"
        "sys.exit(main(['serve', '--config', sys.argv[1]]))\n"
    )
    command = [sys.executable, "-c", program, str(site.configuration)]
    with _ready(site, command) as child:
        assert ask(site.mux, *RIGHT) == OK
        assert ask(site.mux, *RIGHT) == OK
        assert ask(site.mux, *WRONG) == NO
        assert ask(site.mux, b"b\xc3\xbcb", b"x", b"smtp", "bücher.example".encode()) == NO
        assert ask(site.mux, b"\xff", b"x", b"smtp", b"") == NO
        site.add("bob@example.test", "pw3")
        assert ask(site.mux, b"bob", b"pw3", b"smtp", b"example.test") == OK
        site.sql(
            "UPDATE encoding SET scheme = 'sha512crypt', text = '$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJu'"
        )
        assert ask(site.mux, *RIGHT) == b""
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0
    assert "imported after READY" not in errors, errors


def test_e9_sighup_is_survived_and_reads_the_configuration_again(site: Site) -> None:
    with site.serving() as daemon:
        os.kill(pid(daemon), signal.SIGHUP)
        daemon.wait_for_line("reloaded: configuration 2 serves")
        assert ask(site.mux, *RIGHT) == OK


def test_sigterm_answers_what_was_asked_and_leaves_no_socket(site: Site) -> None:
    text = site.configuration.read_text().replace('delay = "0s"', 'delay = "4s"')
    site.configuration.write_text(text)
    with site.serving() as daemon:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(site.mux))
            client.sendall(b"".join(len(field).to_bytes(2, "big") + field for field in WRONG))
            daemon.wait_for_line("rejected", "wrong-secret")
            began = time.monotonic()
            os.kill(pid(daemon), signal.SIGTERM)
            assert client.recv(10) == NO
            assert time.monotonic() - began < 1.5, "a held reply goes out at once when the daemon stops"
        daemon._ended()
        assert any("SIGTERM: draining" in line for line in daemon.log())
        assert any("stopped; since the start: accepted=0 rejected=1" in line for line in daemon.log())


def test_second_signal_does_not_cut_the_drain_short(site: Site) -> None:
    with site.serving() as daemon:
        site.store.rename(site.store.with_suffix(".away"))
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(site.mux))
            client.sendall(b"".join(len(field).to_bytes(2, "big") + field for field in RIGHT))
            daemon.wait_for_line("unavailable")
            os.kill(pid(daemon), signal.SIGTERM)
            daemon.wait_for_line("SIGTERM: draining")
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(pid(daemon), number)
            assert client.recv(10) == b""
        assert daemon._ended() == 0
        assert any("stopped; since the start: accepted=0 rejected=0 unavailable=1" in line for line in daemon.log())


def test_e9_watchdog_is_fed_and_stopping_is_said(site: Site) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        notify = site.directory / "notify"
        manager.bind(str(notify))
        notify.chmod(0o666)
        manager.settimeout(PATIENCE)
        with process(site, "serve", NOTIFY_SOCKET=str(notify), WATCHDOG_USEC="200000") as child:
            said: list[str] = []
            while sum("WATCHDOG=1" in one for one in said) < 5:
                said.append(manager.recv(4096).decode())
            child.terminate()
            while not said[-1].startswith("STOPPING=1"):
                said.append(manager.recv(4096).decode())
            assert child.wait(PATIENCE) == 0
    assert any(one.startswith("READY=1") for one in said)


@contextmanager
def _ready(site: Site, command: list[str], **more: object) -> Iterator[subprocess.Popen[str]]:
    notify = site.directory / "notify"
    notify.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(notify))
        notify.chmod(0o666)
        manager.settimeout(PATIENCE)
        variables = environment(NOTIFY_SOCKET=str(notify))
        with subprocess.Popen(
            command, env=variables, cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more
        ) as child:  # type: ignore[call-overload]
            try:
                ended = os.pidfd_open(child.pid)
                assert manager.fileno() in select.select([manager.fileno(), ended], [], [], PATIENCE)[0], child.communicate()[1]
                os.close(ended)
                assert manager.recv(4096).startswith(b"READY=1")
                yield child
            finally:
                child.kill()


def test_inherited_socket_is_served_and_its_path_left_alone(site: Site) -> None:
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(site.mux))
        given.listen(100)
        os.chmod(site.mux, 0o640)
        program = (
            "import os, sys\n"
            "os.dup2(int(sys.argv[1]), 3, inheritable=True)\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'saslauthd_py', 'serve', '--config', sys.argv[2]])\n"
        )
        command = [sys.executable, "-c", program, str(given.fileno()), str(site.configuration)]
        with _ready(site, command, pass_fds=[given.fileno()]) as child:
            assert ask(site.mux, *RIGHT) == OK
            child.terminate()
            assert child.wait(PATIENCE) == 0
        assert os.stat(site.mux).st_mode & 0o777 == 0o640


def test_a6_second_daemon_on_a_path_refuses_and_the_first_goes_on(site: Site) -> None:
    with site.serving():
        code, line = fails(site, "serve")
        assert code == 78
        assert str(site.mux) in line
        assert "another process" in line
        assert ask(site.mux, *RIGHT) == OK


def test_daemon_that_was_killed_is_started_again_on_the_same_path(site: Site) -> None:
    with site.serving() as daemon:
        daemon.kill()
        daemon.start()
        assert ask(site.mux, *RIGHT) == OK


def test_missing_store_stops_the_start_for_an_empty_one_would_refuse_everybody(site: Site) -> None:
    site.store.rename(site.store.with_suffix(".away"))
    code, line = fails(site, "serve")
    assert code == 66
    assert str(site.store) in line
    assert "user add" in line


@pytest.mark.root
def test_start_of_a_plain_user_that_fails_leaves_no_socket(site: Site) -> None:
    user, sockets = os.stat(site.store).st_uid, [site.mux, site.control]
    for path in sockets:
        os.chown(path.parent, user, -1)
    site.store.unlink()
    assert fails(site, "serve", user=user)[0] == 66
    assert [path for path in sockets if path.exists()] == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('to = "stderr"', 'to = "file:/nonexistent/dir/log"', "[log]"),
        ('user = "nobody"\ngroup = "nogroup"\n\n[log]', 'user = "no-such-user"\n\n[log]', "no-such-user"),
        ('mode = "0600"', 'mode = "0600"\nallow_users = ["no-such-user"]', "no-such-user"),
        ('realm = "*"', 'realms = "*"', "realm"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_78(site: Site, old: str, new: str, words: str) -> None:
    if "user =" in old and os.geteuid() != 0:
        pytest.skip("[server] is ignored without root")
    text = site.configuration.read_text()
    assert old in text
    site.configuration.write_text(text.replace(old, new, 1))
    with process(site, "serve") as child:
        _, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == 78
    assert words in errors
    assert "Traceback" not in errors


def test_start_that_fails_at_its_second_socket_takes_the_first_away(site: Site) -> None:
    site.configure([listener(site.mux), listener(site.directory / "missing" / "mux")])
    code, line = fails(site, "serve")
    assert code == 78
    assert "missing" in line
    assert not site.mux.exists()


def test_serve_check_says_whether_a_start_would_do(site: Site) -> None:
    with process(site, "serve", "--check") as child:
        _, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, errors
    assert not site.mux.exists()
    site.store.unlink()
    assert fails(site, "serve", "--check")[0] == 66


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('to = "stderr"', 'to = "file:/proc/nowhere/log"', "install -D -o"),
        ('mode = "0600"', 'mode = "0600"\nallow_users = ["no-such-user"]', "no-such-user"),
        ("/mux", "/missing/mux", "missing"),
    ],
)
def test_serve_check_finds_what_would_stop_a_start(site: Site, old: str, new: str, words: str) -> None:
    text = site.configuration.read_text()
    site.configuration.write_text(text.replace(old, new, 1))
    code, line = fails(site, "serve", "--check")
    assert code == 78
    assert words in line


def checked(site: Site) -> tuple[list[str], list[str]]:
    """What `serve --check` says of a site that would do, and what it warns of."""
    with process(site, "serve", "--check") as child:
        told, warned = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, warned
    return told.splitlines(), warned.splitlines()


def test_serve_check_goes_on_where_the_running_daemon_itself_answers(site: Site) -> None:
    text = site.configuration.read_text()
    metrics = site.directory / "metrics"
    site.directory.chmod(0o1777)
    site.configuration.write_text(f'{text}\n[metrics]\naddress = "{metrics}"\n')
    with site.serving() as daemon:
        told, warned = checked(site)
        assert told[0].startswith(f"{site.configuration}: ok, checked as ")
        assert told[1:] == [f"{metrics}, {site.mux}: the running daemon's own (process {daemon.pid}); a restart ends that first"]
        assert warned == []
        site.configuration.write_text(text.replace('to = "stderr"', f'to = "file:{site.directory}/none/log"'))
        code, line = fails(site, "serve", "--check")
        assert code == 78
        assert "[log] to = " in line
        assert f"{site.directory}/none cannot be written" in line
        assert site.mux.exists()


def test_serve_check_stops_where_another_process_answers(site: Site) -> None:
    with site.serving():
        site.configuration.write_text(site.configuration.read_text().replace(str(site.control), f"{site.control}-2"))
        code, line = fails(site, "serve", "--check")
    assert code == 78
    assert "another process" in line


def test_serve_check_says_what_a_start_would_do_without(site: Site) -> None:
    missing = f"{site.directory}/a/b/control"
    site.configuration.write_text(
        site.configuration.read_text().replace(str(site.control), missing) + '\n[[route]]\nrealm = "x.test"\nbackends = ["users"]\n'
    )
    told, (hardly_meant, control) = checked(site)
    assert len(told) == 1
    assert "route[1]: never taken" in hardly_meant
    assert control.startswith("saslauthd-py: warning: no control socket, so `status` and `reload` will not work: ")
    assert "is missing: make it with `install -d" in control


@pytest.mark.root
def test_serve_check_does_not_miss_a_directory_of_the_control_socket_that_root_makes(site: Site) -> None:
    directory = site.directory / "none"
    site.configuration.write_text(site.configuration.read_text().replace(str(site.control), f"{directory}/control"))
    assert checked(site)[1] == []
    assert not directory.exists()


def test_log_file_gets_the_decisions(site: Site) -> None:
    log = site.directory / "log"
    log.touch()
    if os.geteuid() == 0:
        os.chown(log, 65534, 65534)
    site.configuration.write_text(site.configuration.read_text().replace('to = "stderr"', f'to = "file:{log}"'))
    with site.serving():
        assert ask(site.mux, *RIGHT) == OK
    assert " INFO accepted user=alice@example.test service=smtp" in log.read_text()


def test_no_secret_is_in_any_line_whatever_happens(site: Site) -> None:
    with site.serving() as daemon:
        for secret in (b"pw1", b"hunter2-wrong", b"hunter2\0x", b"hunter2" * 2000):
            ask(site.mux, b"alice", secret, b"smtp", b"example.test")
        ask(site.mux, b"\xff", b"hunter2", b"smtp", b"")
        site.sql("UPDATE encoding SET scheme = 'no-such'")
        ask(site.mux, b"alice", b"hunter2", b"smtp", b"example.test")
        daemon.wait_for_line("unavailable")
        assert "hunter2" not in "\n".join(daemon.log())


def test_what_the_configuration_does_not_use_is_not_imported() -> None:
    program = "import sys, saslauthd_py.app; print(*sorted({'ldap3', 'pam', 'pamela', 'passlib', 'pyasn1', 'asyncio'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], env=environment(), cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_e9_sighup_is_caught_before_the_imports_that_take_a_while() -> None:
    program = (
        "import os, signal, sys\n"
        "class Hangup:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'trio':\n"
        "            os.kill(os.getpid(), signal.SIGHUP)\n"
        "sys.meta_path.insert(0, Hangup())\n"
        "from saslauthd_py.cli.main import main\n"
        "sys.exit(main(['serve', '--config', '/nonexistent/file']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 66, done.stderr
