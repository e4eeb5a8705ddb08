"""May a proved secret be used here and now?"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from saslauthd_py import rules
from saslauthd_py.credential import UNRESTRICTED, Restrictions, service_word
from saslauthd_py.verdict import Reason

NETWORKS = Restrictions(networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))


@pytest.mark.parametrize(
    ("restrictions", "service", "address", "reason"),
    [
        (UNRESTRICTED, "smtp", None, None),
        (Restrictions(expires=100.0), "smtp", None, Reason.EXPIRED),
        (Restrictions(expires=100.1), "smtp", None, None),
        (Restrictions(services=("imap",)), "smtp", None, Reason.SERVICE),
        (Restrictions(services=("imap", "smtp")), "smtp", None, None),
        (NETWORKS, "smtp", "192.0.2.7", None),
        (NETWORKS, "smtp", "::ffff:192.0.2.7", None),
        (NETWORKS, "smtp", "2001:db8::1", None),
        (NETWORKS, "smtp", "198.51.100.1", Reason.NETWORK),
        (NETWORKS, "smtp", None, Reason.NETWORK),
    ],
)
def test_c1_rules_are_judged_by_service_address_and_time(
    restrictions: Restrictions, service: str, address: str | None, reason: Reason | None
) -> None:
    assert rules.judge(restrictions, service, ip_address(address) if address else None, 100.0) == reason


def test_pop_and_pop3_are_one_service() -> None:
    assert service_word("POP3") == service_word("pop") == "pop"
    assert service_word("SMTP") == "smtp"
