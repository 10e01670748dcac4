"""A Vlm that asks a server over HTTP: ours, llama.cpp with Qwen2.5-VL, vLLM, or anything that speaks OpenAI's API.

Light and Python 3.8, for the robot's real Noetic. For driving, the choices' probabilities are read from the first
token's logprobs, before any constraint; what the server does not list among its likeliest tokens counts as off-mass.
Promises: every call ends by its deadline; after a failure a question is asked once more at most, within the same
deadline; a picture is sent only whole, and an answer that broke off is an error; nothing is believed from another model
than the one that was there at start.
"""

from __future__ import annotations

import base64
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar, Dict, Iterator, Optional, Sequence

import numpy as np
from PIL import Image

from duck_protection.question import Question
from duck_protection.settings import RangeTable, check_ranges
from duck_protection.verdict import Identity, Reply, Timings
from duck_protection.vlm.base import (
    AnswerError,
    BusyError,
    ChoiceError,
    LateError,
    LoadError,
    NotReadyError,
    VlmError,
)
from duck_protection.vlm.bounded_http import BoundedHttp, HttpError, HttpLateError
from duck_protection.vlm.openai_words import delta, ended, first_token, identity_in, parsed, read_choices, refusal

TOP_LOGPROBS = 20  # the most that OpenAI's API allows
JPEG_QUALITY = 95  # full colour resolution: 150 kB and 5 ms for a Duckiebot's frame
CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class RemoteSettings:
    """Where and how to ask.

    Args:
        url: The server's; "/v1" at its end is ignored.
        key: For Authorization: Bearer; empty: none is sent.
        model: The model's name on the server; empty: the first one listed.
        choose_s: For a verdict, connecting included. Not longer than a frame is worth.
        answer_s: For a whole free answer.
    """

    url: str
    key: str = field(default="", repr=False)  # settings are printed, keys are not
    model: str = ""
    choose_s: float = 1.0
    answer_s: float = 60.0
    start_s: float = 10.0
    together: int = 4

    RANGES: ClassVar[RangeTable] = {
        "choose_s": (0.05, 60.0), "answer_s": (0.1, 600.0), "start_s": (0.1, 600.0), "together": (1, 64),
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_ranges(self)


class RemoteVlm:
    """Keeps base.Vlm. Any thread may ask.

    Raises:
        LoadError: Wrong URL, key or model, or a server that is not ready; the message says which and what to do.
    """

    def __init__(self, settings: RemoteSettings) -> None:
        if not settings.key.isascii() or not settings.key.isprintable():
            raise LoadError("the server's key has characters that no key has")
        headers = {"Content-Type": "application/json"}
        if settings.key:
            headers["Authorization"] = f"Bearer {settings.key}"
        url = settings.url.rstrip("/")
        try:
            self._http = BoundedHttp(url[:-3] if url.endswith("/v1") else url, headers)
        except ValueError as err:
            raise LoadError(str(err)) from err
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.together, "remote")
        self._known = False  # whether the model behind the URL is still the one of self._identity
        try:
            self._identity = self._introduced()
            self.gives_probabilities = self._tried()
        except LoadError:
            self.close()
            raise

    @property
    def identity(self) -> Identity:
        """The model's name, what tells its weights from others, its arithmetic; backend "remote"."""
        return self._identity

    def check_choices(self, words: Sequence[str]) -> None:
        """Raises ChoiceError when the server gives no probabilities; whether words are tokens shows in the off-mass."""
        if not self.gives_probabilities:
            raise ChoiceError(f"{self._settings.url} gives no logprobs: it serves free questions and comparison only")
        if not words or not all(words) or len(set(words)) != len(words):
            raise ChoiceError(f"choices must be distinct words, are {list(words)}")

    def choose(self, frames: Sequence[np.ndarray], questions: Sequence[Question]) -> Sequence[Reply]:
        """One reply per pair; the requests go out together, so that the server can batch them.

        Raises:
            LateError, BusyError, NotReadyError, AnswerError, ChoiceError: For all of them, as soon as one fails.
        """
        ends_s = time.monotonic() + self._settings.choose_s
        self._know(ends_s)
        for question in questions:
            self.check_choices(question.words)
        work = [self._pool.submit(self._chosen, *pair, ends_s) for pair in zip(frames, questions)]
        return [future.result() for future in work]

    def generate(self, frame: np.ndarray, prompt: str, max_tokens: int) -> Iterator[str]:
        """The greedy answer in pieces as they come; stop iterating to hang up.

        Raises:
            As choose(). AnswerError: Also when the stream ends before the answer does.
        """
        ends_s = time.monotonic() + self._settings.answer_s
        body, whole = self._body(frame, prompt, max_tokens=max_tokens, stream=True), False
        try:
            for line in self._http.stream(CHAT, body, ends_s):
                if line.status != 200:
                    raise refusal(line)
                field, _, content = line.body.partition(b":")
                if field == b"error":  # llama.cpp's way in a stream
                    raise AnswerError("the server answered with an error in the middle")
                if field != b"data":
                    continue
                if content.strip() == b"[DONE]":
                    whole = True
                    continue
                chunk = parsed(content)
                yield delta(chunk)
                whole = whole or ended(chunk)
        except HttpError as err:
            raise self._failed(err) from err
        if not whole:
            raise AnswerError("the answer broke off")

    def close(self) -> None:
        """Hang up."""
        self._pool.shutdown(wait=False)
        self._http.close()

    def _chosen(self, frame: np.ndarray, question: Question, ends_s: float) -> Reply:
        begun_s = time.monotonic()
        fields = {"max_tokens": 1, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
        body = self._body(frame, question.prompt, question.picture_last, **fields)
        try:
            content = self._asked("POST", CHAT, body, ends_s)
        except (AnswerError, NotReadyError):  # a replica may have died with this question: another one answers
            self._know(ends_s)
            content = self._asked("POST", CHAT, body, ends_s)
        likely = first_token(content)
        if likely is None:
            raise AnswerError("the server gave no logprobs this time")
        probabilities, off_mass, best = read_choices(likely, question.words)
        timings = Timings(infer_ms=1e3 * (time.monotonic() - begun_s))
        return Reply(probabilities, off_mass, best, self._identity, timings)

    def _body(self, frame: np.ndarray, prompt: str, picture_last: bool = False, **fields: Any) -> bytes:
        picture = {"type": "image_url", "image_url": {"url": _data_uri(frame)}}
        parts = [picture, {"type": "text", "text": prompt}]
        turn = {"role": "user", "content": parts[::-1] if picture_last else parts}
        content = {"messages": [turn], "temperature": 0, **fields}
        return json.dumps({"model": self._settings.model or self._identity.model, **content}).encode()

    def _asked(self, method: str, path: str, body: Optional[bytes], ends_s: float) -> Dict[str, Any]:
        try:
            reply = self._http.request(method, path, body, ends_s)
        except HttpError as err:
            raise self._failed(err) from err
        if reply.status != 200:
            self._known = self._known and reply.status != 503
            raise refusal(reply)
        return parsed(reply.body)

    def _failed(self, err: HttpError) -> VlmError:
        """After any failure the server is asked again who it is: another model may have taken its place."""
        self._known = False
        self._http.close()  # kept connections lead to the server that was there before
        if isinstance(err, HttpLateError):
            return LateError(f"{self._settings.url}: {err}")
        return NotReadyError(f"{self._settings.url}: {err}")

    def _know(self, ends_s: float) -> None:
        if self._known:
            return
        identity = self._identity_now(ends_s)
        if identity != self._identity:
            raise AnswerError(f"{self._settings.url} has another model now ({identity}): start vlm_node again")
        self._known = True

    def _identity_now(self, ends_s: float) -> Identity:
        return identity_in(self._asked("GET", "/v1/models", None, ends_s), self._settings.model)

    def _introduced(self) -> Identity:
        url = self._settings.url
        try:
            identity = self._identity_now(time.monotonic() + self._settings.start_s)
        except (LateError, NotReadyError, BusyError) as err:
            raise LoadError(f"no server is ready at {url} ({err}): start it, or correct FASTVLM_SERVER_URL") from err
        except AnswerError as err:
            raise LoadError(f"{url} cannot be used: {err}") from err
        self._known = True
        return identity

    def _tried(self) -> bool:
        """Whether the server gives logprobs for a picture; raises LoadError when it cannot even answer."""
        rows, columns = np.mgrid[0:64, 0:64]
        frame = np.stack([rows * 3, columns * 3, rows ^ columns], axis=2).astype(np.uint8)
        body = self._body(frame, "Is the road clear?", max_tokens=1, logprobs=True, top_logprobs=TOP_LOGPROBS)
        plain = self._body(frame, "Is the road clear?", max_tokens=1)
        ends_s = time.monotonic() + self._settings.start_s
        try:
            return first_token(self._asked("POST", CHAT, body, ends_s)) is not None
        except AnswerError:  # logprobs may be what it refuses
            try:
                self._asked("POST", CHAT, plain, ends_s)
            except VlmError as err:
                raise LoadError(f"{self._settings.url} does not answer about a picture: {err}") from err
            return False
        except VlmError as err:
            raise LoadError(f"{self._settings.url} does not answer about a picture: {err}") from err


def _data_uri(frame: np.ndarray) -> str:
    """The frame as a JPEG that is whole: llama.cpp judges half of one without complaint."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise AnswerError(f"a frame must be uint8 (height, width, 3), is {frame.dtype} {frame.shape}")
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
