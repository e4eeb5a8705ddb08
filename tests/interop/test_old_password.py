"""Once a password has changed, no daemon on that store accepts the old one, however warm its cache is."""

from __future__ import annotations

from tests.interop.daemon import Site
from tests.interop.mux import NO
from tests.interop.old_password_trials import by_commands, by_commits, prepare, twin


def test_c6_h3_old_password_is_refused_by_the_very_next_request_to_each_daemon_after_user_passwd(site: Site) -> None:
    prepare(site)
    other = twin(site)
    with site.serving() as first, other.serving() as second:
        assert by_commands(site, {site.mux: first, other.mux: second}, 50) == {NO: 100}


def test_c6_old_password_is_refused_under_load_with_no_process_start_in_between(site: Site) -> None:
    prepare(site)
    with site.serving() as daemon:
        assert by_commits(site, daemon, 200) == {NO: 200}
