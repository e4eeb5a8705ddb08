"""A mail server of this machine set up to ask the daemon: planned without a change, then made, proved by real logins, and taken back whole.

Nothing is changed before a copy of what was there, and the list of all changes, are on the disk: whatever ends a change half way, `undo`
restores. As root: these files are root's.
"""
