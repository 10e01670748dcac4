"""RemoteVlm against our server, a real llama-server where there is one, and servers that lie, hang, trickle and die."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import llama
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_kit import KEY, PROMPT, Client, jpeg_bytes, serving

from duck_protection.frames import decode
from duck_protection.question import Question
from duck_protection.vlm.base import AnswerError, BusyError, ChoiceError, LateError, LoadError, NotReadyError, VlmError
from duck_protection.vlm.openai_words import delta, ended, first_token, identity_in, read_choices
from duck_protection.vlm.remote import RemoteSettings, RemoteVlm

FRAME = decode(jpeg_bytes())
MODELS = {"object": "list", "data": [{"id": "fake", "meta": {"n_params": 3, "size": 4}}]}


def chat_reply(tokens: Dict[str, float]) -> Dict[str, Any]:
    top = [{"token": token, "logprob": math.log(mass), "bytes": None} for token, mass in tokens.items()]
    return {"choices": [{"message": {"content": "x"}, "logprobs": {"content": [{**top[0], "top_logprobs": top}]}}]}


class Stub:
    """A server whose answers to chats are functions called with the handler; each is used once, the last for ever."""

    def __init__(self) -> None:
        self.chats: List[Callable[[Any], None]] = [saying(chat_reply({"Stop": 0.6, "Clear": 0.2, "No": 0.1}))]
        self.models: Any = MODELS
        self.asked: List[Dict[str, Any]] = []
        self.headers: List[Dict[str, str]] = []
        self.release = threading.Event()
        self.left = threading.Semaphore(0)  # connections that this side has closed
        self.url = ""

    def chat(self, handler: Any) -> None:
        self.asked.append(json.loads(handler.rfile.read(int(handler.headers["Content-Length"]))))
        self.headers.append(dict(handler.headers))
        (self.chats.pop(0) if len(self.chats) > 1 else self.chats[0])(handler)


def saying(content: Any, status: int = 200) -> Callable[[Any], None]:
    def answer(handler: Any) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def leaving(answer: Callable[[Any], None]) -> Callable[[Any], None]:
    """Answers and closes the connection, without having said so."""

    def act(handler: Any) -> None:
        answer(handler)
        handler.close_connection = True

    return act


def hanging_up(handler: Any) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def stub_server(port: int = 0) -> Iterator[Stub]:
    stub = Stub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            saying(stub.models)(self)

        def do_POST(self) -> None:
            stub.chat(self)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

        def shutdown_request(self, request: Any) -> None:
            super().shutdown_request(request)
            stub.left.release()

    with Server(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        stub.url = f"http://127.0.0.1:{server.server_port}"
        yield stub
        stub.release.set()
        server.shutdown()


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stub_server() as running:
        yield running


@contextmanager
def remote(url: str, **settings: Any) -> Iterator[RemoteVlm]:
    vlm = RemoteVlm(RemoteSettings(url, **{"choose_s": 20.0, **settings}))
    try:
        yield vlm
    finally:
        vlm.close()


def test_our_server_gives_the_readings_of_the_model_itself(tiny: Client, tiny_vlm: Any, road: Question) -> None:
    """To JPEG's and the twentieth token's precision: what is not listed is off-mass, and nothing else is."""
    expected = tiny_vlm.choose([FRAME], [road])[0]
    with remote(tiny.url + "/v1", key=KEY) as vlm:
        assert vlm.gives_probabilities and vlm.identity.model == expected.identity.model
        assert (vlm.identity.revision, vlm.identity.dtype) == (expected.identity.revision, "float32")
        replies = vlm.choose([FRAME] * 3, [road] * 3)
        assert replies[0] == replies[1] == replies[2] or replies[0].probabilities == replies[2].probabilities
        assert replies[0].off_mass >= expected.off_mass - 0.01
        text = "".join(vlm.generate(FRAME, PROMPT, 6))
        assert text and isinstance(text, str)


@pytest.mark.skipif(bool(llama.missing()), reason=llama.missing() or "-")
def test_a_real_llama_server_drives(tmp_path: Path, road: Question) -> None:
    from duck_protection.learning.tokenizer import make_tokenizer

    tokenizer = make_tokenizer([PROMPT], ["Clear", "Slow", "Stop", "Yes", "No"])
    with llama.llama_server(tmp_path, tokenizer) as client, remote(client.url, key=KEY) as vlm:
        assert vlm.gives_probabilities and vlm.identity.model == "tiny"
        reply = vlm.choose([FRAME], [road])[0]
        assert sum(reply.probabilities) == pytest.approx(1) and 0 <= reply.off_mass <= 1
        for _ in range(2):  # its connections end with each stream
            assert "".join(vlm.generate(FRAME, PROMPT, 6))
            assert vlm.choose([FRAME], [road])


def test_choices_are_read_from_the_first_tokens_alternatives(stub: Stub, road: Question) -> None:
    with remote(stub.url, key="a-key", model="fake") as vlm:
        reply = vlm.choose([FRAME], [road])[0]
        assert reply.probabilities == pytest.approx((0.25, 0.0, 0.75)) and reply.off_mass == pytest.approx(0.2)
        assert reply.text == "Stop" and reply.identity.backend == "remote"
        sent = stub.asked[-1]
        assert (sent["max_tokens"], sent["temperature"], sent["logprobs"], sent["top_logprobs"]) == (1, 0, True, 20)
        assert not {"grammar", "response_format", "structured_outputs"} & set(sent)
        assert stub.headers[-1]["Authorization"] == "Bearer a-key"


@given(
    st.dictionaries(st.sampled_from(["Clear", "Slow", "Stop", " Stop", "No", "x"]), st.floats(1e-6, 1.0), min_size=1)
)
def test_what_is_not_found_is_off_mass(weights: Dict[str, float]) -> None:
    scale = max(1.0, sum(weights.values()))
    likely = [(token, weight / scale) for token, weight in weights.items()]
    probabilities, off_mass, best = read_choices(likely, ["Clear", "Slow", "Stop"])
    found = sum(mass for token, mass in likely if token in ("Clear", "Slow", "Stop"))
    assert off_mass == pytest.approx(1 - found, abs=1e-6) and sum(probabilities) == pytest.approx(1)
    assert dict(likely)[best] == max(mass for _, mass in likely)


WORDS = ("choices", "logprobs", "content", "top_logprobs", "token", "logprob", "data", "id", "delta", "meta", "aliases")
KEYS = st.sampled_from(WORDS)
LEAVES = st.none() | st.booleans() | st.floats() | st.text(max_size=5)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


@given(JSON)
def test_any_json_is_read_or_refused(content: Any) -> None:
    chunk = lambda c: (delta(c), ended(c))  # noqa: E731
    for read in (first_token, chunk, lambda c: identity_in(c, ""), lambda c: identity_in(c, "x")):
        try:
            read({"choices": content, "data": content, **(content if isinstance(content, dict) else {})})
        except VlmError:
            continue


@pytest.mark.parametrize("logprob", [math.nan, math.inf, 0.5, "x", None])
def test_a_probability_that_is_none_is_refused(stub: Stub, road: Question, logprob: Any) -> None:
    with remote(stub.url) as vlm:
        bad = chat_reply({"Stop": 0.5})
        bad["choices"][0]["logprobs"]["content"][0]["top_logprobs"][0]["logprob"] = logprob
        stub.chats = [saying(bad)]
        with pytest.raises(AnswerError):
            vlm.choose([FRAME], [road])


def test_a_server_without_logprobs_serves_free_questions_only(stub: Stub, road: Question) -> None:
    stub.chats = [saying({"choices": [{"message": {"content": "Stop"}}]})]
    with remote(stub.url) as vlm:
        assert not vlm.gives_probabilities
        with pytest.raises(ChoiceError, match="comparison"):
            vlm.choose([FRAME], [road])
        stub.chats = [saying(b'data: {"choices": [{"delta": {"content": "a duck"}}]}\n\ndata: [DONE]\n\n')]
        assert "".join(vlm.generate(FRAME, "What is there?", 5)) == "a duck"


def test_a_server_that_refuses_logprobs_is_found_out_at_start(stub: Stub) -> None:
    stub.chats = [saying({"error": {"message": "no logprobs here"}}, 400), saying({"choices": []})]
    with remote(stub.url) as vlm:
        assert not vlm.gives_probabilities


@pytest.mark.parametrize("url", ["", "192.168.1.5:8080", "ftp://x", "http://", "http://x:99999", "http://u:p@x/"])
def test_a_url_that_is_none_is_said_so(url: str) -> None:
    with pytest.raises(LoadError, match=r"URL|port"):
        RemoteVlm(RemoteSettings(url))


def test_a_wrong_url_key_or_model_is_one_clear_sentence(tiny: Client, stub: Stub) -> None:
    for settings, words in (
        (RemoteSettings("http://127.0.0.1:1", start_s=2.0), "no server is ready at http://127.0.0.1:1"),
        (RemoteSettings(tiny.url, key="wrong-key-9"), "refuses the key"),
        (RemoteSettings(stub.url, model="qwen"), "no model 'qwen'; there is fake"),
    ):
        with pytest.raises(LoadError) as refusal:
            RemoteVlm(settings)
        assert words in str(refusal.value) and "\n" not in str(refusal.value)
    stub.models = ["not", "a", "list"]
    with pytest.raises(LoadError):
        RemoteVlm(RemoteSettings(stub.url))


def test_a_server_that_is_loading_is_no_server_yet() -> None:
    loaded = threading.Event()

    def load() -> Any:
        loaded.wait(20)
        raise LoadError("never")

    with serving(load) as client:
        with pytest.raises(LoadError, match="Loading model"):
            RemoteVlm(RemoteSettings(client.url, key=KEY))
        loaded.set()


def late_cases() -> Dict[str, Callable[[Stub], Callable[[Any], None]]]:
    def silent(stub: Stub) -> Callable[[Any], None]:
        return lambda _: stub.release.wait(20)  # type: ignore[arg-type,return-value]

    def trickling(stub: Stub) -> Callable[[Any], None]:
        def answer(handler: Any) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not stub.release.wait(0.02):
                handler.wfile.write(b" ")

        return answer

    def slow_head(stub: Stub) -> Callable[[Any], None]:
        def answer(handler: Any) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not stub.release.wait(0.02):
                handler.wfile.write(b"X: y\r\n")

        return answer

    def trickling_to_the_end(stub: Stub) -> Callable[[Any], None]:
        def answer(handler: Any) -> None:
            handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
            while not stub.release.wait(0.02):
                handler.wfile.write(b" ")

        return answer

    cases = (silent, trickling, slow_head, trickling_to_the_end)
    return {case.__name__: case for case in cases}


@pytest.mark.parametrize("name", list(late_cases()))
def test_the_deadline_holds_whatever_the_server_does(stub: Stub, road: Question, name: str) -> None:
    with remote(stub.url) as probe:
        assert probe.identity.model == "fake"
    with remote(stub.url, choose_s=0.3, answer_s=0.3) as vlm:
        stub.chats = [late_cases()[name](stub)]
        for ask in (lambda: vlm.choose([FRAME], [road]), lambda: list(vlm.generate(FRAME, "?", 3))):
            begun_s = time.monotonic()
            with pytest.raises((LateError, NotReadyError)):
                ask()
            assert time.monotonic() - begun_s < 3.0  # 0.3 s and a loaded machine; without the alarm it never ends


@pytest.mark.parametrize("answer, kinds", [
    (saying({"error": {"message": "Loading model"}}, 503), NotReadyError),
    (saying({"error": {"message": "queue full"}}, 503), BusyError), (saying({}, 429), BusyError),
    (saying({"error": {"message": "no"}}, 500), AnswerError), (saying({"error": {"message": "no"}}, 401), AnswerError),
    (saying(b"<html>"), AnswerError), (saying(b"{}"), AnswerError), (saying({"choices": [{}]}), AnswerError),
    (saying({"choices": 3}), AnswerError), (saying(b"[" * 200_000), AnswerError),
    (saying(b"x" * 5_000_000), NotReadyError),
    (hanging_up, NotReadyError), (lambda handler: handler.wfile.write(b"QUACK\r\n\r\n"), NotReadyError),
])  # fmt: skip
def test_every_failure_is_a_vlm_error_and_the_next_call_works(
    stub: Stub, road: Question, answer: Callable[[Any], None], kinds: Any
) -> None:
    with remote(stub.url, choose_s=5.0) as vlm:
        good = stub.chats[0]
        stub.chats = [answer]
        with pytest.raises(kinds):
            vlm.choose([FRAME], [road])
        stub.chats = [good]
        assert vlm.choose([FRAME], [road])[0].text == "Stop"


def test_one_failure_is_asked_again_within_the_deadline(stub: Stub, road: Question) -> None:
    """A replica that dies with a question in its hands costs the caller nothing."""
    with remote(stub.url) as vlm:
        good = stub.chats[0]
        for failure in (saying({"error": {"message": "replica died"}}, 500), hanging_up):
            stub.chats, before = [failure, good], len(stub.asked)
            assert vlm.choose([FRAME], [road])[0].text == "Stop" and len(stub.asked) == before + 2


def test_a_server_that_leaves_after_an_answer_costs_nothing(stub: Stub, road: Question) -> None:
    """llama-server closes after each stream and does not say so: the next question, whatever it was, failed."""
    with remote(stub.url) as vlm:
        stream = leaving(saying(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: [DONE]\n\n'))
        verdict, before = leaving(stub.chats[0]), len(stub.asked)
        for answer in (stream, stream, verdict, verdict, stream):
            stub.chats = [answer]
            said = vlm.choose([FRAME], [road])[0].text if answer is verdict else "".join(vlm.generate(FRAME, "?", 9))
            assert said == ("Stop" if answer is verdict else "a")
            assert stub.left.acquire(timeout=5)
        assert len(stub.asked) == before + 5, "nothing was asked twice"


def test_another_model_behind_the_same_url_is_never_believed(stub: Stub, road: Question) -> None:
    """Thresholds belong to the model that was there at start."""
    with remote(stub.url) as vlm:
        stub.models = {"data": [{"id": "other"}]}
        stub.chats = [hanging_up, saying(chat_reply({"Clear": 0.99}))]
        with pytest.raises(AnswerError, match="another model"):
            vlm.choose([FRAME], [road])


def test_it_reconnects_when_the_server_comes_back(road: Question) -> None:
    with stub_server() as first:
        port = int(first.url.rsplit(":", 1)[1])
        vlm = RemoteVlm(RemoteSettings(first.url, choose_s=5.0))
        assert vlm.choose([FRAME], [road])
        first.chats = [hanging_up]  # and with it the kept connection
        with pytest.raises(NotReadyError):
            vlm.choose([FRAME], [road])
    with pytest.raises(NotReadyError):
        vlm.choose([FRAME], [road])
    with stub_server(port):
        assert vlm.choose([FRAME], [road])[0].text == "Stop"
    vlm.close()


def test_a_free_answer_streams_and_an_error_in_it_is_an_error(stub: Stub) -> None:
    with remote(stub.url) as vlm:
        lines = b'data: {"choices": [{"delta": {"role": "assistant", "content": null}}]}\n\n: ping\n\n'
        lines += b'data: {"choices": [{"delta": {"content": "a "}}]}\n\ndata: {"choices": []}\n\n'
        stub.chats = [saying(lines + b'data: {"error": {"message": "died"}}\n\n')]
        pieces = vlm.generate(FRAME, "?", 9)
        assert next(pieces) == "" and next(pieces) == "a " and next(pieces) == ""
        with pytest.raises(AnswerError):
            next(pieces)
        stub.chats = [saying({"error": {"message": "no"}}, 400)]
        with pytest.raises(AnswerError):
            list(vlm.generate(FRAME, "?", 9))


A_DUCK = b'data: {"choices": [{"delta": {"content": "a duck"}}]}\n\n'


@pytest.mark.parametrize("rest", [
    b"", b": ping\n\n", b'error: {"code": 500, "message": "died"}\n\ndata: [DONE]\n\n',
    b'data: {"choices": [{"delta": {"content": " in"}, "finish_reason": null}]}\n\n',
])  # fmt: skip
def test_an_answer_that_breaks_off_is_an_error(stub: Stub, rest: bytes) -> None:
    with remote(stub.url) as vlm:
        stub.chats = [saying(A_DUCK + rest)]
        pieces = vlm.generate(FRAME, "?", 9)
        assert next(pieces) == "a duck"
        with pytest.raises(AnswerError):
            list(pieces)


@pytest.mark.parametrize("rest", [
    b"data: [DONE]\n\n", b"data:[DONE]\r\n\r\n",
    b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n\n',
])  # fmt: skip
def test_an_answer_is_whole_that_is_done_or_says_why_it_ended(stub: Stub, rest: bytes) -> None:
    with remote(stub.url) as vlm:
        stub.chats = [saying(A_DUCK + rest)]
        assert "".join(vlm.generate(FRAME, "?", 9)) == "a duck"


@pytest.mark.parametrize("frame", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_a_frame_that_is_none_is_not_sent(stub: Stub, road: Question, frame: np.ndarray) -> None:
    with remote(stub.url) as vlm:
        before = len(stub.asked)
        with pytest.raises(AnswerError):
            vlm.choose([frame], [road])
        assert len(stub.asked) == before


def test_vlm_nodes_backend_remote_opens_it(tiny: Client, monkeypatch: pytest.MonkeyPatch, road: Question) -> None:
    pytest.importorskip("rospkg", reason="needs ROS")
    pytest.importorskip("rospy", reason="needs ROS")
    from duck_protection.nodes.eyes import EyeSettings, opener
    from duck_protection.settings import SettingsError

    monkeypatch.delenv("FASTVLM_SERVER_URL", raising=False)
    with pytest.raises(SettingsError, match="FASTVLM_SERVER_URL"):
        EyeSettings(backend="remote")
    monkeypatch.setenv("FASTVLM_SERVER_URL", tiny.url)
    monkeypatch.setenv("FASTVLM_SERVER_KEY", KEY)
    eyes: Any = opener(EyeSettings(backend="remote", server_s=20.0))()
    assert eyes.choose([FRAME], [road])[0].identity.backend == "remote"
    eyes.close()
