"""sha256crypt, `$5$`."""

from __future__ import annotations

from saslauthd_py.passwords.shacrypt import ShaCrypt

_MOST_ROUNDS = 800_000
"""0.5 us a round with a secret of 64 bytes, 2.5 us with 511. The widely used default of 535,000 stays verifiable."""

SCHEME = ShaCrypt(digit="5", bits=256, most_rounds=_MOST_ROUNDS)
