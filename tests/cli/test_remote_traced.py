"""Steps of a decision that ask a mail server or a page, as `test --trace` shows them."""

from __future__ import annotations

import pytest

from saslauthd_py.cli import traced
from saslauthd_py.trace import Facts, Step

SERVER = "imaps://imap.example.org"


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        (
            "imap-login",
            {"server": SERVER, "method": "LOGIN", "result": "NO", "code": "UNAVAILABLE", "words": "later", "ms": 2.04},
            f"LOGIN: NO [UNAVAILABLE] later, says {SERVER}, 2.0 ms",
        ),
        (
            "imap-login",
            {"server": SERVER, "method": "AUTHENTICATE PLAIN", "result": "OK", "code": "", "words": "", "ms": 2.04},
            f"AUTHENTICATE PLAIN: OK, says {SERVER}, 2.0 ms",
        ),
        ("imap-login", {"server": SERVER, "failed": "no answer within 5 s", "ms": 5000.0}, f"{SERVER}: no answer within 5 s, 5000.0 ms"),
        ("http-post", {"url": "https://a.example/", "status": "403 Forbidden", "ms": 2.0}, "https://a.example/: 403 Forbidden, 2.0 ms"),
        (
            "http-post",
            {"url": "https://a.example/", "failed": "Connection refused", "ms": 2.0},
            "https://a.example/: Connection refused, 2.0 ms",
        ),
    ],
)
def test_step_is_a_line(name: str, facts: Facts, words: str) -> None:
    first, *_ = traced.lines([Step(name, 0.0, facts)], "saslauthd", "NO")
    assert first.endswith(f"  {name:<10}  {words}")
