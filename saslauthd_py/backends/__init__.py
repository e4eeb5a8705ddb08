"""One external system a file: what it says of a secret, as a verdict."""
