"""The half of the daemon that stays root: it binds, starts, ends and replaces front and workers, and reads nothing from outside."""
