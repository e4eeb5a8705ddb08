"""The directory for sites is that of tests/interop: the faults are looked for in the daemon as others meet it."""

from tests.interop.conftest import machine, site

__all__ = ["machine", "site"]
