"""What stands behind the routes: the model while it loads, serves and stops.

Promise: until ready every request is refused with 503 "Loading model"; once stopping, what has begun is finished and
the rest refused.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable, Optional

from duck_protection.server.asking import Intake
from duck_protection.server.engine import Engine
from duck_protection.server.errors import unavailable
from duck_protection.server.scheduler import Scheduler
from duck_protection.server.settings import ServerSettings
from duck_protection.vlm.batching import Batcher

READERS = 4  # threads that read bodies and pictures; Pillow and base64 let the event loop run meanwhile
ASKERS = 32  # threads that wait for decisions, most of them asleep


@dataclass(frozen=True)
class Model:
    """A loaded model: its one thread, and how chats run on it."""

    batcher: Batcher
    engine: Engine


class Service:
    """Any thread."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.intake = Intake(settings.frames, settings.images, settings.fetch)
        self.readers = ThreadPoolExecutor(READERS, "reader")
        self.askers = ThreadPoolExecutor(ASKERS, "asker")
        self._model: Optional[Model] = None
        self._scheduler: Optional[Scheduler] = None
        self._stopping = False

    def ready(self, model: Model) -> None:
        """From now on it serves."""
        self._model = model
        self._scheduler = Scheduler(model.engine, model.batcher.between, self.settings.slots, self.settings.queue)

    @property
    def model(self) -> Model:
        """Raises ApiError 503 while there is none."""
        if self._model is None:
            raise unavailable("Loading model")
        return self._model

    @property
    def scheduler(self) -> Scheduler:
        """Raises ApiError 503 while there is none."""
        if self._scheduler is None:
            raise unavailable("Loading model")
        return self._scheduler

    @property
    def name(self) -> str:
        """The model's name in replies."""
        return self.settings.alias or self.model.engine.facts.identity.model

    def check_health(self) -> None:
        """Raises ApiError 503 unless it serves."""
        if self._stopping:
            raise unavailable("the server is stopping")
        self.scheduler  # noqa: B018  raises while loading

    def drain(self) -> None:
        """Finish what has begun, refuse the rest."""
        self._stopping = True
        if self._scheduler is not None:
            self._scheduler.drain()

    def close(self) -> None:
        """End everything that was started here; the batcher belongs to whoever made it."""
        self.drain()
        if self._scheduler is not None:
            self._scheduler.close()
        self.readers.shutdown(wait=False, cancel_futures=True)
        self.askers.shutdown(wait=False, cancel_futures=True)


def load_in_background(
    service: Service, load: Callable[[], Model], failed: Callable[[Exception], None]
) -> threading.Thread:
    """Loads while the server answers 503; failed() is called with the error when that does not work."""

    def work() -> None:
        try:
            service.ready(load())
        except Exception as err:  # whatever it was: the process must end with a sentence, not listen for ever
            failed(err)

    thread = threading.Thread(target=work, name="loading", daemon=True)
    thread.start()
    return thread
