"""vlm_node: pictures and questions in, probabilities or text out. Holds the model; everything else only asks.

Promise: ~infer answers from the first second on (LOADING, while it loads), and always: a picture that cannot be
read, a deadline that passed, a full queue or a full memory each have a status, and the request's stamp and choices
come back with it. A checkpoint that cannot be loaded ends the node with one line, and so does a device that is lost:
roslaunch starts it again.

With ~http_port the same model, thread and queue also serve HTTP clients; no second copy of the weights is made.

    Configuration: config/vlm_node.yaml, each key with unit, range and reason
    Publisher: ~status (std_msgs/String, latched): "loading", "ready: MODEL", "out of memory: ..", "failed: .."
    With ~shadow: ~shadow/disagreement (ShadowReading), ~shadow/status (std_msgs/String, latched)
    Service: ~infer (InferImage)
"""
from __future__ import annotations

import math
import sys
import threading
import time
from dataclasses import replace
from typing import Any, Callable, Dict, Optional

import numpy as np
import rospy
from std_msgs.msg import String

from duck_protection.frames import FrameError, FrameLimits, decode
from duck_protection.nodes import messages
from duck_protection.nodes.eyes import EyeSettings, batch_size, opener
from duck_protection.nodes.http_door import http_door
from duck_protection.nodes.ros_node import REFUSED, every, run_node, taken
from duck_protection.nodes.shadow import Shadow, ShadowSettings, Shown
from duck_protection.question import Choice, Question
from duck_protection.settings import settings_from
from duck_protection.srv import InferImage, InferImageRequest, InferImageResponse
from duck_protection.verdict import Level, Reply, Timings
from duck_protection.vlm.base import (
    BusyError,
    ChoiceError,
    DeviceLostError,
    LateError,
    MemoryFullError,
    NotReadyError,
    Vlm,
    VlmError,
)
from duck_protection.vlm.batching import MAX_TALKS, Batcher

BUFFER_BYTES = 2**17  # a request with a Duckiebot's JPEG in one read; a larger buffer costs 0.06 ms a request
LOOK_S = 0.1
STATUS = {
    NotReadyError: InferImageResponse.LOADING,
    LateError: InferImageResponse.LATE,
    BusyError: InferImageResponse.BUSY,
    ChoiceError: InferImageResponse.BAD_REQUEST,
    MemoryFullError: InferImageResponse.OUT_OF_MEMORY,
}


