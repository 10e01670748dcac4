"""The door: who may ask, from where, and with which key. Pure ASGI, before any route.

Promise: without permission no byte of a body is read; a key is compared in constant time and never logged; every reply
carries X-Request-Id, and a route that fails unforeseen answers 500 in the usual words.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import logging
import re
import secrets
import time
from typing import Any, Awaitable, Callable, Dict, List, MutableMapping, Optional, Tuple

from duck_protection.server.errors import ApiError, broken, forbidden, no_key
from duck_protection.server.settings import ServerSettings

LOG = logging.getLogger(__name__)
PUBLIC = {"/health", "/v1/health", "/models", "/v1/models"}
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Guard:
    """Wraps an ASGI application."""

    def __init__(self, app: App, settings: ServerSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One connection's event stream."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        reply = _Reply(send, self._extra(headers))
        began_s = time.monotonic()
        try:
            if scope["method"] == "OPTIONS":
                await reply.bare(200)
            else:
                self._admit(scope, headers)
                await self._app(scope, receive, reply.send)
        except ApiError as err:
            await reply.refuse(err)
        except Exception:
            LOG.exception("a route failed unforeseen")
            await reply.refuse(broken("internal error"))
        finally:
            took_ms = 1e3 * (time.monotonic() - began_s)
            path = re.sub(r"[^\w./-]", "?", scope["path"])[:100]
            LOG.info("%s %s %s -> %s, %.0f ms", client_of(scope), scope["method"], path, reply.status, took_ms)

    def _admit(self, scope: Message, headers: Dict[str, str]) -> None:
        origin = headers.get("origin")
        if origin is not None and origin not in self._settings.origins:
            raise forbidden("web pages may not ask this server; see --cors-origin")
        if scope["path"] in PUBLIC or self._has_key(headers) or self._needs_none(client_of(scope)):
            return
        raise no_key()

    def _has_key(self, headers: Dict[str, str]) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        matches = [hmac.compare_digest(given.encode(), key.encode()) for key in self._settings.keys]
        return any(matches)

    def _needs_none(self, client: str) -> bool:
        if not self._settings.keys and not self._settings.keyless_from:
            return True
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._settings.networks)

    def _extra(self, headers: Dict[str, str]) -> List[Tuple[bytes, bytes]]:
        wanted = headers.get("x-request-id", "")
        request_id = wanted if re.fullmatch(r"[\w.-]{1,64}", wanted, re.ASCII) else secrets.token_hex(8)
        extra = [(b"x-request-id", request_id.encode()), (b"server", b"duck_protection")]
        origin = headers.get("origin", "")
        if origin in self._settings.origins:
            extra += [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
                (b"access-control-allow-headers", b"Authorization, Content-Type, X-Api-Key, X-Request-Id"),
                (b"vary", b"Origin"),
            ]
        return extra


class _Reply:
    """Adds headers to whatever is sent, and knows whether anything was."""

    def __init__(self, send: Send, extra: List[Tuple[bytes, bytes]]) -> None:
        self._send, self._extra = send, extra
        self.status: Optional[int] = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), *self._extra]}
        await self._send(message)

    async def bare(self, status: int) -> None:
        headers = [(b"content-type", b"text/html"), (b"content-length", b"0")]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})

    async def refuse(self, err: ApiError) -> None:
        """The error's body; nothing when an answer has begun already."""
        if self.status is not None:
            return
        body = json.dumps(err.body).encode()
        headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        # The rest of a refused body is not read: the connection cannot be used again.
        more = {**err.headers, "Connection": "close"}
        headers += [(name.lower().encode(), value.encode()) for name, value in more.items()]
        await self.send({"type": "http.response.start", "status": err.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def client_of(scope: Message) -> str:
    """The address of who asks."""
    return str(scope["client"][0]) if scope.get("client") else "unknown"
