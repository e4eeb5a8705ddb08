"""A small configuration that is right, and what is said of one that is not."""

from __future__ import annotations

import pytest

from saslauthd_py.config.load import ConfigurationError, parse

LISTEN = '[[listen]]\nprotocol = "saslauthd"\npath = "/run/saslauthd/mux"\n'
BACKEND = '[backend.users]\ntype = "store"\n'
ROUTE = '[[route]]\nrealm = "*"\nbackends = ["users"]\n'
SMALL = LISTEN + BACKEND + ROUTE


def complaints(text: str) -> list[str]:
    """What `parse` says of `text`, one string for each problem, without the file's name."""
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "FILE")
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    return [str(problem).removeprefix("FILE:").strip() for problem in caught.value.problems]
