"""What happened so far, counted in the hot path, and how Prometheus is told of it.

`counters` is always there. What makes the text (`families`) and what serves it (`exporter`) are imported where `[metrics]` is on.
"""

from saslauthd_py.metrics.counters import Counters, Where

__all__ = ["Counters", "Where"]
