"""Files that others write, kept as an index in memory: looked at by one stat, read by a thread, never answered from when they changed."""
