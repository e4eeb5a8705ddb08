"""Accounts from other programs' files into the store, and out of it: one format a file, all of a file in one transaction."""
