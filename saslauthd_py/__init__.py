"""saslauthd-py: the daemon that answers "is this password right?" for mail servers."""

__version__ = "0.1.0"