class VlmNode:
    """rospy gives each connection a thread; at most so many of them get past the door, the others are BUSY."""

    def __init__(self, settings: EyeSettings, open_eyes: Callable[[], Vlm], shadow: Optional[Shadow]) -> None:
        self._settings, self._open, self._shadow = settings, open_eyes, shadow
        self._limits = FrameLimits(settings.max_image_bytes, settings.max_image_pixels)
        self._doors = {
            True: threading.BoundedSemaphore(settings.max_queue),
            False: threading.BoundedSemaphore(MAX_TALKS),
        }
        self._batcher: Optional[Batcher] = None
        self._failure, self._exit_code = "", REFUSED
        self._status = _Status()
        self._http = http_door(settings)
        rospy.Service("~infer", InferImage, self._infer, buff_size=BUFFER_BYTES)
        threading.Thread(target=self._load, name="loading", daemon=True).start()

    def tick(self) -> None:
        """Ends the process when the model cannot be loaded or is lost; lets the shadow say how it goes."""
        if self._shadow is not None:
            self._shadow.tick()
        if self._failure:
            rospy.logfatal("%s ends: %s", rospy.get_name(), self._failure)
            sys.exit(self._exit_code)

    def _load(self) -> None:
        begun_s = time.monotonic()
        try:
            vlm = self._open()
            batcher = Batcher(vlm, batch_size(self._settings, vlm), self._settings.max_queue)
            if self._http is not None:
                self._http.open(batcher, vlm)
            batcher.when_lost(self._lose)
            self._batcher = batcher
        except MemoryFullError as err:
            self._status.say(f"out of memory: {err}")
            self._failure = f"out of memory while loading: {err}"
        except VlmError as err:
            self._status.say(f"failed: {err}")
            self._failure = str(err)
        except BaseException as err:  # a bug: the thread's traceback follows, and the node must not stay deaf
            self._failure = f"a bug while loading: {err!r}"
            raise
        else:
            self._status.say(f"ready: {vlm.identity.model}")
            rospy.loginfo("ready after %.1f s: %s", time.monotonic() - begun_s, vlm.identity)
            if self._shadow is not None:
                self._shadow.start()

    def _lose(self, err: DeviceLostError) -> None:
        self._status.say(f"failed: {err}")
        self._failure, self._exit_code = str(err), 1

    def _infer(self, request: InferImageRequest) -> InferImageResponse:
        arrived_s = time.monotonic()
        try:
            response = messages.response_to(request, self._reply(request, arrived_s))
            self._status.fine()
            return response
        except FrameError as err:
            return self._refusal(request, InferImageResponse.UNREADABLE, err)
        except (ValueError, ChoiceError) as err:
            return self._refusal(request, InferImageResponse.BAD_REQUEST, err)
        except VlmError as err:
            if isinstance(err, MemoryFullError):
                self._status.say(f"out of memory: {err}")
            return self._refusal(request, STATUS.get(type(err), InferImageResponse.MODEL_ERROR), err)

    def _refusal(self, request: InferImageRequest, status: int, err: Exception) -> InferImageResponse:
        identity = self._batcher.identity if self._batcher is not None else None
        return messages.refusal_of(request, status, str(err), identity)

    def _reply(self, request: InferImageRequest, arrived_s: float) -> Reply:
        deadline_s = arrived_s + self._deadline_s(request.deadline_s)
        question = _question(request) if request.choices else None
        batcher, door = self._batcher, self._doors[question is not None]
        if batcher is None:
            raise NotReadyError("")
        if not door.acquire(blocking=False):
            raise BusyError("as many requests as may be here are here already")
        try:
            frame = decode(request.image.data, self._limits)
            decode_ms = (time.monotonic() - arrived_s) * 1e3
            if question is None:
                return self._text(batcher, frame, request, deadline_s, decode_ms)
            reply = batcher.choose(frame, question, deadline_s, caller=_caller(request))
            if self._shadow is not None:
                self._shadow.offer(Shown(request.image.header, request.image.data, frame, question, reply))
            return replace(reply, timings=replace(reply.timings, decode_ms=decode_ms))
        finally:
            door.release()

    def _text(
        self, batcher: Batcher, frame: np.ndarray, request: InferImageRequest, deadline_s: float, decode_ms: float
    ) -> Reply:
        if not request.prompt.strip():
            raise ValueError("the prompt is empty")
        begun_s = time.monotonic()
        tokens = min(request.max_tokens or self._settings.max_tokens, self._settings.max_tokens)
        text = "".join(batcher.generate(frame, request.prompt, tokens, deadline_s))
        return Reply((), 0.0, text, batcher.identity, Timings(decode_ms, 0.0, (time.monotonic() - begun_s) * 1e3))

    def _deadline_s(self, wanted_s: float) -> float:
        if not (math.isfinite(wanted_s) and wanted_s > 0):
            raise ValueError(f"deadline_s must be more than 0, is {wanted_s}")
        return min(wanted_s, self._settings.max_deadline_s)


class _Status:
    """The latched ~status; changes go into the log too."""

    def __init__(self) -> None:
        self._publisher = rospy.Publisher("~status", String, queue_size=1, latch=True)
        self._lock = threading.Lock()
        self._said = self._ready = ""
        self.say("loading")

    def say(self, text: str) -> None:
        with self._lock:
            if text == self._said:
                return
            self._said = text
            self._ready = text if text.startswith("ready") else self._ready
            self._publisher.publish(String(text))
        rospy.loginfo("status: %s", text)

    def fine(self) -> None:
        """A request was answered: whatever had been wrong is over."""
        if self._said != self._ready:
            self.say(self._ready)


def _caller(request: InferImageRequest) -> str:
    """The node that asks; of each, one request waits at most, and callers take turns."""
    return str((request._connection_header or {}).get("callerid", ""))


def _question(request: InferImageRequest) -> Question:
    """The request's question. Its levels are the asker's matter; the model sees only the words."""
    levels = [Level.CLEAR] + [Level.STOP] * (len(request.choices) - 1)
    choices = tuple(Choice(word, level) for word, level in zip(request.choices, levels))
    return Question("request", 1, request.prompt, choices, request.picture_last)


def start(parameters: Dict[str, Any]) -> None:
    """Runs the node until the end; refuses bad settings before anything is offered."""
    shadow = settings_from(ShadowSettings, taken(parameters, "shadow"))
    settings = settings_from(EyeSettings, parameters)
    node = VlmNode(settings, opener(settings), Shadow(shadow) if shadow.backend else None)
    every(LOOK_S, node.tick)


def main() -> None:
    """The executable."""
    run_node("vlm_node", start)
