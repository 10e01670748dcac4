"""Who may look, and who may act: the operator's page's door. Pure ASGI, before any route.

On this machine alone (loopback) everybody may look. From any other address, and for whatever acts (a question, a
verdict now), the token is needed. Promise: no page of another origin can look or act in a visitor's name; the token is
compared in constant time, never logged, and leaves the address line at once for a cookie that no script can read. Each
port has a cookie of its own name: a browser sends every cookie of a host to all its ports.
"""
from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from typing import Any, Awaitable, Callable, Dict, Iterable, List, MutableMapping, Tuple
from urllib.parse import parse_qs, urlsplit

from duck_protection.server.listening import loopback

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
LOGIN = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Duck protection</title><style>body{font:16px system-ui;margin:15vh auto;max-width:22rem;padding:0 1rem}
input,button{font:inherit;padding:.6rem;width:100%;box-sizing:border-box;margin-top:.5rem}</style>
<h1>Duck protection</h1><p>This page needs its token; the dashboard's log names the file it is in.</p>
<form method="get" action="/"><input name="token" type="password" aria-label="token" autofocus>
<button>Open</button></form>"""
HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' blob:; media-src 'self'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


def cookie_name(port: int) -> str:
    """Of the page at this port."""
    return f"duck_protection_token_{port}"


class Door:
    """Wraps an ASGI application.

    Args:
        host, port: The address that is listened to.
        token: What opens.
    """

    def __init__(self, app: App, host: str, port: int, token: str) -> None:
        self._app, self._token, self._name = app, token, cookie_name(port)
        self._local = loopback(host)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One connection's event stream."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        if self._foreign(headers):
            await _refuse(scope, send, 403, b"another origin may not use this page")
        elif scope["path"] == "/" and self._is_token(query.get("token", [""])[0]):
            await _answer(send, 303, b"", [(b"location", b"/"), self._cookie()])
        elif self._may(scope, headers):
            await self._app(scope, receive, self._marked(scope, send))
        else:
            await _refuse(scope, send, 401, LOGIN.encode() if scope["path"] == "/" else b"the token is missing")

    def _foreign(self, headers: Dict[str, str]) -> bool:
        """A page of another origin, or another name that was made to mean this machine."""
        origin = headers.get("origin")
        try:
            host = urlsplit("//" + headers.get("host", "")).hostname or ""
            other = origin is not None and urlsplit(origin).netloc != headers.get("host")
        except ValueError:  # no address at all, "[" for one
            return True
        return other or (self._local and not loopback(host))

    def _may(self, scope: Message, headers: Dict[str, str]) -> bool:
        acts = scope.get("method", "GET") not in ("GET", "HEAD")
        return (self._local and not acts) or self._is_token(self._given(headers))

    def _given(self, headers: Dict[str, str]) -> str:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return bearer.strip()
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._name)
        except CookieError:
            return ""
        return cookie.value if cookie else ""

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _cookie(self) -> Tuple[bytes, bytes]:
        return b"set-cookie", f"{self._name}={self._token}; HttpOnly; SameSite=Strict; Path=/".encode()

    def _marked(self, scope: Message, send: Send) -> Send:
        """Adds the headers; on this machine the page brings its token along."""
        extra = [*HEADERS, self._cookie()] if self._local and scope["path"] == "/" else HEADERS

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        return marked


async def _refuse(scope: Message, send: Send, status: int, body: bytes) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4000 + status})  # before accept: the handshake fails
        return
    kind = b"text/html; charset=utf-8" if body.startswith(b"<") else b"text/plain; charset=utf-8"
    await _answer(send, status, body, [(b"content-type", kind), *HEADERS[1:]])


async def _answer(send: Send, status: int, body: bytes, headers: Iterable[Tuple[bytes, bytes]]) -> None:
    every: List[Tuple[bytes, bytes]] = [*headers, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": body})
