"""One chat request from its bytes to its answer, whole or as a stream.

Promise: a refusal comes before the first byte of a stream; a client that goes away frees its slot at the next token;
an answer that the model does not give in time is a 503, whatever the model does.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import AsyncIterator, Callable, List, Tuple, Union

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from duck_protection.server import replies
from duck_protection.server.asking import Asking, asking
from duck_protection.server.body import gone
from duck_protection.server.engine import Prompt, Token
from duck_protection.server.errors import ApiError, bad_request, unavailable
from duck_protection.server.scheduler import Job, Piece
from duck_protection.server.service import Service
from duck_protection.server.wire import ChatRequest, parse

SLACK_S = 5.0  # beyond the deadline, for a step of the model that is under way; then it counts as hung
PING_S = 15.0  # of silence in a stream, before a comment shows that somebody is there
Item = Tuple[int, Union[Piece, ApiError]]


async def answer(service: Service, request: Request, body: bytes) -> Response:
    """The response to a chat request.

    Raises:
        ApiError: It is refused.
    """
    loop, came_s = asyncio.get_running_loop(), time.monotonic()
    chat, asked, prompt = await loop.run_in_executor(service.readers, _prepared, service, body)
    pieces: asyncio.Queue[Item] = asyncio.Queue()
    ends_s = came_s + min(float(chat.deadline_s or service.settings.deadline_s), service.settings.deadline_s)
    jobs = _jobs(chat, asked, prompt, ends_s, lambda item: _put(loop, pieces, item))
    service.scheduler.submit(jobs)
    inbox = _Inbox(pieces, jobs[0].ends_s + SLACK_S)
    streaming = False
    try:
        first = await _unless_gone(request, inbox.next())
        if first is None:
            return Response(status_code=499)  # nobody reads it
        head = replies.Head(service.name)
        if chat.stream:
            streaming = True
            with_usage = chat.stream_options is not None and bool(chat.stream_options.include_usage)
            events = _events(service, head, jobs, inbox, first, with_usage)
            return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        choices = await _unless_gone(request, _collected(jobs, inbox, first))
        return Response(status_code=499) if choices is None else JSONResponse(head.whole(choices, jobs))
    finally:
        if not streaming:
            service.scheduler.cancel(jobs)


def _prepared(service: Service, body: bytes) -> Tuple[ChatRequest, Asking, Prompt]:
    chat = parse(ChatRequest, body)
    asked = asking(chat, service.intake)
    if asked.count > service.settings.slots:
        raise bad_request(f"n must be at most {service.settings.slots}")
    engine = service.model.engine
    return chat, replace(asked, wanted=engine.check(asked.wanted)), engine.read(asked.turns)


def _jobs(
    chat: ChatRequest, asked: Asking, prompt: Prompt, ends_s: float, put: Callable[[Item], None]
) -> List[Job]:
    most = chat.t_max_predict_ms or -1
    jobs = []
    for index in range(asked.count):
        seed = asked.wanted.sampling.seed
        sampling = replace(asked.wanted.sampling, seed=None if seed is None else seed + index)
        wanted = replace(asked.wanted, sampling=sampling)
        sink = lambda piece, index=index: put((index, piece))  # noqa: E731
        job = Job(prompt, wanted, asked.max_tokens, asked.stops, ends_s, sink)
        jobs.append(replace(job, predict_s=most / 1e3) if most > 0 else job)
    return jobs


def _put(loop: asyncio.AbstractEventLoop, pieces: asyncio.Queue[Item], item: Item) -> None:
    try:
        loop.call_soon_threadsafe(pieces.put_nowait, item)
    except RuntimeError:  # the loop is closed: the server has stopped and nobody listens
        return


class _Inbox:
    """Pieces as they come, until a time after which the model counts as hung."""

    def __init__(self, pieces: asyncio.Queue[Item], ends_s: float) -> None:
        self._pieces, self._ends_s = pieces, ends_s

    async def next(self) -> Tuple[int, Piece]:
        """The next piece of any of the answers. Raises ApiError."""
        try:
            index, piece = await asyncio.wait_for(self._pieces.get(), max(0.0, self._ends_s - time.monotonic()))
        except asyncio.TimeoutError as err:
            raise unavailable("the model does not answer") from err
        if isinstance(piece, ApiError):
            raise piece
        return index, piece


async def _unless_gone(request: Request, work):  # type: ignore[no-untyped-def]
    """What the work gives, or None as soon as the client has gone."""
    task, away = asyncio.ensure_future(work), asyncio.ensure_future(gone(request))
    try:
        await asyncio.wait((task, away), return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        task.cancel()
        away.cancel()


async def _collected(jobs: List[Job], inbox: _Inbox, first: Tuple[int, Piece]) -> List[dict]:
    texts: List[List[str]] = [[] for _ in jobs]
    tokens: List[List[Token]] = [[] for _ in jobs]
    ends = [""] * len(jobs)
    index, piece = first
    while True:
        texts[index].append(piece.text)
        tokens[index] += [piece.token] if piece.token is not None else []
        ends[index] = piece.ended
        if all(ends):
            break
        index, piece = await inbox.next()
    return [replies.choice(i, ends[i], "".join(texts[i]), tokens[i]) for i in range(len(jobs))]


async def _events(
    service: Service, head: replies.Head, jobs: List[Job], inbox: _Inbox, first: Tuple[int, Piece], with_usage: bool
) -> AsyncIterator[bytes]:
    try:
        for index in range(len(jobs)):
            yield replies.event(head.chunk(index, {"role": "assistant", "content": None}))
        left = len(jobs)
        coming = asyncio.ensure_future(_given(first))
        while True:
            done, _ = await asyncio.wait((coming,), timeout=PING_S)
            if not done:
                yield b": still at work\n\n"
                continue
            index, piece = coming.result()
            if piece.text or (piece.token is not None and piece.token.chosen is not None):
                yield replies.event(head.chunk(index, {"content": piece.text}, token=piece.token))
            if piece.ended:
                left -= 1
                last = head.chunk(index, {}, piece.ended)
                yield replies.event(last if left or with_usage else {**last, "timings": replies.timings(jobs[0])})
            if not left:
                break
            coming = asyncio.ensure_future(inbox.next())
        if with_usage:
            yield replies.event(head.usage_chunk(jobs))
        yield replies.DONE
    except ApiError as err:
        yield replies.event(err.body)
    finally:
        service.scheduler.cancel(jobs)


async def _given(item: Tuple[int, Piece]) -> Tuple[int, Piece]:
    return item
