"""`user ...`: one command a file."""
