"""Cases as a doctor has them, without a machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from saslauthd_py.config.load import parse
from saslauthd_py.config.settings import Settings
from saslauthd_py.doctor.case import Account, Case
from saslauthd_py.doctor.said import Outcome, Said
from saslauthd_py.mta.caller import Caller, Source
from saslauthd_py.mta.distribution import DEBIAN
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.processes import Who
from saslauthd_py.secret import Secret

STORE = '[backend.users]\ntype = "store"\n'
ROUTE = '[[route]]\nrealm = "*"\nbackends = ["users"]\n'


def settings(more: str = "", backend: str = STORE, route: str = ROUTE, listen: str = "/run/test/mux") -> Settings:
    return parse(f'[[listen]]\nprotocol = "saslauthd"\npath = "{listen}"\n{backend}{route}{more}', "test.toml")


def caller(path: str = "/run/test/mux", *, realm: str = "", root: str = "/", protocol: str = "saslauthd", whole: bool = False) -> Caller:
    source = Source("/etc/postfix/sasl/smtpd.conf", "saslauthd_path", path)
    return Caller("smtpd of smtp", protocol, "smtp", path, source, Who(102, 105), root, realm, ("smtpd",), whole)


def case(
    configured: Settings | None = None, *callers: Caller, account: str = "", machine: Machine | None = None, path: str = "/etc/test.toml"
) -> Case:
    here = machine or Machine(DEBIAN, callers=callers)
    return Case(path, configured, here, Account(account, Secret(b"pw1")) if account else None, "" if configured else "test.toml: is wrong")


def outcomes(said: Iterable[Said]) -> list[str]:
    return [one.outcome.value for one in said]


def only(said: Iterable[Said], outcome: Outcome) -> Said:
    """The one line that a check says."""
    (one,) = said
    assert one.outcome is outcome, one
    return one


def file(directory: Path, name: str, text: str, mode: int = 0o644) -> str:
    path = directory / name
    path.write_text(text)
    path.chmod(mode)
    return str(path)
