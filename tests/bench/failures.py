"""What keeps a bench from measuring."""

from __future__ import annotations


class BenchError(Exception):
    """Nothing can be measured. Its text is one line: what is wrong, and what to do."""
