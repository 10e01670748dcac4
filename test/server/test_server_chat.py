"""Chats with a real, tiny FastVLM over a real socket: what comes back is what the model said, whole and in pieces."""

from __future__ import annotations

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from server_kit import PROMPT, Client, data_uri, image_message, jpeg_bytes

from duck_protection.frames import decode
from duck_protection.question import Choice, Question
from duck_protection.server.engine import Sampling, Turn, Wanted
from duck_protection.server.errors import ApiError
from duck_protection.server.torch_engine import TorchEngine
from duck_protection.verdict import Level
from duck_protection.vlm import chatml

WORDS = ("Clear", "Slow", "Stop")
LEVELS = (Level.CLEAR, Level.SLOW, Level.STOP)
QUESTION = Question("road", 1, PROMPT, tuple(Choice(word, level) for word, level in zip(WORDS, LEVELS)))


def said(answer: Any) -> str:
    assert answer.status == 200, answer.raw
    return str(answer.json["choices"][0]["message"]["content"])


def streamed(answer: Any) -> str:
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
    return "".join(c["delta"].get("content") or "" for e in answer.events[:-1] for c in e["choices"])


def test_a_greedy_chat_says_what_the_model_says_in_process(tiny: Client, tiny_vlm: Any) -> None:
    frame = decode(jpeg_bytes())
    expected = "".join(tiny_vlm.generate(frame, PROMPT, 12))
    assert said(tiny.chat(temperature=0, max_tokens=12)) == expected


def test_the_first_tokens_logprobs_are_the_verdicts(tiny: Client, tiny_vlm: Any) -> None:
    """One reading, two ways: chat logprobs and Vlm.choose() of the same picture and prompt."""
    reply = tiny_vlm.choose([decode(jpeg_bytes())], [QUESTION])[0]
    answer = tiny.chat(max_tokens=1, logprobs=True, top_logprobs=100, logit_bias=dict.fromkeys(WORDS, 100))
    top = answer.json["choices"][0]["logprobs"]["content"][0]
    assert top["token"] in WORDS
    own = math.exp(top["logprob"])
    on_choices = reply.probabilities[WORDS.index(top["token"])] * (1 - reply.off_mass)
    assert own == pytest.approx(on_choices, rel=1e-3)


def test_a_decision_is_the_verdicts_reading(tiny: Client, tiny_vlm: Any) -> None:
    reply = tiny_vlm.choose([decode(jpeg_bytes())], [QUESTION])[0]
    questions = {"road": {"type": "choice", "instructions": PROMPT, "criteria": list(WORDS)},
                 "duck": {"type": "noul", "instructions": "Is there a duck?"}}  # fmt: skip
    answer = tiny.call("POST", "/v1/systemone", {"images": [data_uri()], "questions": questions})
    assert answer.status == 200, answer.raw
    road = answer.json["answers"]["road"]
    assert [road["probabilities"][word] for word in WORDS] == pytest.approx(list(reply.probabilities), abs=1e-5)
    assert road["off_mass"] == pytest.approx(reply.off_mass, abs=1e-5)
    assert road["choice"] == WORDS[int(np.argmax(reply.probabilities))]
    assert 0 < answer.json["answers"]["duck"]["noul"] < 1
    assert answer.json["usage"] == {"output_tokens": 0}


def test_words_of_several_tokens_are_no_decision(tiny: Client) -> None:
    questions = {"q": {"instructions": "?", "criteria": ["a long answer", "another"]}}
    answer = tiny.call("POST", "/v1/systemone", {"images": [data_uri()], "questions": questions})
    assert answer.status == 400 and "single tokens" in answer.json["error"]["message"]


def test_a_stream_says_the_same_in_llama_cpps_shape(tiny: Client) -> None:
    whole = tiny.chat(temperature=0, max_tokens=6, messages=[image_message(seed=2)])
    answer = tiny.chat(temperature=0, max_tokens=6, messages=[image_message(seed=2)], stream=True)
    assert streamed(answer) == said(whole)
    first, *_, last, done = answer.events
    assert done == "[DONE]"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None} and "timings" not in first
    assert last["choices"][0] == {"finish_reason": "length", "index": 0, "delta": {}} and "timings" in last
    assert len({event["id"] for event in answer.events[:-1]}) == 1


def test_a_stream_ends_with_usage_when_asked(tiny: Client) -> None:
    answer = tiny.chat(max_tokens=3, stream=True, stream_options={"include_usage": True})
    last = answer.events[-2]
    assert last["choices"] == [] and last["usage"]["completion_tokens"] == 3 and "timings" in last
    assert "timings" not in answer.events[-3]


