"""HTTP requests that end when they must. http.client's time limit is per read; this one's is for the whole exchange.

For remote.py, on the robot's Python 3.8, with the standard library alone, and for pictures that are fetched. Promise:
request() and stream() return or raise by their deadline, whatever the server sends or does not send (name resolution
excepted: give an address); a reply is never larger than the limit; a connection that failed is never used again.

    HttpError
    ├── HttpLateError   the deadline passed
    └── HttpGoneError   nobody there, or the connection broke
"""

from __future__ import annotations

import http.client
import select
import socket
import threading
import time
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional
from urllib.parse import urlsplit

MAX_REPLY_BYTES = 4 * 1024 * 1024  # an answer with logprobs has some kilobytes
MAX_LINE_BYTES = 256 * 1024


class HttpError(Exception):
    """Any way in which an exchange can fail before there is a status."""


class HttpLateError(HttpError):
    """The deadline passed."""


class HttpGoneError(HttpError):
    """Nobody answers there, or what answers does not speak HTTP."""


@dataclass(frozen=True)
class HttpReply:
    """Status and whole body."""

    status: int
    body: bytes


class BoundedHttp:
    """Connections to one server, kept and used again. Any thread may ask; each exchange has its own connection.

    Args:
        url: "http://host:port" or https; a path before the endpoints may follow.
        headers: Sent with every request.

    Raises:
        ValueError: This is no such URL.
    """

    def __init__(self, url: str, headers: Dict[str, str]) -> None:
        parts = urlsplit(url.rstrip("/"))
        try:
            port = parts.port
        except ValueError as err:
            raise ValueError(f"{url!r} has no usable port") from err
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError(f"a server's URL looks like http://192.168.1.5:8080, not {url!r}")
        self._https, self._host, self._port, self._path = parts.scheme == "https", parts.hostname, port, parts.path
        self._headers = {"User-Agent": "duck_protection", "Accept-Encoding": "identity", **headers}
        self._idle: List[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def request(
        self, method: str, path: str, body: Optional[bytes], deadline_mono_s: float, most_bytes: int = MAX_REPLY_BYTES
    ) -> HttpReply:
        """The server's reply, whatever its status.

        Args:
            deadline_mono_s: On time.monotonic().

        Raises:
            HttpLateError, HttpGoneError: There is none.
        """
        with _Exchange(self, deadline_mono_s) as exchange:
            reply = exchange.send(method, path, body)
            data = reply.read(most_bytes + 1)
            exchange.check()
            if len(data) > most_bytes:
                raise HttpGoneError(f"the reply has more than {most_bytes} bytes")
            exchange.reusable = not reply.will_close
            return HttpReply(reply.status, data)

    def stream(self, path: str, body: bytes, deadline_mono_s: float) -> Iterator[HttpReply]:
        """The reply's lines as they come (each as an HttpReply); stop iterating to hang up.

        Raises:
            HttpLateError, HttpGoneError: As request(), also in the middle.
        """
        with _Exchange(self, deadline_mono_s) as exchange:
            reply = exchange.send("POST", path, body)
            total = 0
            while True:
                line = reply.readline(MAX_LINE_BYTES + 1)
                exchange.check()
                total += len(line)
                if len(line) > MAX_LINE_BYTES or total > MAX_REPLY_BYTES:
                    raise HttpGoneError("the reply is too large")
                if not line:
                    return  # never to be used again: llama-server closes after a stream without having said so
                yield HttpReply(reply.status, line)

    def close(self) -> None:
        """Close what is idle; the object can still be used."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def take(self) -> Optional[http.client.HTTPConnection]:
        """An idle connection that the server has not closed meanwhile, if there is one."""
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if not _spoken_to(connection):
                    return connection
                connection.close()
            return None

    def give(self, connection: http.client.HTTPConnection) -> None:
        """It can be used again."""
        with self._lock:
            self._idle.append(connection)

    def fresh(self) -> http.client.HTTPConnection:
        """A connection that is not open yet."""
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        return kind(self._host, self._port)

    def send(self, connection: http.client.HTTPConnection, method: str, path: str, body: Optional[bytes]) -> None:
        """Sends a request."""
        connection.request(method, self._path + path, body, self._headers)


def _spoken_to(connection: http.client.HTTPConnection) -> bool:
    """Whether something waits to be read where nothing should: the server's goodbye."""
    if connection.sock is None:
        return True
    waiting = select.poll()
    waiting.register(connection.sock, select.POLLIN)
    return bool(waiting.poll(0))


class _Exchange:
    """One request on one connection, with an alarm that cuts the connection when the deadline passes."""

    def __init__(self, http_: BoundedHttp, deadline_mono_s: float) -> None:
        self._http, self._ends_s = http_, deadline_mono_s
        self._connection: Optional[http.client.HTTPConnection] = None
        self._socket: Optional[socket.socket] = None  # a connection forgets it when the server says it will close
        self._reply: Optional[http.client.HTTPResponse] = None
        self._alarm = threading.Timer(max(0.0, deadline_mono_s - time.monotonic()), self._cut)
        self._alarm.daemon = True
        self.reusable = False

    def __enter__(self) -> _Exchange:
        if time.monotonic() >= self._ends_s:
            raise HttpLateError("the deadline has passed")
        self._alarm.start()
        return self

    def __exit__(self, kind: object, err: Optional[BaseException], _: object) -> None:
        self._alarm.cancel()
        connection = self._connection
        if connection is not None:
            if self.reusable and err is None and time.monotonic() < self._ends_s:
                self._http.give(connection)
            else:
                connection.close()
                if self._reply is not None:
                    self._reply.close()
        if isinstance(err, (OSError, http.client.HTTPException, ValueError, AttributeError)):
            # AttributeError and ValueError: http.client meets its own socket closed by the alarm
            if time.monotonic() >= self._ends_s or isinstance(err, socket.timeout):
                raise HttpLateError("no answer within the deadline") from err
            raise HttpGoneError(str(err) or type(err).__name__) from err

    def send(self, method: str, path: str, body: Optional[bytes]) -> http.client.HTTPResponse:
        """The reply's head."""
        connection = self._connection = self._http.take() or self._http.fresh()
        left_s = max(0.001, self._ends_s - time.monotonic())
        connection.timeout = left_s
        if connection.sock is not None:
            connection.sock.settimeout(left_s)
        self._http.send(connection, method, path, body)
        self._socket = connection.sock
        self._reply = connection.getresponse()
        return self._reply

    def check(self) -> None:
        """Raises HttpLateError after the deadline: what was read then may be cut, and look whole."""
        if time.monotonic() >= self._ends_s:
            raise HttpLateError("no answer within the deadline")

    def _cut(self) -> None:
        sock = self._socket or (self._connection.sock if self._connection is not None else None)
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is closed already
                return
