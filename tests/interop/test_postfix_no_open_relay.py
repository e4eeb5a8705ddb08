"""conf/postfix makes no open relay, shown with clients at addresses of every kind; the daemon is not even needed."""

from __future__ import annotations

import pytest

from tests.interop.postfix import OUTSIDE, Postfix

pytestmark = [pytest.mark.peer("postfix", "swaks", "openssl"), pytest.mark.root]

NEIGHBOUR = "192.168.1.20"


@pytest.mark.parametrize(
    ("service", "client"),
    [("smtp", OUTSIDE), ("smtp", NEIGHBOUR), ("submission", OUTSIDE), ("submission", "127.0.0.1"), ("submissions", "127.0.0.1")],
)
def test_stranger_may_not_relay(postfix: Postfix, service: str, client: str) -> None:
    tls = [] if service == "submissions" else ["-tls"]
    dialogue = postfix.swaks(*tls, "--to", "rcpt@elsewhere.test", service=service, client=client)
    assert dialogue.code == 24
    assert dialogue.says("554 5.7.1 ")


def test_percent_and_bang_in_an_address_open_no_relay(postfix: Postfix) -> None:
    for recipient in ("rcpt%elsewhere.test@sink.test", "elsewhere.test!rcpt@sink.test", "@sink.test:rcpt@elsewhere.test"):
        assert postfix.swaks("--to", recipient).says("554 5.7.1 "), recipient


def test_mail_to_our_own_domain_comes_in_from_anywhere(postfix: Postfix) -> None:
    assert postfix.swaks("--to", "rcpt@sink.test", "--quit-after", "RCPT").says("250 2.1.5 ")


def test_this_machine_relays_by_port_25_without_login(postfix: Postfix) -> None:
    assert postfix.swaks("--to", "rcpt@elsewhere.test", "--quit-after", "RCPT", client="127.0.0.1").says("250 2.1.5 ")