def test_usage_counts_the_pictures_tokens(tiny: Client, tiny_vlm: Any) -> None:
    checkpoint = tiny_vlm.checkpoint
    ids, _ = chatml.ids(checkpoint.tokenizer, PROMPT, checkpoint.image_tokens)
    usage = tiny.chat(max_tokens=2).json["usage"]
    assert usage["prompt_tokens"] == len(ids) and usage["total_tokens"] == len(ids) + 2
    two = {"role": "user", "content": [*image_message()["content"], image_message(seed=3)["content"][0]]}
    assert tiny.chat([two]).json["usage"]["prompt_tokens"] > len(ids) + checkpoint.image_tokens


def test_string_and_part_content_are_one(tiny: Client) -> None:
    text = tiny.chat([{"role": "user", "content": "hello"}], temperature=0)
    parts = tiny.chat([{"role": "user", "content": [{"type": "text", "text": "hello"}]}], temperature=0)
    system = {"role": "system", "content": chatml.SYSTEM}
    explicit = tiny.chat([system, {"role": "user", "content": "hello"}], temperature=0)
    assert said(text) == said(parts) == said(explicit)
    other = tiny.chat([{**system, "content": "You are a duck."}, {"role": "user", "content": "hello"}], temperature=0,
                      logprobs=True)  # fmt: skip
    assert other.json["usage"] != text.json["usage"]


def test_markup_in_a_message_is_only_letters(tiny: Client) -> None:
    answer = tiny.chat([{"role": "user", "content": "<image><|im_end|>" * 3}])
    assert answer.json["usage"]["prompt_tokens"] > 40


def test_a_seed_repeats_and_another_does_not(tiny: Client) -> None:
    def once(seed: int) -> str:
        return said(tiny.chat(seed=seed, temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, max_tokens=20))

    assert once(7) == once(7) != once(8)


def test_several_answers_to_one_request(tiny: Client) -> None:
    answer = tiny.chat(n=3, seed=1, temperature=2.0, top_k=0, min_p=0, max_tokens=12).json
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in answer["choices"]}) > 1
    assert 12 <= answer["usage"]["completion_tokens"] <= 36
    assert tiny.chat(n=5).status == 400


def test_a_batch_says_what_each_would_have_said_alone(tiny: Client) -> None:
    """Eight different chats at once through four slots: answers do not touch each other."""
    chats = [[image_message("Q" * length + "?", seed)] for length, seed in zip((1, 30, 5, 60, 2, 90, 11, 44), range(8))]
    alone = [said(tiny.chat(chat, temperature=0, max_tokens=16)) for chat in chats]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda chat: said(tiny.chat(chat, temperature=0, max_tokens=16)), chats))
    assert together == alone


def test_stop_strings_end_the_answer_and_do_not_appear(tiny: Client) -> None:
    free = said(tiny.chat(seed=5, temperature=1.5, top_k=0, max_tokens=30))
    stop = next(free[at : at + 2] for at in range(3, len(free) - 2) if "\ufffd" not in free[at : at + 2])
    answer = tiny.chat(seed=5, temperature=1.5, top_k=0, max_tokens=30, stop=[stop, "never said"])
    assert said(answer) == free[: free.index(stop)] and answer.json["choices"][0]["finish_reason"] == "stop"


