"""The control socket: what an admin asks of the running daemon, and the daemon's answers."""
