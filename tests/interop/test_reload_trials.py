"""No login is lost while the daemon is reloaded, and nothing grows: the short form of `reload_trials`."""

from __future__ import annotations

import pytest

from tests.interop.daemon import Site
from tests.interop.reload_trials import judge, prepare, trial

pytestmark = pytest.mark.peer("cc")


def test_h1_no_login_is_lost_in_reloads_under_load_and_nothing_grows(site: Site) -> None:
    prepare(site)
    with site.serving() as daemon:
        judge(trial(site, daemon, reloads=10, interval=0.25))
