"""The playground's server: one page and a JSON interface, only for this machine and only with the token.

It is bound to 127.0.0.1. Every path begins with a random token; without it the answer is 403, whatever was asked for.
The answer is 403 too for a Host that is not this server's (a name that was rebound to 127.0.0.1), and where Origin or
Sec-Fetch-Site show that another page asks. Where the end of a request is in doubt, the connection is closed, so that
nothing that follows is taken for another request. Only a list of files can be read; no path leads to the disk.
"""

import hmac
import json
import re
import secrets
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

from fastprop._util import palette
from fastprop._version import __version__
from fastprop.playground.session import Session

MAX_JSON = 64_000  # bytes of a request: settings, a row number, or up to 950 parameters in full precision
MAX_CSV = 5_000_000  # bytes of an upload: 2000 points of three columns are about 100 kB
MAX_DRAINED = 50_000_000  # bytes of a body that is too large and is read only so that the browser reads the answer
MAX_MESSAGE = 600  # letters of a message, which may name a column of the user's
TIMEOUT = 30  # seconds without a byte after which a connection is closed

SCRIPTS = ("", "_draw", "_editor", "_lesson", "_network", "_server", "_warnings")
PAGES = {
    "": ("playground.html", "text/html; charset=utf-8"),
    "playground.css": ("playground.css", "text/css; charset=utf-8"),
    **{f"playground{part}.js": (f"playground{part}.js", "text/javascript; charset=utf-8") for part in SCRIPTS},
}
HEADERS = {
    # The page loads nothing from other servers, has no inline scripts or styles, and cannot be put in a frame.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Refusal(Exception):
    """An answer with a status other than 200, and a sentence for people."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """Serves a session on 127.0.0.1.

    Parameters
    ----------
    session : Session
    port : int, default 0
        0 chooses one that is free.

    Attributes
    ----------
    token : str
    address : str
        The address to open in a browser, with the token.
    """

    daemon_threads = True  # a browser's open connection does not keep the process alive

    def __init__(self, session: Session, port: int = 0):
        super().__init__(("127.0.0.1", port), Handler)
        self.session, self.token = session, secrets.token_urlsafe(24)
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of a connection that the page closed during an answer."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """The address of the page, with the token."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"


class Handler(BaseHTTPRequestHandler):
    """Handles one connection. Errors are answered as JSON, {"error": ...}."""

    server: Server
    server_version, sys_version = f"fastprop/{__version__}", ""
    protocol_version = "HTTP/1.1"  # a page that asks 30 times a second keeps its connection
    timeout = TIMEOUT
    # Head and body are two packets, and the second must not wait for the receipt of the first.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with a file of the page, a scene or a snapshot."""
        self._serve(self._get)

    def do_HEAD(self) -> None:
        """Answer as to a GET, without the body."""
        self._serve(self._get)

    def do_POST(self) -> None:
        """Do what is asked, and answer with the scene or snapshot after it."""
        self._serve(self._post)

    def _get(self, path: str) -> tuple[bytes, str]:
        if path in PAGES:
            name, kind = PAGES[path]
            text = (files("fastprop.playground") / "assets" / name).read_bytes()
            return palette.css().encode() + text if name.endswith(".css") else text, kind
        session = self.server.session
        asked: dict[str, Callable[[], dict]] = {
            "api/scene": session.scene,
            "api/snapshot": session.snapshot,
            "api/state": session.state,
            "api/thumbnails": session.thumbnails,
        }
        if path in asked:
            return _json(asked[path]())
        raise self._unknown(path)

    def _post(self, path: str) -> tuple[bytes, str]:
        session = self.server.session
        if path == "api/upload":
            data = self._body(MAX_CSV, "text/csv")
            return _json(session.upload(data, unquote(self.headers.get("X-File-Name", ""))))
        actions: dict[str, Callable[[dict], Any]] = {
            "api/configure": session.configure,
            "api/restart": session.restart,
            "api/train": lambda given: session.train(given.get("steps")),
            "api/step_example": lambda given: session.step_example(),
            "api/trace": lambda given: session.trace(given.get("row")),
            "api/edit": lambda given: session.edit(given.get("at"), given.get("values")),
        }
        if path not in actions:
            raise self._unknown(path)
        try:
            given = json.loads(self._body(MAX_JSON, "application/json"))
        except (ValueError, RecursionError):
            raise Refusal(400, "the request's body is not JSON") from None
        if not isinstance(given, dict):
            raise Refusal(400, f"the request's body must be a JSON object, got {type(given).__name__}")
        return _json(actions[path](given))

    def _unknown(self, path: str) -> Refusal:
        return Refusal(404, f"there is no {path!r:.100} for {self.command}")

    # ---- checks of requests ----

    def _serve(self, answer: Callable[[str], tuple[bytes, str]]) -> None:
        status, kind = 200, "application/json"
        self._left = 0  # bytes of the body that are to be read
        try:
            self._length = self._left = self._content_length()
            path = self._checked_path()
            if self.command != "POST":
                self._body(MAX_JSON)  # a GET may have a body, which is ignored
            body, kind = answer(path)
        except Refusal as refusal:
            status, (body, _) = refusal.status, _json({"error": str(refusal)})
        except (ValueError, TypeError) as error:  # the session refused the request
            status, (body, _) = 400, _json({"error": f"{error!s:.{MAX_MESSAGE}}"})
        self._answer(status, body, kind)
        if status != 200:
            self._drain()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that the base class refuses: one that it cannot read, or an unknown method."""
        self._answer(int(code), _json({"error": f"{message or self.responses[code][0]:.{MAX_MESSAGE}}"})[0])

    def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status != 200:
            # otherwise a body that was not read would be taken for the next request
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _content_length(self) -> int:
        """Check and return the length of the request's body."""
        if self.headers.defects:  # after a malformed line the rest is not parsed, and may hold another length
            raise Refusal(400, "the request's headers are malformed")
        lengths = self.headers.get_all("Content-Length", [] if self.command == "POST" else ["0"])
        if "Transfer-Encoding" in self.headers or len(lengths) != 1 or not re.fullmatch("[0-9]{1,18}", lengths[0]):
            raise Refusal(411, "the request must say its Content-Length, once, as a whole number, and send no chunks")
        return int(lengths[0])

    def _checked_path(self) -> str:
        """Check token, host and origin of the request, and return the path behind the token."""
        token, _, path = self.path.removeprefix("/").partition("?")[0].partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refusal(403, "the address lacks this playground's token; open the one that the terminal shows")
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:
            raise Refusal(403, "the request is for another host")
        origins, sites = self.headers.get_all("Origin", []), self.headers.get_all("Sec-Fetch-Site", [])
        own = {f"http://{host}" for host in self.server.hosts}
        # "none" means that it was typed, or opened by another program. Old browsers do not send the header.
        if not (own.issuperset(origins) and {"none", "same-origin"}.issuperset(sites)):
            raise Refusal(403, "the request comes from another page; copy the address into the browser's address bar")
        return path

    def _body(self, most: int, kind: str | None = None) -> bytes:
        if kind is not None and self.headers.get_content_type() != kind:
            raise Refusal(415, f"the request's Content-Type must be {kind}, got {self.headers.get_content_type()}")
        if self._left > most:
            raise Refusal(413, f"the request has {self._left:,} bytes; at most {most:,} are taken")
        data, self._left = self.rfile.read(self._left), 0
        if len(data) < self._length:
            raise Refusal(400, f"the request ended after {len(data):,} of {self._length:,} bytes")
        return data

    def _drain(self) -> None:
        """Read and drop the rest of a body."""
        left = min(self._left, MAX_DRAINED)
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 16))) or left

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing, since the terminal belongs to the user."""


def _json(value: Any) -> tuple[bytes, str]:
    return json.dumps(value, allow_nan=False).encode(), "application/json"
