"""vlm_node's second door: the HTTP server over the model that ~infer asks, in the same process.

Promise: the same batcher serves both, so there is one copy of the weights and callers of either kind take turns; bad
settings or a port that is taken end the node before anything is published; while the model loads, HTTP says 503. The
server's packages are imported only when there is a door: a robot's own Python has none of them.
"""
from __future__ import annotations

import os
import queue
from typing import TYPE_CHECKING, Optional

import rospy

from duck_protection.nodes.eyes import EyeSettings
from duck_protection.settings import SettingsError
from duck_protection.vlm.base import Vlm
from duck_protection.vlm.batching import Batcher

if TYPE_CHECKING:
    from duck_protection.server.service import Model
    from duck_protection.server.settings import ServerSettings

KEY_VARIABLE = "DUCK_PROTECTION_API_KEY"  # the server's own; no parameter, since everybody can read those
DRAIN_S = 2.0  # for HTTP answers that have begun when the node is told to end; the robots' verdicts end at once


class HttpDoor:
    """Listens from the start on.

    Raises:
        OSError: The address cannot be had.
    """

    def __init__(self, settings: ServerSettings) -> None:
        from duck_protection.server.serving import HttpServer

        self._settings = settings
        self._model: queue.Queue[Model] = queue.Queue()
        self._server = HttpServer(settings, self._model.get)
        self._server.start()
        rospy.on_shutdown(self._server.stop)
        rospy.loginfo("HTTP on %s", self._server.url)

    def open(self, batcher: Batcher, vlm: Vlm) -> None:
        """From now on HTTP clients are served by this model too."""
        from duck_protection.server.loading import serve_with

        self._model.put(serve_with(batcher, vlm, self._settings))


def http_door(settings: EyeSettings) -> Optional[HttpDoor]:
    """The door, or None when none is wanted.

    Raises:
        SettingsError: It cannot be had: unsafe settings, a port in use, missing packages.
    """
    if not settings.http_port:
        return None
    try:
        from duck_protection.server.settings import ServerSettings

        keys = tuple(os.environ.get(KEY_VARIABLE, "").split())
        chosen = ServerSettings(
            settings.http_host, settings.http_port, keys, tuple(settings.http_keyless.split()), drain_s=DRAIN_S,
            deadline_s=settings.max_deadline_s, image_bytes=settings.max_image_bytes,
            image_pixels=settings.max_image_pixels, together=1,  # a robot's verdict waits for one prompt at most
        )  # fmt: skip
        door = HttpDoor(chosen)
    except ImportError as err:
        raise SettingsError(f"http_port needs the server's packages ({err}; docs/server.md), or must be 0") from err
    except OSError as err:
        where = f"{settings.http_host}:{settings.http_port}"
        raise SettingsError(f"http_port {settings.http_port} cannot be had on {where}: {err.strerror}") from err
    if settings.http_keyless:
        rospy.logwarn("HTTP clients of these addresses need no key: %s", settings.http_keyless)
    return door
