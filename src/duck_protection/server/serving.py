"""uvicorn around the application: one process, clean stop, nothing said in logs that should not be.

Promise: on SIGTERM or SIGINT the socket closes, what has begun is finished within drain_s, the process ends.
"""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Callable, Optional

import uvicorn

from duck_protection.server.app import make_app
from duck_protection.server.listening import bound, url_of
from duck_protection.server.service import Model, Service, load_in_background
from duck_protection.server.settings import ServerSettings

LOG = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Tells the service first that the end is near."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: Optional[FrameType]) -> None:
        self._service.drain()
        super().handle_exit(sig, frame)


class HttpServer:
    """The server in this process.

    Args:
        load: Gives the model; runs in a thread of its own while the server already answers 503.
    """

    def __init__(self, settings: ServerSettings, load: Callable[[], Model]) -> None:
        self.service = Service(settings)
        self._load = load
        self._error: Optional[Exception] = None
        self._thread: Optional[threading.Thread] = None
        config = uvicorn.Config(
            make_app(self.service),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the client's address decides who needs no key: nobody may claim another's
            lifespan="off",
            ws="none",
            limit_concurrency=settings.connections,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        )
        self._server = _Server(config, self.service)
        self._socket = bound(settings.host, settings.port, config.backlog)

    @property
    def url(self) -> str:
        """Where it listens; with port 0 the system has chosen one."""
        return url_of(self._socket)

    def run(self) -> None:
        """Serves until a signal, until loading has failed or the model's device is lost.

        Raises:
            Exception: What load() raised. DeviceLostError: A new process may go on.
        """
        load_in_background(self.service, self._load, self.end)
        LOG.info("listening on %s", self.url)
        if threading.current_thread() is threading.main_thread():
            # uvicorn raises the signal again when it has stopped; this makes a clean stop end with exit code 0.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._ask_to_stop)
        try:
            self._server.run([self._socket])
        finally:
            self.service.close()
            self._socket.close()
        if self._error is not None:
            raise self._error

    def start(self) -> None:
        """Serves in a thread, beside something else (vlm_node); signals are that one's matter."""
        self._thread = threading.Thread(target=self._run_beside, name="http", daemon=True)
        self._thread.start()

    def _run_beside(self) -> None:
        try:
            self.run()
        except Exception as err:  # the process goes on without HTTP, and says so
            LOG.error("the HTTP server has ended: %s", err)

    def stop(self) -> None:
        """Ends what start() began: finishes what has begun, as on SIGTERM."""
        self.service.drain()
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(self.service.settings.drain_s + 5.0)

    def _ask_to_stop(self, *_: object) -> None:
        self._server.should_exit = True

    def end(self, err: Exception) -> None:
        """Ends run() with this error: loading has failed, or the model's device is lost."""
        self._error = err
        self._server.should_exit = True
