"""A token endpoint on loopback: Entra ID's, or a machine's own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

from tests.moments import PATIENCE

if TYPE_CHECKING:
    import ssl


SECRET = "s3cr3t~of.the_client"
ASSERTION = "the.pods.assertion"
HEADER = "the-identity-header"
#: What Entra ID says of a wrong secret, in short.
WRONG_SECRET = "AADSTS7000215: Invalid client secret provided."
#: Makes the identities of one test its own.
NUMBERS = count(1)
KINDS = ("client_secret", "environment", "workload_identity", "app_service", "imds")
#: A secret that is not the client's.
WRONG = "not~the.secret_0815"


class Asked(NamedTuple):
    """One request for a token."""

    path: str
    form: dict[str, str]
    headers: dict[str, str]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def __init__(self, endpoint: TokenEndpoint, tls: ssl.SSLContext | None, *args: Any) -> None:
        self.endpoint, self.tls = endpoint, tls
        super().__init__(*args)

    def setup(self) -> None:
        if self.tls:
            self.request = self.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def do_GET(self) -> None:
        self._answer(*self.endpoint.get(self.path, dict(self.headers)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self._answer(*self.endpoint.post(self.path, dict(parse_qsl(body)), dict(self.headers)))

    def do_CONNECT(self) -> None:
        self.endpoint.tunnels.append(self.path)
        self._answer(502, {})

    def _answer(self, status: int, body: Any) -> None:
        if not status:
            self.close_connection = True
            return
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass  # a client that hangs up, or does not trust us


class TokenEndpoint:
    """Entra ID over https, or a machine's identity endpoint over http.

    It shows a wrong secret in its refusals, which the real ones do not.

    :param tls: what makes it https.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.lifetime = 3600
        #: What the next requests get: a status, or text in place of JSON.
        self.faults: list[int | str] = []
        self.hangs_up = False
        #: The hosts that it was to be the proxy for.
        self.tunnels: list[str] = []
        self.open = threading.Event()
        self.open.set()
        #: How many requests wait because it is not open.
        self.waiting = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, self, tls))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()

    def get(self, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        parts = urlsplit(path)
        if parts.path.endswith("/.well-known/openid-configuration"):
            tenant = f"{self.url}/{parts.path.split('/')[1]}"
            return 0 if self.hangs_up else 200, {
                "issuer": f"{tenant}/v2.0",
                "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
                "token_endpoint": f"{tenant}/oauth2/v2.0/token",
                "jwks_uri": f"{tenant}/discovery/v2.0/keys",
            }
        query = dict(parse_qsl(parts.query))
        good = HEADER in headers.values() or headers.get("Metadata") == "true"
        return self._token(parts.path, query, headers, good=good)

    def post(self, path: str, form: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        good = SECRET in form.values() or ASSERTION in form.values()
        return self._token(path, form, headers, good=good)

    def _token(
        self, path: str, form: dict[str, str], headers: dict[str, str], *, good: bool
    ) -> tuple[int, Any]:
        with self._lock:
            self.asked.append(Asked(path, form, headers))
            number = len(self.asked)
            fault = self.faults.pop(0) if self.faults else None
            self.waiting += 1
        self.open.wait(PATIENCE)
        with self._lock:
            self.waiting -= 1
        if self.hangs_up:
            return 0, None
        if isinstance(fault, str):
            return 200, fault
        if fault:
            return fault, {"error": "temporarily_unavailable", "error_description": "Not now."}
        if not good:
            words = f"{WRONG_SECRET} You sent {form.get('client_secret')!r}."
            return 401, {"error": "invalid_client", "error_description": words}
        now = int(time.time())
        return 200, {
            "access_token": f"token-{number}",
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "expires_on": now + self.lifetime,
            "resource": form.get("resource", ""),
        }


def chain_of(error: BaseException | None) -> str:
    shown = ""
    while error is not None:
        shown += f"{error!r} {error} {getattr(error, 'to_json', dict)()}"
        error = error.__cause__ or error.__context__
    return shown


def in_a_new_process(script: str, *args: str) -> str:
    """Return what a script prints; with a connection of this process's environment."""
    done = subprocess.run(
        [sys.executable, "-c", script, *args], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
