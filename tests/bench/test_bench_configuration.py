"""What is measured is what an admin runs: the defaults (rule C9)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from saslauthd_py.config.load import differences, parse
from tests.bench import ours
from tests.interop.pam_machine import PamMachine

Differences = dict[str, object]


def differing(installation: ours.Installation) -> Differences:
    """What its configuration says that is not the default, without the places and the user, which are no matter."""
    found = differences(parse(Path(installation.configuration).read_text(), "bench"))
    assert [list(listen) for listen in found.pop("listen")] == [["protocol", "path"]]
    assert set(found.pop("server")) == {"user", "group"}
    assert set(found.pop("control")) == {"path"}
    return found


@pytest.fixture
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration alone."""
    monkeypatch.setattr(ours, "fill", lambda *_: None)


@pytest.mark.usefixtures("no_store")
def test_c9_measured_configuration_differs_from_the_default_in_its_places_and_its_cheap_hashes_alone(tmp_path: Path) -> None:
    assert differing(ours.install(str(tmp_path / "x"), [])) == {
        "backend": {"users": {"type": "store", "path": f"{tmp_path}/x/store/users.db", "rehash": False}},
        "route": [{"realm": "*", "backends": ["users"]}],
    }


@pytest.mark.parametrize("kind", ["pam", "shadow"])
def test_c9_measured_system_accounts_differ_from_the_default_in_their_place_alone(tmp_path: Path, kind: Literal["pam", "shadow"]) -> None:
    installation = ours.install_in(PamMachine(tmp_path), kind)
    assert differing(installation) == {"backend": {"system": {"type": kind}}, "route": [{"realm": "", "backends": ["system"]}]}
    assert installation.prefix == tuple(PamMachine(tmp_path).prefix)


@pytest.mark.usefixtures("no_store")
def test_c9_delay_is_the_default_where_nothing_else_is_asked_for(tmp_path: Path) -> None:
    assert differing(ours.install(str(tmp_path / "x"), [])).keys() & {"failure", "admission"} == set()
    asked = differing(ours.install(str(tmp_path / "y"), [], ours.UNDELAYED + ours.UNLIMITED))
    assert asked["failure"] == {"delay": "0s"}
    assert asked["admission"] == {"per_account": "off", "per_network": "off", "per_pair": "off"}
