"""An OpenAI-style server that says what it is told to, and breaks as it is told to. Listens on 127.0.0.1.

Promise: refuse() and accept() work on one port, and refusing ends the connections that are there.
"""
from __future__ import annotations

import json
import math
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Optional

MODELS = {"data": [{"id": "fake", "meta": {"revision": "1", "dtype": "none"}}]}
RECORD = (
    '- {model: fake, revision: "1", dtype: none, backend: remote, question: road@1,'
    " stop_at: 0.2, clear_at: 0.8, max_off_mass: 0.1}\n"
)
Answer = Callable[[Any], None]


def chat(tokens: Dict[str, float]) -> Dict[str, Any]:
    """A chat's answer with these first tokens and their log-probabilities."""
    top = [{"token": token, "logprob": logprob} for token, logprob in tokens.items()]
    return {"choices": [{"message": {"content": "x"}, "logprobs": {"content": [{**top[0], "top_logprobs": top}]}}]}


TRUTH = chat({"Clear": math.log(0.97), "Slow": math.log(0.02), "Stop": math.log(0.01)})


def saying(content: Any, status: int = 200, claims_bytes: Optional[int] = None) -> Answer:
    """Answers so; with claims_bytes the header promises another length, and the connection ends early."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()

    def answer(handler: Any) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data) if claims_bytes is None else claims_bytes))
        handler.end_headers()
        handler.wfile.write(data)
        handler.close_connection = handler.close_connection or claims_bytes is not None

    return answer


def late(seconds: float) -> Answer:
    """The truth, so much later."""

    def answer(handler: Any) -> None:
        time.sleep(seconds)
        saying(TRUTH)(handler)

    return answer


def dripping(handler: Any) -> None:
    """The truth, a byte every 0.2 s."""
    data = json.dumps(TRUTH).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    for at in range(min(len(data), 25)):
        handler.wfile.write(data[at : at + 1])
        time.sleep(0.2)
    handler.close_connection = True


def endless(handler: Any) -> None:
    """A body that goes on for as long as anybody reads, up to 64 MB."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(2**33))
    handler.end_headers()
    for _ in range(64):
        handler.wfile.write(b"[" * 2**20)
    handler.close_connection = True


class LyingServer:
    """`say` answers chats, `models` is what the list of models says."""

    def __init__(self) -> None:
        self.say: Answer = saying(TRUTH)
        self.models: Any = MODELS
        self._there: List[socket.socket] = []
        self._server: Optional[ThreadingHTTPServer] = None
        self._port = 0
        self.accept()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> LyingServer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.refuse()

    def accept(self) -> None:
        """Listens, on the port it had before."""
        self._server = _Server(("127.0.0.1", self._port), _handler(self, self._there))
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def refuse(self) -> None:
        """Nobody listens any more, and what was connected is cut."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.hang_up()

    def hang_up(self) -> None:
        """Ends every connection."""
        while self._there:
            with suppress(OSError):  # ended already
                self._there.pop().shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: Any) -> None:
        pass  # clients that hang up are the point


def _handler(server: LyingServer, there: List[socket.socket]) -> type:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            there.append(self.connection)

        def do_GET(self) -> None:
            saying(server.models)(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            server.say(self)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
