"""The embedded store: accounts and their secrets in one SQLite file, for commands (`store`) and for the daemon (`watch`, `reader`)."""
