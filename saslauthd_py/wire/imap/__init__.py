"""IMAP as bytes (RFC 3501, 9051), exactly what a login needs: greeting, CAPABILITY, STARTTLS, LOGIN or AUTHENTICATE PLAIN, LOGOUT; the
client's side.

A `Stream` cuts what was received into responses; a `Client`'s dialogues yield what is to be sent, take one response each time, and return
what was found out. Followed where the RFCs leave room: Dovecot and Cyrus imapd.
"""

from saslauthd_py.wire.imap.client import Client, Dialogue, method
from saslauthd_py.wire.imap.responses import ImapFault, Response, Status, shown
from saslauthd_py.wire.imap.stream import MAX_HEARD, MAX_RESPONSE, Stream

__all__ = ["MAX_HEARD", "MAX_RESPONSE", "Client", "Dialogue", "ImapFault", "Response", "Status", "Stream", "method", "shown"]
