"""The files and flags of the original saslauthd, read into our keys."""
