"""A model hub on this machine: the few addresses that huggingface_hub asks, with the failures that a real one has."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Dict, List, Optional
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubStub:
    """Serves one repository.

    Args:
        files: Content by name.
        cut_at: A larger file's download breaks off after so many bytes, `cuts` times; None: never.
        said_bytes: What the listing says of a file's size, when that is to be a lie.
        hold_at: A larger file's download stops there and goes on for ever.
        elsewhere: Another host that has the weights, as the real hub has one: it sends people there.
    """

    def __init__(self, repo: str, files: Dict[str, bytes], token: Optional[str] = None) -> None:
        self.repo, self.files, self.token = repo, files, token
        self.cut_at: Optional[int] = None
        self.cuts = 10**9
        self.said_bytes: Dict[str, int] = {}
        self.hold_at: Optional[int] = None
        self.elsewhere = ""
        self.tokens: List[Optional[str]] = []  # that came with downloads
        self._closed = threading.Event()
        self.downloads: List[tuple[str, Optional[str]]] = []  # file and its Range header
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = urlsplit(request.path).path
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self._refuse(request, 401, "RepoNotFound")
        if path.startswith(f"/api/models/{self.repo}/tree/"):
            return self._json(request, [self._entry(name) for name in sorted(self.files)])
        if path in (f"/api/models/{self.repo}/revision/main", f"/api/models/{self.repo}"):
            siblings = [{"rfilename": name} for name in sorted(self.files)]
            return self._json(request, {"id": self.repo, "sha": COMMIT, "siblings": siblings})
        if path.startswith(f"/api/models/{self.repo}/revision/"):
            return self._refuse(request, 404, "RevisionNotFound")
        if path.startswith(f"/{self.repo}/resolve/"):
            return self._file(request, path.split("/", 5)[5], body=body)
        return self._refuse(request, 404, "RepoNotFound")

    def _entry(self, name: str) -> Dict[str, object]:
        size = self.said_bytes.get(name, len(self.files[name]))
        return {"type": "file", "path": name, "size": size, "oid": hashlib.sha1(self.files[name]).hexdigest()}

    def _json(self, request: BaseHTTPRequestHandler, content: object) -> None:
        data = json.dumps(content).encode()
        self._head(request, 200, {"Content-Type": "application/json", "Content-Length": str(len(data))})
        request.wfile.write(data)

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        self._head(request, status, {"X-Error-Code": code, "X-Error-Message": code, "Content-Length": "0"})

    def _file(self, request: BaseHTTPRequestHandler, name: str, *, body: bool) -> None:
        data, wanted = self.files[name], request.headers.get("Range")
        if self.elsewhere and name.endswith(".safetensors"):
            there = {"Location": f"{self.elsewhere}{request.path}", "X-Linked-Etag": f'"{_etag(name, data)}"',
                     "X-Linked-Size": str(len(data)), "X-Repo-Commit": COMMIT, "Content-Length": "0"}  # fmt: skip
            return self._head(request, 302, there)
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        headers = {
            "ETag": f'"{_etag(name, data)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes",
            "Content-Length": str(self.said_bytes.get(name, len(data)) - start),
        }  # fmt: skip
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._head(request, 206 if wanted else 200, headers)
        if body:
            self.downloads.append((name, wanted))
            self.tokens.append(request.headers.get("Authorization"))
            if self.hold_at is not None and len(data) > self.hold_at:
                request.wfile.write(data[start : self.hold_at])
                self._closed.wait()
                return None
            cut = self.cut_at is not None and len(data) > self.cut_at and self.cuts > 0
            request.wfile.write(data[start : max(start, self.cut_at or 0)] if cut else data[start:])
            if cut:
                self.cuts -= 1
                request.close_connection = True
        return None

    def _head(self, request: BaseHTTPRequestHandler, status: int, headers: Dict[str, str]) -> None:
        request.send_response(status)
        for key, value in headers.items():
            request.send_header(key, value)
        request.end_headers()


def _etag(name: str, data: bytes) -> str:
    """A large file's is its SHA-256, as on the hub."""
    return (hashlib.sha256 if name.endswith(".safetensors") else hashlib.sha1)(data).hexdigest()
