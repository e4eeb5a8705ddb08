"""A site's own login page, in Python's http.server, and a real nginx before it, with TLS and a 502 of its own when the page is gone."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from tests.interop.addresses import free_ports, listens
from tests.interop.certificates import ADDRESS, UNNAMED, key_of, server_side
from tests.interop.server import Server
from tests.interop.waiting import PATIENCE

PASSWORDS = {b"alice@example.test": b"pw1", b"bob": 'p&w=%+ "\\ ü€'.encode()}
TOKEN = "Bearer token-of-this-daemon"


@dataclass(slots=True)
class Page:
    """What the page was asked, and how it answers. `port`: in clear; `tls_port` has a certificate where one was given."""

    port: int = 0
    tls_port: int = 0
    wanted: str = ""
    answer: Callable[[bytes, bytes], int] = lambda name, password: 200 if PASSWORDS.get(name) == password else 403
    posts: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    connections: set[tuple[str, int]] = field(default_factory=set)
    heads: int = 0


def _handler(page: Page) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def do_HEAD(self) -> None:
            page.heads += 1
            self._say(405)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Type"] == "application/json":
                told = json.loads(body)
                name, password = told["user"].encode(), told["password"].encode()
            else:
                fields = parse_qs(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="surrogateescape")
                (name,), (password,) = ([value.encode(errors="surrogateescape") for value in fields[key]] for key in ("user", "password"))
            page.posts.append((self.path, name, password))
            page.connections.add(self.client_address)
            if page.wanted and self.headers["Authorization"] != page.wanted:
                self._say(407)
            else:
                self._say(page.answer(name, password))

        def _say(self, status: int) -> None:
            self.send_response(status)
            if status in {301, 302, 307, 308}:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Nobody reads it."""

    return Handler


@contextmanager
def web_page(certificate: Path | None = None, ports: tuple[int, int] = (0, 0)) -> Iterator[Page]:
    """The page, until the end of the block; `ports` where it has to be at certain ones."""
    page = Page()
    contexts: list[ssl.SSLContext | None] = [None]
    if certificate is not None:
        contexts.append(server_side(certificate))
    servers: list[ThreadingHTTPServer] = []
    threads: list[threading.Thread] = []
    for port, context in zip(ports, contexts, strict=False):
        server = ThreadingHTTPServer(("", port), _handler(page))
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        servers.append(server)
        threads.append(threading.Thread(target=server.serve_forever, args=(0.05,)))
        threads[-1].start()
    page.port, page.tls_port = servers[0].server_port, servers[-1].server_port
    try:
        yield page
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


_NGINX = """\
daemon off;
user nobody nogroup;
pid {directory}/pid;
error_log {directory}/error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen {address}:{port} ssl;
    listen {unnamed}:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{
      proxy_pass http://{address}:{page};
    }}
    location /moved {{
      return 302 /elsewhere;
    }}
  }}
}}
"""


class Nginx(Server):
    """A running nginx before a page. `url`: that of the page's place there."""

    def __init__(self, directory: Path, certificate: Path, page: int) -> None:
        (self.port,) = free_ports(1, UNNAMED)
        self.url, self.unnamed_url = f"https://{ADDRESS}:{self.port}", f"https://{UNNAMED}:{self.port}"
        configuration, log = directory / "nginx.conf", directory / "error.log"
        names = {"directory": directory, "address": ADDRESS, "unnamed": UNNAMED, "port": self.port, "page": page}
        configuration.write_text(_NGINX.format(**names, certificate=certificate, key=key_of(certificate)))
        super().__init__(
            ["/usr/sbin/nginx", "-c", str(configuration), "-e", str(log)], lambda: listens(self.port), [directory / "out", log]
        )


@contextmanager
def nginx(directory: Path, certificate: Path, page: int) -> Iterator[Nginx]:
    """Before the page at that port. `directory` is made. Needs root."""
    directory.mkdir()
    directory.chmod(0o755)
    server = Nginx(directory, certificate, page)
    with server.serving():
        yield server
