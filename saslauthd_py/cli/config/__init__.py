"""`config ...`: one command a file."""
