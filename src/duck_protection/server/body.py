"""Reading a request's body, and noticing that its client has gone."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from duck_protection.server.errors import bad_request, too_large, too_slow


async def read_body(request: Request, most_bytes: int, within_s: float) -> bytes:
    """The whole body.

    Raises:
        ApiError: 413 too large, 408 too slow, 400 cut off.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most_bytes:
        raise too_large(most_bytes)
    try:
        return await asyncio.wait_for(_collect(request, most_bytes), within_s)
    except asyncio.TimeoutError as err:
        raise too_slow(within_s) from err
    except ClientDisconnect as err:
        raise bad_request("the request was cut off") from err


async def _collect(request: Request, most_bytes: int) -> bytes:
    parts, total = [], 0
    async for part in request.stream():
        total += len(part)
        if total > most_bytes:
            raise too_large(most_bytes)
        parts.append(part)
    return b"".join(parts)


async def gone(request: Request) -> None:
    """Returns when the client has closed the connection. Only after the body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
