"""`demo`: the main job, from an empty directory to a proved login, with the real pieces."""

from __future__ import annotations

import argparse
import grp
import os
import pwd
import secrets
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from saslauthd_py.cli import daemon_process, demo_site, dovecot_client, pwcheck_client, saslauthd_client
from saslauthd_py.cli.daemon_process import Meeting
from saslauthd_py.cli.demo_site import Site
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Steps
from saslauthd_py.cli.socket_client import Answer, Reply
from saslauthd_py.mechanisms.client import Credentials
from saslauthd_py.secret import Secret

USER = "demo@example.org"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256")
"""What is proved of the Dovecot socket: a password that is sent, and one that is not."""


def run(arguments: argparse.Namespace, environment: Environment) -> Steps:
    """Everything happens while the lines are taken. Raises CommandFailed where the proof does not hold."""
    return Steps(_story(arguments.once, arguments.dir, environment))


def _story(once: bool, directory: str | None, environment: Environment) -> Generator[str, None, None]:
    with _ended_by_signals(), demo_site.made(directory) as site:
        password = secrets.token_urlsafe(12)
        _add_user(site, password, environment)
        yield f"configuration   {site.configuration}"
        yield f"user            {USER}, password {password}"
        with daemon_process.serving(site.configuration, Meeting(site.notify, _daemon_uid()), environment.variables) as daemon:
            yield f"daemon          process {daemon.pid}, as {pwd.getpwuid(_daemon_uid()).pw_name}"
            yield from _proved(site, "right password", password, Answer.ACCEPTED)
            yield from _proved(site, "wrong password", secrets.token_urlsafe(12), Answer.REJECTED)
            if once:
                yield "All of it is taken away again. Without --once a demo serves on, and says how to point Postfix at it."
            else:
                yield from _postfix(site)
                yield f"Serving until Ctrl-C. To try it: saslauthd-py test {USER} --protocol dovecot --socket {site.dovecot}"
                _await_end(daemon)


def _add_user(site: Site, password: str, environment: Environment) -> None:
    command = daemon_process.command("user", "add", USER, "--config", site.configuration, "--password-stdin", "--scram")
    done = subprocess.run(  # noqa: S603 - this very program
        command, env=environment.variables, input=password.encode(), stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise CommandFailed(Exit.UNAVAILABLE, f"`user add` ended with status {done.returncode}: see above why")


def _proved(site: Site, what: str, password: str, expected: Answer) -> Iterator[str]:
    """A login through each socket, all at once: the answer to a wrong password is held back for 2 s."""
    ways = _ways(site, Secret(password.encode()))
    with ThreadPoolExecutor(len(ways)) as asking:
        for way, reply in zip(ways, asking.map(_Way.asked, ways), strict=True):
            if isinstance(reply, CommandFailed):
                raise CommandFailed(Exit.UNAVAILABLE, f"{way.name}: {what}: {reply}")
            if reply.answer is not expected:
                line = f"{way.name} at {way.path}: {what}: {reply.answer.value} instead of {expected.value}: see the log above"
                raise CommandFailed(Exit.UNAVAILABLE, line)
            yield f"{what}  {reply.answer.value} after {reply.seconds * 1000:.0f} ms, {way.name} at {way.path}"


@dataclass(frozen=True, slots=True)
class _Way:
    """A socket, and what is spoken there."""

    name: str
    path: str
    ask: Callable[[str], Reply]

    def asked(self) -> Reply | CommandFailed:
        try:
            return self.ask(self.path)
        except CommandFailed as fault:
            return fault


def _ways(site: Site, secret: Secret) -> list[_Way]:
    logins = {mechanism: dovecot_client.Login(mechanism, Credentials(USER, secret)) for mechanism in MECHANISMS}
    saslauthd = saslauthd_client.as_libsasl(USER, secret, "smtp", "", "")
    pwcheck = pwcheck_client.as_libsasl(USER, secret)
    return [
        *(_Way(f"dovecot {name}", site.dovecot, partial(dovecot_client.ask, login=login)) for name, login in logins.items()),
        _Way("saslauthd", site.socket, partial(saslauthd_client.ask, request=saslauthd)),
        _Way("pwcheck", site.pwcheck, partial(pwcheck_client.ask, request=pwcheck)),
    ]


def _postfix(site: Site) -> Iterator[str]:
    """What to write where; `conf/postfix` has it for a machine that is to stay so."""
    group = grp.getgrgid(os.stat(site.dovecot).st_gid).gr_name
    yield "To point Postfix at it, in main.cf:"
    yield "    smtpd_sasl_auth_enable = yes"
    yield "    smtpd_sasl_type = dovecot"
    yield f"    smtpd_sasl_path = {site.dovecot}"
    yield "    smtpd_sasl_security_options = noanonymous"
    yield "and for its smtpd to reach the socket, which is outside of a chroot:"
    yield "    postconf -F smtp/inet/chroot=n"
    yield f"    adduser postfix {group}"
    yield "    postfix reload"
    yield "Or, where libsasl has to stay between them, in main.cf:"
    yield "    smtpd_sasl_type = cyrus"
    yield "    smtpd_sasl_path = smtpd"
    yield "    smtpd_sasl_local_domain ="
    yield "and in sasl/smtpd.conf beside it (Debian; elsewhere in /etc/sasl2/smtpd.conf):"
    yield "    pwcheck_method: saslauthd"
    yield f"    saslauthd_path: {site.socket}"
    yield "    mech_list: PLAIN LOGIN"


def _await_end(daemon: subprocess.Popen[bytes]) -> None:
    try:
        status = daemon.wait()
    except KeyboardInterrupt:
        return
    if status != 0:
        raise CommandFailed(Exit.UNAVAILABLE, f"the daemon ended with status {status}: see the log above")


def _daemon_uid() -> int:
    return os.geteuid() or pwd.getpwnam(demo_site.DAEMON_USER).pw_uid


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM, and the terminal that is closed, end a demo as Ctrl-C does: with its daemon and its directory."""
    signals = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
