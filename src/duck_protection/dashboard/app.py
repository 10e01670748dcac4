"""The operator's page over HTTP: the page itself, its live stream, the two questions a person may ask, the events.

Promise: a slow visitor never gets old pictures, only fewer, because the next message waits until he has taken the last
but one; all JSON is strict, a number that is none is null; nothing here commands a robot.

    GET  /, /page/*            the page
    GET  /ws                   WebSocket: hello (JSON text), then ten times a second one binary message: its length
                               (uint32, little endian), JSON, the pictures
    POST /api/robots/N/ask     {"question": TEXT} -> {"ok", "text", "age_s", "seconds"}
    POST /api/robots/N/check   -> {"level", "reason", "choices", "probabilities", "age_ms"}
    GET  /api/events           newest first; /api/events/ROBOT/ID/{frame.jpg, clip.mp4, drive.bag}
"""
from __future__ import annotations

import asyncio
import json
import logging
import struct
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol

from fastapi import FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from duck_protection.dashboard.robot import Robot
from duck_protection.dashboard.store import FILES, EventStore
from duck_protection.recording.results import plain
from duck_protection.server.body import read_body
from duck_protection.server.errors import ApiError

LOG = logging.getLogger(__name__)
PAGE = Path(__file__).parent / "page"
UNDER_WAY = 2  # messages that a visitor has not taken yet
MAX_BODY = 16_384
BODY_S = 3.0  # for a question's 4000 characters to arrive
MAX_QUESTION = 4000  # characters, as ~ask takes
MAX_VISITORS = 16


class AskError(Exception):
    """No answer; the words are for the person who asked."""


class Desk(Protocol):
    """Who passes a person's question on to a robot's protection."""

    def ask(self, robot: str, question: str) -> Mapping[str, Any]:
        """A free question about the newest frame. AskError: nobody answers."""

    def check(self, robot: str) -> Mapping[str, Any]:
        """A verdict now. AskError: nobody answers."""


class Site:
    """What the page shows.

    Args:
        levels: The level of each offered word, for the bars.
        desk: None: a recording is shown, there is no robot behind it.
    """

    def __init__(
        self, robots: List[Robot], store: EventStore, desk: Optional[Desk], levels: Mapping[str, int],
        title: str = "", rate_hz: float = 10.0,
    ) -> None:
        self.robots, self.store, self.desk = {robot.name: robot for robot in robots}, store, desk
        self.levels, self.title, self.period_s = levels, title, 1 / rate_hz
        self.tick = 0
        self.visitors = 0
        self.newest: Dict[str, Dict[str, Any]] = {}

    def look(self, now_s: float) -> None:
        """Takes one sample of every robot; ten times a second, whoever looks."""
        if self.desk is not None:
            self.newest = {name: robot.sample(now_s) for name, robot in self.robots.items()}
        self.tick += 1

    def hello(self) -> Dict[str, Any]:
        """What a visitor needs before the first tick."""
        history = {name: robot.history() for name, robot in self.robots.items()}
        choices = {name: robot.choices for name, robot in self.robots.items()}
        return {"title": self.title, "live": self.desk is not None, "levels": dict(self.levels),
                "history": history, "choices": choices}  # fmt: skip


class Visitor:
    """One WebSocket: what it was shown, and how much of it it has not taken yet."""

    def __init__(self, socket: WebSocket, site: Site) -> None:
        self._socket, self._site = socket, site
        self._shown: Dict[str, int] = {}
        self._under_way = 0
        self._tick = -1

    async def serve(self) -> None:
        """Until it leaves."""
        await self._socket.send_text(json.dumps(plain(self._site.hello()), allow_nan=False))
        taking = asyncio.ensure_future(self._take())
        try:
            while not taking.done():
                if self._site.tick != self._tick and self._under_way < UNDER_WAY:
                    self._tick = self._site.tick
                    self._under_way += 1
                    await self._socket.send_bytes(self._message())
                await asyncio.sleep(self._site.period_s / 4)
        finally:
            taking.cancel()

    async def _take(self) -> None:
        """Every text from the visitor says that it has taken a message."""
        while True:
            await self._socket.receive_text()
            self._under_way = max(0, self._under_way - 1)

    def _message(self) -> bytes:
        pictures, sizes = [], {}
        for name, robot in self._site.robots.items():
            number, jpeg = robot.picture()
            if number != self._shown.get(name, 0):
                self._shown[name] = number
                pictures.append(jpeg)
                sizes[name] = len(jpeg)
        about = {"robots": self._site.newest, "pictures": sizes, "events": self._site.store.version}
        head = json.dumps(plain(about), separators=(",", ":"), allow_nan=False).encode()
        return b"".join([struct.pack("<I", len(head)), head, *pictures])


