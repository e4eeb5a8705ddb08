"""`python -m saslauthd_py`, and what the installed command `saslauthd-py` starts."""

from __future__ import annotations

import sys

from saslauthd_py.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
