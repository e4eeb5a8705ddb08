"""Dovecot's auth protocol on a port: many requests on one connection, each a SASL exchange, answered as they are decided."""

from saslauthd_py.front.dovecot.port import DovecotPort
from saslauthd_py.front.dovecot.reading import Reading

__all__ = ["DovecotPort", "Reading"]