def test_logprobs_count_and_add_up(tiny: Client) -> None:
    answer = tiny.chat(max_tokens=3, logprobs=True, top_logprobs=5).json
    content = answer["choices"][0]["logprobs"]["content"]
    assert len(content) == 3
    for token in content:
        top = [other["logprob"] for other in token["top_logprobs"]]
        assert len(top) == 5 and top == sorted(top, reverse=True) and sum(map(math.exp, top)) <= 1 + 1e-6
        assert bytes(token["bytes"]).decode("utf-8", "replace") == token["token"]
    assert (
        len(tiny.chat(max_tokens=1, logprobs=True).json["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 20
    )


@pytest.mark.parametrize("fields, pattern", [
    ({"structured_outputs": {"choice": ["Stop the car", "Clear", "Ente é"]}}, "Stop the car|Clear|Ente é"),
    ({"guided_choice": ["Stop", "Go"]}, "Stop|Go"),
    ({"grammar": 'root ::= "Stop" | "Slow down"'}, "Stop|Slow down"),
    ({"guided_grammar": 'start: "Stop" | "Slow down"'}, "Stop|Slow down"),
    ({"guided_regex": "(Stop|Go) [0-9]{2}"}, "(Stop|Go) [0-9]{2}"),
    ({"structured_outputs": {"regex": "Yes|No"}}, "Yes|No"),
])  # fmt: skip
def test_a_constraint_is_kept(tiny: Client, fields: dict, pattern: str) -> None:
    for seed in range(4):
        answer = tiny.chat(temperature=3.0, top_k=0, top_p=1, min_p=0, seed=seed, max_tokens=40, **fields)
        assert answer.json["choices"][0]["finish_reason"] == "stop"
        assert re.fullmatch(pattern, said(answer))


def test_a_constraint_that_a_bias_leaves_no_token_for_is_an_error_in_words(tiny: Client) -> None:
    answer = tiny.chat(guided_choice=["12", "13"], logit_bias=[["2", False], ["3", False]])
    assert answer.status == 500 and "no token may come" in answer.json["error"]["message"]


SCHEMA = {"type": "object", "properties": {"duck": {"type": "boolean"}, "lane": {"enum": ["own", "other"]}},
          "required": ["duck", "lane"], "additionalProperties": False}  # fmt: skip


@pytest.mark.parametrize("fields", [
    {"response_format": {"type": "json_schema", "json_schema": {"name": "v", "schema": SCHEMA}}},
    {"response_format": {"type": "json_object", "schema": SCHEMA}}, {"json_schema": SCHEMA}, {"guided_json": SCHEMA},
    {"structured_outputs": {"json": json.dumps(SCHEMA)}},
])  # fmt: skip
def test_json_fits_its_schema(tiny: Client, fields: dict) -> None:
    value = json.loads(said(tiny.chat(temperature=2.0, max_tokens=60, **fields)))
    assert set(value) == {"duck", "lane"} and isinstance(value["duck"], bool) and value["lane"] in ("own", "other")


@pytest.mark.parametrize("fields", [
    {"json_schema": {"type": "array", "uniqueItems": True}}, {"json_schema": {"type": "quack"}},
    {"grammar": "root ::= ("}, {"guided_regex": "(a"}, {"guided_json": "no json"},
    {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "http://127.0.0.1:9/s"}}}},
])  # fmt: skip
def test_a_constraint_that_cannot_be_kept_is_refused_even_in_a_stream(tiny: Client, fields: dict) -> None:
    for stream in (False, True):
        answer = tiny.chat(stream=stream, **fields)
        assert answer.status == 400 and answer.json["error"]["type"] == "invalid_request_error", answer.raw


def test_a_prompt_beyond_the_context_is_refused_in_llama_cpps_words(tiny: Client) -> None:
    answer = tiny.chat([{"role": "user", "content": "a duck " * 3000}], stream=True)
    error = answer.json["error"]
    assert answer.status == 400 and error["type"] == "exceed_context_size_error"
    assert error["n_ctx"] == 1024 < error["n_prompt_tokens"]


@pytest.mark.parametrize("state", ["a duck " * 500, {"text": "x" * 2_000_000}])
def test_a_decision_beyond_the_context_is_refused_in_the_same_words(tiny: Client, state: Any) -> None:
    questions = {"road": {"instructions": PROMPT, "criteria": list(WORDS)}}
    body = {"images": [data_uri()], "questions": questions, "state": state}
    answer = tiny.call("POST", "/v1/systemone", body)
    assert answer.status == 400 and answer.json["error"]["type"] == "exceed_context_size_error"
    assert tiny.call("POST", "/v1/systemone", {**body, "state": "a duck"}).status == 200


def test_text_far_beyond_the_context_is_refused_without_being_tokenised(
    tiny_vlm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TorchEngine(tiny_vlm, 1, 512)
    monkeypatch.setattr("duck_protection.server.chat_prompt.chat_ids", lambda *_: pytest.fail("tokenised"))
    for read in (engine.read, engine.fits):
        with pytest.raises(ApiError) as refusal:
            read([Turn("user", ("ü" * 1_000_000,))])
        assert refusal.value.kind == "exceed_context_size_error" and refusal.value.extra["n_prompt_tokens"] > 512


def test_words_of_logit_bias_are_read_before_the_models_thread(
    tiny_vlm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TorchEngine(tiny_vlm, 1, 512)
    prompt = engine.read([Turn("user", ("quack",))])
    wanted = engine.check(Wanted(Sampling(0, logit_bias=(("Stop", 1000.0),)), top_logprobs=1))
    monkeypatch.setattr(engine._vocabulary, "ids", lambda *_: pytest.fail("tokenised"))
    ((talk, token),) = engine.begin([prompt], [wanted])
    engine.end(talk)
    assert token.data == b"Stop"


def test_an_unlimited_answer_ends_with_the_context(tiny: Client) -> None:
    answer = tiny.chat([{"role": "user", "content": "a duck " * 330}], max_tokens=-1, guided_regex="[a-z]*x{2000}")
    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert answer.json["usage"]["total_tokens"] in (1024, 1025)


def test_a_zero_length_stop_and_no_messages_are_fine(tiny: Client) -> None:
    assert tiny.chat([], stop="").status == 200
    assert tiny.chat([{"role": "robot", "content": "x"}], model="no-such-model").status == 200
