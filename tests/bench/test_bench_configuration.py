"""What is measured is what an admin runs: the defaults (rule C9)."""

from __future__ import annotations

import inspect

from saslauthd_py.config.load import differences, parse
from tests.bench import ours


def test_c9_measured_configuration_differs_from_the_default_in_its_places_and_its_cheap_hashes_alone() -> None:
    settings = parse(ours._CONFIGURATION.format(user="nobody", group="nogroup", delay="2s", directory="/run/x"), "bench")
    assert differences(settings) == {
        "server": {"user": "nobody", "group": "nogroup"},
        "listen": [{"protocol": "saslauthd", "path": "/run/x/mux"}],
        "backend": {"users": {"type": "store", "path": "/run/x/store/users.db", "rehash": False}},
        "route": [{"realm": "*", "backends": ["users"]}],
    }


def test_c9_delay_is_the_default_where_nothing_else_is_asked_for() -> None:
    assert inspect.signature(ours.install).parameters["delay"].default == "2s"
