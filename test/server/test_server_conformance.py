"""The same tests against our server and against a real llama-server: what a client relies on is the same on both.

    python -m pytest test/server/test_server_conformance.py

What differs between the two is in docs/server.md and in test_server_transcripts.py, not here.
"""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator

import llama
import pytest
from server_kit import PROMPT, Client, data_uri, image_message, wait_until


@pytest.fixture(scope="module", params=["ours", "llama-server"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    if request.param == "ours":
        yield request.getfixturevalue("tiny")
        return
    if llama.missing():
        pytest.skip(llama.missing())
    from duck_protection.learning.tokenizer import make_tokenizer

    folder: Path = tmp_path_factory.mktemp("qwen")
    with llama.llama_server(folder, make_tokenizer([PROMPT], ["Clear", "Slow", "Stop", "Yes", "No"])) as client:
        yield client


HELLO = [{"role": "user", "content": "hello"}]


def content(answer: Any) -> str:
    assert answer.status == 200, answer.raw
    return str(answer.json["choices"][0]["message"]["content"])


def error(answer: Any) -> Any:
    assert set(answer.json["error"]) >= {"code", "message", "type"}
    assert answer.json["error"]["code"] == answer.status
    return answer.json["error"]


def test_health_needs_no_key(server: Client) -> None:
    for path in ("/health", "/v1/health"):
        answer = Client(server.url, key="").get(path)
        assert answer.status == 200 and answer.json == {"status": "ok"}


def test_one_model_with_its_meta(server: Client) -> None:
    for path in ("/v1/models", "/models"):
        listed = server.get(path).json
        assert listed["object"] == "list" and len(listed["data"]) == 1
        assert listed["data"][0]["object"] == "model" and listed["data"][0]["meta"]["n_vocab"] > 0
        assert "multimodal" in listed["models"][0]["capabilities"]


def test_props_tell_context_slots_and_eyes(server: Client) -> None:
    props = server.get("/props").json
    assert props["default_generation_settings"]["n_ctx"] == 1024 and props["total_slots"] == 4
    assert props["modalities"]["vision"] is True and "<|im_start|>" in props["chat_template"]
    assert props["default_generation_settings"]["params"]["temperature"] == pytest.approx(0.8)


def test_slots_and_metrics(server: Client) -> None:
    assert [slot["id"] for slot in server.get("/slots").json] == [0, 1, 2, 3]
    text = server.get("/metrics").raw.decode()
    for name in ("prompt_tokens_total", "prompt_seconds_total", "tokens_predicted_total", "n_decode_total",
                 "tokens_predicted_seconds_total", "prompt_tokens_seconds", "predicted_tokens_seconds",
                 "requests_processing", "requests_deferred", "n_busy_slots_per_decode"):  # fmt: skip
        assert f"\nllamacpp:{name} " in text, name


def test_a_text_chat(server: Client) -> None:
    answer = server.chat(HELLO, temperature=0, max_tokens=5).json
    assert answer["object"] == "chat.completion" and answer["id"].startswith("chatcmpl-")
    assert answer["choices"][0]["message"]["role"] == "assistant"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert {"cache_n", "prompt_n", "prompt_ms", "predicted_n", "predicted_ms"} <= set(answer["timings"])
    assert answer["timings"]["predicted_n"] == usage["completion_tokens"] <= 5


def test_pictures_count_as_tokens(server: Client) -> None:
    def tokens(*pictures: int) -> int:
        parts = [{"type": "image_url", "image_url": {"url": data_uri(seed)}} for seed in pictures]
        words = {
            "type": "text",
            "text": "and",
        }  # between: llama.cpp's newer builds merge neighbours as a video's frames
        message = {"role": "user", "content": [words, *(part for picture in parts for part in (picture, words))]}
        return int(server.chat([message], max_tokens=1).json["usage"]["prompt_tokens"])

    assert tokens() + 2 < tokens(1) < tokens(1, 2)


def test_string_and_parts_are_the_same_prompt(server: Client) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
    one, two = server.chat(HELLO, temperature=0), server.chat(parts, temperature=0)
    assert content(one) == content(two) and one.json["usage"]["prompt_tokens"] == two.json["usage"]["prompt_tokens"]


def test_the_default_system_prompt_is_qwens(server: Client) -> None:
    system = {"role": "system", "content": "You are a helpful assistant."}
    counts = [server.chat(m, max_tokens=1).json["usage"]["prompt_tokens"] for m in (HELLO, [system, *HELLO])]
    assert counts[0] == counts[1]


def test_several_turns(server: Client) -> None:
    turns = [*HELLO, {"role": "assistant", "content": "Yes"}, {"role": "user", "content": "why"}]
    longer = server.chat(turns, max_tokens=1).json["usage"]["prompt_tokens"]
    assert longer > server.chat(HELLO, max_tokens=1).json["usage"]["prompt_tokens"]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n_predict"])
def test_names_of_max_tokens(server: Client, name: str) -> None:
    body = {"messages": HELLO, "logit_bias": {}, name: 3, "temperature": 0}
    answer = server.call("POST", "/v1/chat/completions", body)
    assert answer.json["usage"]["completion_tokens"] <= 3


def test_greedy_and_seeded_answers_repeat(server: Client) -> None:
    for wishes in ({"temperature": 0}, {"temperature": 1.2, "seed": 11}):
        assert content(server.chat(HELLO, **wishes)) == content(server.chat(HELLO, **wishes))


def test_a_stream_has_llama_cpps_shape(server: Client) -> None:
    wishes = {"temperature": 0, "max_tokens": 6}
    whole = content(server.chat([image_message()], **wishes))
    answer = server.chat([image_message()], stream=True, stream_options={"include_usage": True}, **wishes)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *chunks, usage, done = answer.events
    assert done == "[DONE]" and usage["choices"] == [] and usage["usage"]["completion_tokens"] <= 6
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert chunks[-1]["choices"][0]["delta"] == {} and chunks[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks[:-1])
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == whole
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"} and len({c["id"] for c in chunks}) == 1


def test_a_stream_without_usage_has_timings_last(server: Client) -> None:
    events = server.chat(HELLO, stream=True, max_tokens=3).events
    assert "timings" in events[-2] and "timings" not in events[0] and all(e["choices"] for e in events[:-1])


def test_logprobs(server: Client) -> None:
    answer = server.chat(HELLO, temperature=0, max_tokens=2, logprobs=True, top_logprobs=4).json
    for token in answer["choices"][0]["logprobs"]["content"]:
        top = [other["logprob"] for other in token["top_logprobs"]]
        assert len(top) == 4 and top == sorted(top, reverse=True) and sum(map(math.exp, top)) <= 1.001
        assert token["logprob"] == pytest.approx(top[0]) and {"id", "token", "bytes"} <= set(token)
    assert error(server.chat(HELLO, top_logprobs=4))["type"] == "invalid_request_error"


def test_logprobs_are_read_before_the_constraint(server: Client) -> None:
    """The promise that remote verdicts stand on."""
    wishes = {"temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": 5}
    free = server.chat(HELLO, **wishes).json["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    bound = server.chat(HELLO, grammar='root ::= "Stop" | "Clear"', **wishes).json
    token = bound["choices"][0]["logprobs"]["content"][0]
    assert [o["id"] for o in token["top_logprobs"]] == [o["id"] for o in free]
    assert [o["logprob"] for o in token["top_logprobs"]] == pytest.approx([o["logprob"] for o in free], abs=1e-3)


SCHEMA = {"type": "object", "properties": {"duck": {"type": "boolean"}}, "required": ["duck"],
          "additionalProperties": False}  # fmt: skip


@pytest.mark.parametrize("fields", [
    {"response_format": {"type": "json_schema", "json_schema": {"name": "v", "schema": SCHEMA}}},
    {"response_format": {"type": "json_object", "schema": SCHEMA}}, {"json_schema": SCHEMA},
])  # fmt: skip
def test_json_fits_its_schema(server: Client, fields: dict) -> None:
    assert set(json.loads(content(server.chat(HELLO, max_tokens=60, **fields)))) == {"duck"}


def test_a_grammar_of_words(server: Client) -> None:
    for seed in range(3):
        answer = server.chat(HELLO, seed=seed, grammar='root ::= "Stop" | "Slow down"', max_tokens=20)
        assert content(answer) in ("Stop", "Slow down") and answer.json["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("fields", [
    {"response_format": {"type": "xml"}}, {"grammar": "root ::= ("}, {"max_tokens": -5}, {"max_tokens": "many"},
    {"temperature": "hot"}, {"messages": "hi"}, {"messages": None},
])  # fmt: skip
def test_bad_requests_are_400(server: Client, fields: dict) -> None:
    answer = server.call("POST", "/v1/chat/completions", {"messages": HELLO, "max_tokens": 4, **fields})
    assert answer.status == 400 and error(answer)["type"] == "invalid_request_error", answer.raw


def test_two_constraints_are_refused(server: Client) -> None:
    assert error(server.chat(HELLO, json_schema=SCHEMA, grammar='root ::= "a"'))["code"] in (400, 500)


@pytest.mark.parametrize("url", ["data:image/jpeg;base64,@@@", "data:image/jpeg;base64,aGVsbG8=", "ftp://127.0.0.1/x",
                                 "file:///etc/hostname"])  # fmt: skip
def test_bad_pictures_are_400(server: Client, url: str) -> None:
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    answer = server.chat([message])
    assert answer.status == 400 and error(answer)["type"] == "invalid_request_error"


def test_too_long_says_how_long(server: Client) -> None:
    refusal = error(server.chat([{"role": "user", "content": "a duck " * 3000}], stream=True))
    assert refusal["type"] == "exceed_context_size_error" and refusal["n_ctx"] == 1024 < refusal["n_prompt_tokens"]


def test_keys(server: Client) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong-key"}):
        answer = Client(server.url, key="").call("POST", "/v1/chat/completions", {"messages": HELLO}, **headers)
        assert answer.status == 401 and error(answer)["type"] == "authentication_error"
    answer = Client(server.url, key="").call("POST", "/v1/chat/completions", {"messages": HELLO, "max_tokens": 1},
                                             **{"X-Api-Key": server.key})  # fmt: skip
    assert answer.status == 200


def test_unknown_paths_methods_fields_and_models(server: Client) -> None:
    assert error(server.get("/v1/nope"))["type"] == "not_found_error"
    assert error(server.get("/v1/chat/completions"))["type"] == "not_found_error"
    assert server.chat(HELLO, model="no-such-model", wings=2, temperature=0).status == 200
    assert server.call("OPTIONS", "/v1/chat/completions").status == 200


def test_several_answers(server: Client) -> None:
    answer = server.chat(HELLO, n=2, temperature=0).json
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert len({choice["message"]["content"] for choice in answer["choices"]}) == 1


def test_a_stop_string_ends_the_answer(server: Client) -> None:
    grammar = 'root ::= "quack quack stop quack"'
    answer = server.chat(HELLO, grammar=grammar, stop=["stop", "x"], max_tokens=60)
    assert content(answer).rstrip() == "quack quack" and answer.json["choices"][0]["finish_reason"] == "stop"


def test_a_crowd_is_served(server: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda seed: server.chat([image_message(seed=seed)], temperature=0), range(8)))
    assert {answer.status for answer in answers} == {200}


def test_a_client_that_leaves_frees_its_slot(server: Client) -> None:
    def busy() -> int:
        return sum(slot["is_processing"] for slot in server.get("/slots").json)

    body = {"messages": HELLO, "max_tokens": -1, "grammar": "root ::= [a-z]*", "logit_bias": [], "stream": True}
    connection = server.connect()
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    connection.getresponse().read(100)
    connection.close()
    wait_until(lambda: busy() == 0, 10.0)
