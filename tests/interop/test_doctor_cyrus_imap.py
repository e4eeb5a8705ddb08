"""`doctor` on a real Cyrus imapd that asks a real daemon: well, refused, and with a domain that it takes off each name."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.cyrus_imapd import cyrus_imapd
from tests.interop.daemon import Daemon, Site, environment, new_site

pytestmark = [pytest.mark.peer("cyrus-imapd"), pytest.mark.root]

CAROL, PASSWORD = "carol@example.test", "pw1"
_ASKING = "sasl_pwcheck_method: saslauthd\nsasl_mech_list: PLAIN LOGIN\nsasl_saslauthd_path: {mux}\nfailedloginpause: 0\n"


@pytest.fixture
def site(machine: Path) -> Iterator[Site]:
    with new_site(machine) as made:
        made.configure(
            [f'[[listen]]\nprotocol = "saslauthd"\npath = "{made.mux}"\nmode = "0660"\ngroup = "mail"\n'], 'scheme = "sha512crypt"\n'
        )
        made.add(CAROL, PASSWORD)
        yield made


@pytest.fixture
def conf(machine: Path, tmp_path: Path) -> Iterator[Path]:
    """The imapd.conf of the one port that takes passwords without TLS."""
    directory = machine / f"examined-{tmp_path.name[-9:]}"
    with cyrus_imapd(directory):
        yield directory / "plain.conf"


def asking(conf: Path, site: Site, more: str = "") -> None:
    """Each imapd that starts from now on asks the daemon."""
    own = ("sasl_", "failedloginpause")
    kept = [line for line in conf.read_text().splitlines() if not line.startswith(own)]
    conf.write_text("\n".join(kept) + "\n" + _ASKING.format(mux=site.mux) + more)


def findings(conf: Path, site: Site, password: str = PASSWORD) -> dict[str, str]:
    """What is no pass, by its check."""
    words = ("doctor", "--config", str(site.configuration), "--mta", "cyrus-imap", "--imapd-conf", str(conf))
    command = [*Daemon.PROGRAM, *words, "--user", CAROL, "--password-stdin", "--json"]
    done = subprocess.run(command, env=environment(), cwd="/", input=password, capture_output=True, text=True, timeout=60, check=False)
    told = json.loads(done.stdout)["findings"]
    assert [one for one in told if one["check"] == "login"], "its ports are tried"
    return {one["check"]: f"{one['outcome']}: {one['cause']} -> {one['mend']}" for one in told if one["outcome"] != "pass"}


def test_an_imapd_that_is_well_and_one_that_refuses(site: Site, conf: Path) -> None:
    asking(conf, site)
    with site.serving():
        assert findings(conf, site) == {}
        refused = findings(conf, site, "pw2")
    assert list(refused) == ["login"]
    assert ": AUTH: 535 " in refused["login"], "a refusal, and no outage"
    assert "the daemon says rejected (wrong-secret)" in refused["login"]


def test_an_imapd_that_takes_the_domain_off_a_name(site: Site, conf: Path) -> None:
    asking(conf, site, "defaultdomain: example.test\n")
    with site.serving() as daemon:
        found = findings(conf, site)
        assert list(found) == ["realm", "accounts", "login"]
        assert "takes its defaultdomain off a name" in found["realm"]
        mend = '[identity] default_realm = "example.test"'
        assert mend in found["realm"]
        with site.configuration.open("a") as file:
            file.write("\n" + mend.replace("] ", "]\n") + "\n")
        daemon.hang_up()
        daemon.wait_for_line("reloaded")
        assert findings(conf, site) == {}
