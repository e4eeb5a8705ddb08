"""What the monitor executes: the front's half of `serve`. No command that anybody types."""

from __future__ import annotations

from saslauthd_py import privileges
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.main import fail


def main() -> int:
    """Serve until SIGTERM. What goes wrong is told as a command tells it; the code to exit with."""
    privileges.seal()  # execve has made us dumpable again: before anything else is imported
    try:
        from saslauthd_py import app
        from saslauthd_py.monitor.front import CHANNEL

        app.serve_for_monitor(CHANNEL)
    except (Exception, KeyboardInterrupt) as error:
        return fail(error, Environment.of_process())
    return 0
