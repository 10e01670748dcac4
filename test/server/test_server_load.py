"""Crowds, silence and the end: bounded queue, deadlines, clients that leave, /health while busy, SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server_kit import KEY, Client, data_uri, image_message, ready, serving, wait_until

from duck_protection.server.plain_engine import PlainEngine
from duck_protection.server.service import Model
from duck_protection.server.wire import parse
from duck_protection.vlm.base import LoadError
from duck_protection.vlm.batching import Batcher
from duck_protection.vlm.scripted import Line, ScriptedVlm, lines_from

ENDLESS = {"text": "duck " * 4000, "delay_s": 0.01}


def busy(client: Client) -> int:
    return sum(slot["is_processing"] for slot in client.get("/slots").json)


def deferred(client: Client) -> int:
    text = client.get("/metrics").raw.decode()
    return int(float(text.split("\nllamacpp:requests_deferred ")[1].split()[0]))


def test_every_path_says_loading_until_the_model_is_there() -> None:
    vlm = ScriptedVlm(lines_from([{"text": "quack"}]))
    batcher, loaded = Batcher(vlm), threading.Event()

    def load() -> Model:
        loaded.wait(60)
        return Model(batcher, PlainEngine(vlm, 1024))

    with serving(load) as client:
        for answer in (client.get("/health"), client.get("/v1/models"), client.get("/props"), client.get("/slots"),
                       client.get("/metrics"), client.chat(),
                       client.call("POST", "/v1/systemone", {"questions": {}})):  # fmt: skip
            assert answer.status == 503 and "retry-after" in answer.headers
            assert answer.json == {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
        loaded.set()
        assert ready(client).chat().json["choices"][0]["message"]["content"] == "quack"
    batcher.close()


def test_a_model_that_does_not_load_ends_the_server() -> None:
    def load() -> Model:
        raise LoadError("no such folder")

    from duck_protection.server.serving import HttpServer
    from duck_protection.server.settings import ServerSettings

    with pytest.raises(LoadError):
        HttpServer(ServerSettings(port=0), load).run()


def test_the_queue_is_bounded_and_says_when_to_come_again(scripted: Any) -> None:
    with scripted([ENDLESS], slots=1, queue=2) as (client, _, _), ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(client.chat, max_tokens=60) for _ in range(3)]
        wait_until(lambda: busy(client) == 1 and deferred(client) == 2)
        refused = client.chat()
        assert refused.status == 503 and refused.headers["retry-after"] == "1"
        assert refused.json["error"]["type"] == "unavailable_error"
        assert [answer.result().status for answer in waiting] == [200, 200, 200]


def test_who_waits_too_long_is_refused_and_who_talks_too_long_is_cut(scripted: Any) -> None:
    with scripted([ENDLESS], slots=1) as (client, _, _), ThreadPoolExecutor(2) as pool:
        long = pool.submit(client.chat, max_tokens=-1, deadline_s=1.5)
        wait_until(lambda: busy(client) == 1)
        late = client.chat(deadline_s=0.2)
        assert late.status == 503 and "deadline" in late.json["error"]["message"]
        assert long.result().json["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("path", ["chat", "deciding"])
def test_the_time_that_reading_takes_counts_for_the_deadline(
    scripted: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def slow(kind: Any, body: bytes) -> Any:
        threading.Event().wait(0.4)
        return parse(kind, body)

    monkeypatch.setattr(f"duck_protection.server.{path}.parse", slow)
    decision = {"images": [data_uri()], "questions": {"q": {"instructions": "?", "criteria": ["a", "b"]}}}
    with scripted([{"text": "quack", "probabilities": {"a": 1.0}}]) as (client, _, _):
        for deadline_s, status in ((0.2, 503), (10.0, 200)):
            chat = path == "chat"
            answer = (client.chat(deadline_s=deadline_s) if chat else
                      client.call("POST", "/v1/systemone", {**decision, "deadline_s": deadline_s}))  # fmt: skip
            assert answer.status == status, answer.raw


def test_t_max_predict_ms_cuts_the_answer(scripted: Any) -> None:
    with scripted([ENDLESS]) as (client, _, _):
        answer = client.chat(max_tokens=-1, t_max_predict_ms=100).json
        assert answer["choices"][0]["finish_reason"] == "length" and 1 < answer["usage"]["completion_tokens"] < 1000


def test_a_model_that_hangs_is_a_503_and_health_still_answers(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duck_protection.server.chat.SLACK_S", 0.1)
    with scripted([Line(text="quack", hang=True)]) as (client, vlm, _):
        for stream in (False, True):
            answer = client.chat(deadline_s=0.2, stream=stream)
            assert answer.status == 503 and client.get("/health").status == 200
        decision = {"images": [data_uri()], "deadline_s": 0.2,
                    "questions": {"q": {"instructions": "?", "criteria": ["a", "b"]}}}  # fmt: skip
        assert client.call("POST", "/v1/systemone", decision).status == 503
        vlm.release()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("after_bytes", [0, 1])
def test_a_client_that_leaves_frees_its_place(scripted: Any, stream: bool, after_bytes: int) -> None:
    with scripted([ENDLESS], slots=1) as (client, _, _):
        connection = client.connect()
        body = b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": -1, "stream": %s}'
        connection.request("POST", "/v1/chat/completions", body % (b"true" if stream else b"false"),
                           {"Authorization": f"Bearer {KEY}"})  # fmt: skip
        wait_until(lambda: busy(client) == 1)
        if after_bytes and stream:
            connection.getresponse().read(200)
        connection.close()
        wait_until(lambda: busy(client) == 0, 2.0)
        assert client.chat().status == 200


def test_a_prompt_that_is_being_read_has_a_slot(scripted: Any) -> None:
    with scripted([Line(text="quack", hang=True)], slots=1, queue=0) as (client, vlm, _):
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client.chat)
            wait_until(lambda: busy(client) == 1)
            assert deferred(client) == 0 and client.chat().status == 503
            vlm.release()
            assert asked.result().status == 200
        wait_until(lambda: busy(client) == 0)


def test_a_client_that_leaves_the_queue_is_forgotten(scripted: Any) -> None:
    with scripted([ENDLESS], slots=1) as (client, _, _):
        leavers = []
        for _ in range(2):
            leavers.append(client.connect())
            leavers[-1].request("POST", "/v1/chat/completions", b'{"messages": [], "max_tokens": -1}',
                                {"Authorization": f"Bearer {KEY}"})  # fmt: skip
        wait_until(lambda: busy(client) == 1 and deferred(client) == 1)
        leavers[1].close()
        leavers[0].close()
        wait_until(lambda: busy(client) == deferred(client) == 0, 5.0)


def test_an_error_of_the_model_is_one_requests_error(scripted: Any) -> None:
    script = [{"error": "MemoryFullError", "text": "x"}, {"error": "AnswerError", "text": "x"}, {"text": "fine"}]
    with scripted(script) as (client, _, _):
        assert [client.chat().status for _ in range(3)] == [503, 500, 200]
        assert client.chat(stream=True).status == 200


def test_a_decision_of_a_broken_model_is_an_error_not_a_number(scripted: Any) -> None:
    decision = {"images": [data_uri()], "questions": {"q": {"instructions": "?", "criteria": ["a", "b"]}}}
    with scripted(["nan", {"error": "MemoryFullError"}, {"probabilities": {"a": 3, "b": 1}}]) as (client, _, _):
        answers = [client.call("POST", "/v1/systemone", decision) for _ in range(3)]
        assert [answer.status for answer in answers] == [500, 503, 200]
        assert answers[2].json["answers"]["q"]["probabilities"] == {"a": 0.75, "b": 0.25}


def test_verdicts_go_before_a_chats_next_token(scripted: Any, road: Any) -> None:
    """While a long chat runs, each verdict waits for one token at most, not for the answer."""
    script = [{"text": "duck " * 400, "delay_s": 0.02}]
    with scripted(script, slots=1) as (client, vlm, batcher), ThreadPoolExecutor(1) as pool:
        talk = pool.submit(client.chat, max_tokens=-1, deadline_s=3)
        wait_until(lambda: busy(client) == 1)
        frame = np.zeros((48, 64, 3), dtype=np.uint8)
        for _ in range(5):
            batcher.choose(frame, road, time.monotonic() + 1.0)
        assert not talk.done() and vlm.batches == [1] * 5


def test_health_answers_while_the_model_works(tiny: Client) -> None:
    """Four chats under way all the time; the limit of 50 ms is the issue's, checked for the median here because the
    machine is shared; docs/server.md has the measured 99th percentile."""
    stop = threading.Event()

    def talk(seed: int) -> None:
        while not stop.is_set():
            tiny.chat([image_message(seed=seed)], max_tokens=60, temperature=1.5)

    with ThreadPoolExecutor(4) as pool:
        talkers = [pool.submit(talk, seed) for seed in range(4)]
        wait_until(lambda: busy(tiny) >= 2)
        took = []
        for _ in range(30):
            began_s = time.monotonic()
            assert tiny.get("/health").status == 200
            took.append(time.monotonic() - began_s)
        stop.set()
        for talker in talkers:
            talker.result()
    assert sorted(took)[15] < 0.05


SCRIPT = f'- {{text: "{" ".join(["duck"] * 60)}", delay_s: 0.02}}\n'


@pytest.fixture
def process(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """The server as a process of its own, by its command line."""
    (tmp_path / "script.yaml").write_text(getattr(request, "param", SCRIPT))
    (tmp_path / "key").write_text(f"# one a line\n{KEY}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "duck_protection.server", "--backend", "scripted", "--port", str(port),
               "--script", str(tmp_path / "script.yaml"), "--api-key-file",
               str(tmp_path / "key"), "--slots", "1", "--drain-s", "4"]  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(command, stderr=log, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    client = Client(f"http://127.0.0.1:{port}")
    client_log = tmp_path / "log"

    def up() -> bool:
        try:
            return client.get("/health").status == 200
        except OSError:
            assert running.poll() is None, client_log.read_text()
            return False

    try:
        wait_until(up, 60)
        yield client, running, client_log
    finally:
        running.kill()
        running.wait()


def test_sigterm_finishes_what_has_begun_and_refuses_the_rest(process: Any) -> None:
    client, running, log = process
    with ThreadPoolExecutor(3) as pool:
        begun = pool.submit(client.chat, max_tokens=-1, stream=True)
        wait_until(lambda: busy(client) == 1)
        queued = pool.submit(client.chat)
        wait_until(lambda: deferred(client) == 1)
        running.send_signal(signal.SIGTERM)
        assert queued.result().status == 503
        assert begun.result().events[-1] == "[DONE]"
        assert running.wait(20) == 0
    with pytest.raises(ConnectionError):
        client.get("/health")
    assert KEY not in log.read_text()


@pytest.mark.parametrize("process", ["- {text: x, delay_s: 600}\n"], indirect=True)
def test_sigterm_ends_even_a_model_that_hangs(process: Any) -> None:
    client, running, _ = process
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.chat)
        wait_until(lambda: asked.running())
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
        assert asked.exception() is not None or asked.result().status >= 500


@pytest.mark.parametrize("process", ["- {text: x}\n- {error: DeviceLostError, text: gone}\n"], indirect=True)
def test_a_server_whose_device_is_lost_ends_with_a_word(process: Any) -> None:
    client, running, log = process
    assert client.chat().status == 200
    assert client.chat().status == 503
    assert running.wait(20) == 1
    assert "cannot serve: gone" in log.read_text().splitlines()[-1]


def test_the_log_holds_no_picture_and_no_key(process: Any) -> None:
    client, _, log = process
    client.chat()
    client.chat(headers_ignored=KEY)
    client.call("POST", "/v1/chat/completions", b"{")
    client.call("GET", "/v1/models?key=" + KEY)
    text = log.read_text()
    assert "POST /v1/chat/completions -> 200" in text and "-> 400" in text
    assert KEY not in text and data_uri()[30:60] not in text


@pytest.mark.parametrize("arguments", [
    ["--host", "0.0.0.0"], ["--port", "99999"], ["--model", "/nowhere"], ["--backend", "scripted", "--script", "/no"],
    ["--api-key-file", "/nowhere"], ["--allow-keyless-from", "x"],
])  # fmt: skip
def test_what_cannot_start_says_why_and_ends(arguments: list) -> None:
    command = [sys.executable, "-m", "duck_protection.server", "--port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert done.returncode == 1 and "cannot serve: " in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr
