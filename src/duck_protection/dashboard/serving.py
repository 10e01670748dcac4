"""uvicorn around the page, in a thread beside the node; and the token that opens it.

Promise: listens on this machine alone unless told; the token is made anew for each start unless its file is given, and
stands in a file that only its owner can read.
"""
from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
from pathlib import Path
from typing import Optional

import uvicorn

from duck_protection.dashboard.app import Site, make_app, ticking
from duck_protection.dashboard.door import Door
from duck_protection.server.listening import bound, loopback, url_of
from duck_protection.settings import SettingsError

LOG = logging.getLogger(__name__)
MIN_TOKEN = 16  # characters
CONNECTIONS = 128  # 16 visitors (app.py) with the six that a browser opens and their live stream, and some


def token_from(file: str, host: str) -> str:
    """The token in the file. Without a file a new one, on this machine alone.

    Raises:
        SettingsError: Another address without a file; no such file; a token that is too short.
    """
    if not file:
        if not loopback(host):
            raise SettingsError(f"host {host} needs token_file: a file with a token of {MIN_TOKEN} or more characters")
        return secrets.token_urlsafe(24)
    try:
        token = Path(file).expanduser().read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise SettingsError(f"token_file {file} cannot be read: {err}") from err
    if not (len(token) >= MIN_TOKEN and all(sign.isalnum() or sign in "-_." for sign in token)):
        raise SettingsError(f"the token in {file} must be {MIN_TOKEN} or more letters, digits, '-', '_' or '.'")
    return token


class PageServer:
    """Serves the site until stop()."""

    def __init__(self, site: Site, host: str, port: int, token: str) -> None:
        self._site = site
        self._socket = bound(host, port)
        self.url, self.port = url_of(self._socket), int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            Door(make_app(site), host, self.port, token),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_per_message_deflate=False,  # JPEGs do not shrink
            ws_max_size=1024,  # a visitor says one word at a time
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread: Optional[threading.Thread] = None

    def start(self) -> None:
        """Serves in a thread of its own."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="page", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it, within seconds."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(5.0)
        self._socket.close()

    @property
    def alive(self) -> bool:
        """Whether it still serves; it does not without looking at its robots."""
        return self._thread is not None and self._thread.is_alive()

    async def _serve(self) -> None:
        looking = asyncio.ensure_future(ticking(self._site))
        looking.add_done_callback(self._end)  # a bug: from now on the pictures would stand still
        try:
            await self._server.serve([self._socket])  # takes no signals: this is not the main thread
        finally:
            if not looking.cancel():
                looking.result()  # raises what ended it

    def _end(self, _: object) -> None:
        self._server.should_exit = True


def write_token(path: Path, token: str) -> None:
    """The token in a file that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        os.fchmod(handle, 0o600)  # a file that was there has kept its mode
        file.write(token + "\n")
