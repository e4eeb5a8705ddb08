"""conf/postfix as Postfix itself reads it, with postconf; tests/interop serves real logins from the same files."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from saslauthd_py.config.load import parse
from tests.interop.postfix import CONF, MUX, SERVICES, write_configuration
from tests.interop.waiting import PATIENCE

PORTS = {service: 2525 + number for number, service in enumerate(SERVICES)}
LAST_RESORT = ("reject_unauth_destination", "reject")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A whole configuration directory, for smtpd in its chroot."""
    write_configuration(tmp_path, PORTS, chroot=True)
    return tmp_path / "conf"


def postconf(conf: Path, *arguments: str) -> str:
    """What postconf prints. It complains about names that Postfix does not know, and about lines given twice."""
    done = subprocess.run(["/usr/sbin/postconf", "-c", str(conf), *arguments], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stderr == ""
    return done.stdout


def written(name: str) -> dict[str, str]:
    """The parameters that a file of conf/postfix sets, each on a line."""
    lines = (CONF / name).read_text().splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines if line and line[0] not in "# ")}


@pytest.mark.peer("postfix")
def test_postfix_takes_every_line_of_main_cf(conf: Path) -> None:
    lines = postconf(conf, "-n").splitlines()
    read = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    assert written("main.cf").items() <= read.items()


@pytest.mark.peer("postfix")
def test_postfix_takes_every_service_of_master_cf(conf: Path) -> None:
    services = [line.split()[0] for line in postconf(conf, "-M").splitlines()]
    assert services.count(f"127.0.0.1:{PORTS['submission']}") == services.count(f"127.0.0.1:{PORTS['submissions']}") == 1
    overrides = postconf(conf, "-P").splitlines()
    assert f"127.0.0.1:{PORTS['submission']}/inet/smtpd_tls_security_level = encrypt" in overrides
    assert f"127.0.0.1:{PORTS['submissions']}/inet/smtpd_tls_wrappermode = yes" in overrides


@pytest.mark.peer("postfix")
def test_every_service_ends_its_relay_restrictions_with_a_refusal(conf: Path) -> None:
    overrides = [line for line in postconf(conf, "-P").splitlines() if "smtpd_relay_restrictions" in line]
    for line in (postconf(conf, "smtpd_relay_restrictions"), *overrides):
        *permits, last = line.partition("=")[2].replace(",", " ").split()
        assert last in LAST_RESORT
        assert set(permits) <= {"permit_mynetworks", "permit_sasl_authenticated"}
    assert len(overrides) == 2


@pytest.mark.peer("postfix")
def test_mynetworks_is_this_machine_alone(conf: Path) -> None:
    assert postconf(conf, "-h", "mynetworks").split() == ["127.0.0.0/8", "[::ffff:127.0.0.0]/104", "[::1]/128"]


def test_smtpd_conf_asks_saslauthd_and_offers_what_it_can_do() -> None:
    lines = (CONF / "sasl" / "smtpd.conf").read_text().splitlines()
    options = dict(line.split(": ", 1) for line in lines if not line.startswith("#"))
    assert options == {"pwcheck_method": "saslauthd", "saslauthd_path": MUX, "mech_list": "PLAIN LOGIN"}


def test_listen_toml_goes_into_a_configuration_and_fits_the_smtpd_conf() -> None:
    text = (CONF / "listen.toml").read_text()
    rest = '[backend.users]\ntype = "store"\n\n[[route]]\nrealm = "*"\nbackends = ["users"]\n'
    settings = parse(f"{text}\n{rest}", "listen.toml")
    assert [listen.path for listen in settings.listen] == [MUX, f"/var/spool/postfix{MUX}"]
    assert len(tomllib.loads(text)["listen"]) == 2
