"""What the daemon writes: decision lines and everything else, through one thread, so that no login waits for a disk."""
