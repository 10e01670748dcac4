"""Tools for the server's tests: pictures, a plain client with a time limit, servers on real sockets."""

from __future__ import annotations

import base64
import http.client
import io
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional

import numpy as np
from PIL import Image

from duck_protection.server.serving import HttpServer
from duck_protection.server.settings import ServerSettings

KEY = "correct-horse"
PROMPT = "Is a duck in your way? Answer Clear, Slow or Stop."


def jpeg_bytes(seed: int = 7, width: int = 64, height: int = 48) -> bytes:
    """A picture that is never uniform."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(seed).integers(0, 60, (height, width))
    picture = np.stack([rows * 255 // height, columns * 255 // width, noise], axis=2).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=95)
    return out.getvalue()


def data_uri(seed: int = 7) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes(seed)).decode()


def image_message(text: str = PROMPT, seed: int = 7) -> Dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": data_uri(seed)}},
                                        {"type": "text", "text": text}]}  # fmt: skip


@dataclass
class Answer:
    status: int
    headers: Dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def events(self) -> List[Any]:
        """A stream's events; [DONE] as that word."""
        lines = [line[6:] for line in self.raw.decode().split("\n") if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


@dataclass
class Client:
    """One connection per request; every request ends within the time limit."""

    url: str
    key: str = KEY
    limit_s: float = 60.0
    headers: Dict[str, str] = field(default_factory=dict)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.url.split("//")[1], timeout=self.limit_s)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = self.connect()
        sent = {**({"Authorization": f"Bearer {self.key}"} if self.key else {}), **self.headers, **headers}
        raw = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        try:
            connection.request(method, path, raw, sent)
            reply = connection.getresponse()
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, None, **headers)

    def chat(self, messages: Optional[list] = None, **fields: Any) -> Answer:
        messages = [image_message()] if messages is None else messages
        return self.call("POST", "/v1/chat/completions", {"messages": messages, "max_tokens": 8, **fields})


@contextmanager
def serving(model: Any, **settings: Any) -> Iterator[Client]:
    """A server on a free port of this machine, with this model (or a function that loads it)."""
    values = {"port": 0, "keys": (KEY,), "drain_s": 5.0, **settings}
    server = HttpServer(ServerSettings(**values), model if callable(model) else lambda: model)
    server.start()
    try:
        yield Client(server.url)
    finally:
        server.stop()


def wait_until(condition: Any, limit_s: float = 20.0) -> None:
    """Returns when the condition holds; fails when it does not within the limit."""
    pause = threading.Event()
    for _ in range(int(limit_s / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("never happened")


def ready(client: Client) -> Client:
    wait_until(lambda: client.get("/health").status == 200)
    return client
