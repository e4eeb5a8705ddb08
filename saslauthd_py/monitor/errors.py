"""What keeps a monitor from starting, where it is nobody else's error."""


class PamUnusable(Exception):
    """This machine's PAM cannot be asked. Its text is one line."""
