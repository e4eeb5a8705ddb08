"""`python -m saslauthd_py`, and what the installed command `saslauthd-py` starts, by whatever name it is called."""

from __future__ import annotations

import sys

from saslauthd_py.cli.called import main

if __name__ == "__main__":
    sys.exit(main())