def make_app(site: Site) -> FastAPI:
    """The application; the door (door.py) goes around it."""
    app = FastAPI(title="duck_protection", openapi_url=None)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.websocket("/ws")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        if site.visitors >= MAX_VISITORS:
            await socket.close(1013, "too many visitors")
            return
        site.visitors += 1
        try:
            await Visitor(socket, site).serve()
        except (WebSocketDisconnect, RuntimeError):  # starlette's word for a socket that closed meanwhile
            LOG.debug("a visitor left")
        finally:
            site.visitors -= 1

    @app.get("/api/events")
    def events() -> List[Dict[str, Any]]:
        return site.store.events()

    @app.get("/api/events/{robot}/{name}/{file}")
    def event_file(robot: str, name: str, file: str) -> FileResponse:
        path = site.store.file(robot, name, file)
        if path is None:
            raise HTTPException(404, "no such event, or deleted to make room")
        return FileResponse(path, media_type=FILES[file])

    @app.post("/api/robots/{robot}/ask")
    async def ask(robot: str, request: Request) -> Mapping[str, Any]:
        question = await _question_in(request)
        return await _answer(site, robot, lambda desk: desk.ask(robot, question))

    @app.post("/api/robots/{robot}/check")
    async def check(robot: str) -> Mapping[str, Any]:
        return await _answer(site, robot, lambda desk: desk.check(robot))

    return app


async def ticking(site: Site) -> None:
    """Looks at a steady rate for ever."""
    due_s = time.monotonic()
    while True:
        site.look(time.time())
        due_s = max(due_s + site.period_s, time.monotonic())
        await asyncio.sleep(due_s - time.monotonic())


async def _answer(site: Site, robot: str, call: Callable[[Desk], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Waits for the desk in a thread: it may take its seconds."""
    if robot not in site.robots or site.desk is None:
        raise HTTPException(404, f"no robot is called {robot[:40]!r}" if site.desk else "a recording cannot be asked")
    try:
        answer: Mapping[str, Any] = plain(await asyncio.wrap_future(_begun(call, site.desk)))
        return answer
    except AskError as err:
        raise HTTPException(503, str(err)) from err


def _begun(call: Callable[[Desk], Mapping[str, Any]], desk: Desk) -> Future[Mapping[str, Any]]:
    """The call in a thread for which, unlike an executor's, the process does not wait when it ends."""
    answer: Future[Mapping[str, Any]] = Future()
    answer.set_running_or_notify_cancel()  # begun: the asker may leave, the answer still comes

    def run() -> None:
        try:
            answer.set_result(call(desk))
        except Exception as err:  # raised where the answer is awaited
            answer.set_exception(err)

    threading.Thread(target=run, name="question", daemon=True).start()
    return answer


async def _question_in(request: Request) -> str:
    try:
        question = json.loads(await read_body(request, MAX_BODY, BODY_S))["question"]
    except ApiError as err:
        raise HTTPException(err.status, err.message) from err
    except (ValueError, KeyError, TypeError) as err:
        raise HTTPException(400, 'the body must be {"question": TEXT}') from err
    if not (isinstance(question, str) and 0 < len(question.strip()) <= MAX_QUESTION):
        raise HTTPException(400, f"a question must have 1 to {MAX_QUESTION} characters")
    return question
