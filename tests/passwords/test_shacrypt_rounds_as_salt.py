"""A salt that libcrypt would read as a number of rounds."""

from __future__ import annotations

import pytest

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding


@pytest.mark.parametrize(("scheme", "start", "letters"), [("sha512crypt", "$6$", 86), ("sha256crypt", "$5$", 43)])
@pytest.mark.parametrize("salt", ["rounds=999999999", "rounds=2000000", "rounds=1000"])
def test_d11_rounds_in_the_place_of_the_salt_are_never_tried(scheme: str, start: str, letters: int, salt: str) -> None:
    with pytest.raises(passwords.BrokenRecord):
        passwords.cost(Encoding(scheme, f"{start}{salt}${'a' * letters}"))
