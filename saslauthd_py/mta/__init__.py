"""What this machine's mail servers are set up to do, read and never changed: Postfix, Exim, Cyrus IMAP, and how their processes ask.

Everything here blocks and is bounded: a program that is run, a child that tries a path, a dialogue over SMTP have their seconds.
"""
