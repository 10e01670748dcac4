"""What the server computes without a socket: sampling, text in pieces, requests understood or refused."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import socket
import threading
import time
from contextlib import contextmanager
from typing import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from server_kit import data_uri, jpeg_bytes

from duck_protection.frames import FrameLimits
from duck_protection.server import sampling, wire
from duck_protection.server.asking import Intake, asking, decisions
from duck_protection.server.engine import Sampling
from duck_protection.server.errors import ApiError
from duck_protection.server.pictures import picture
from duck_protection.server.settings import ServerSettings
from duck_protection.server.text import TextStream
from duck_protection.settings import SettingsError

HELLO = b'"messages": [{"role": "user", "content": "hello"}]'


def chat(fields: str = "") -> wire.ChatRequest:
    return wire.parse(wire.ChatRequest, b"{" + HELLO + (b", " + fields.encode() if fields else b"") + b"}")


LETTERS = "abé🦆 "


@example("a a", [" ", "a a"], 1)  # the stop that ends first begins last
@given(st.text(LETTERS, max_size=30), st.lists(st.text(LETTERS, min_size=1, max_size=3), max_size=3),
       st.integers(1, 5))  # fmt: skip
def test_pieces_join_to_the_text_before_the_first_stop(text: str, stops: list, size: int) -> None:
    stream, data, out = TextStream(stops), text.encode(), ""
    for at in range(0, len(data), size):
        out += stream.feed(data[at : at + size])
        assert text.startswith(out)
    out += stream.finish()
    found = [text.find(stop) for stop in stops if stop in text]
    assert out == (text[: min(found)] if found else text)
    assert stream.stopped == bool(found)


def test_broken_bytes_become_replacement_characters() -> None:
    stream = TextStream([])
    assert stream.feed(b"a\xf0\x9f") + stream.feed(b"\xa6") + stream.finish() == "a\ufffd"


@settings(deadline=None)
@given(st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=40), st.integers(0, 2**31), st.floats(0.01, 3.0),
       st.integers(0, 50), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.data())  # fmt: skip
def test_a_forbidden_token_never_comes_and_a_seed_repeats(
    scores: list, seed: int, temperature: float, top_k: int, top_p: float, min_p: float, data: st.DataObject
) -> None:
    logits = np.array(scores, dtype=np.float32)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores))))
    allowed[data.draw(st.integers(0, len(scores) - 1))] = True
    wishes = Sampling(temperature, top_k, top_p, min_p, seed)
    runs = [[sampler.choose(logits, allowed) for _ in range(5)] for sampler in
            (sampling.Sampler(wishes, {}), sampling.Sampler(wishes, {}))]  # fmt: skip
    assert runs[0] == runs[1]
    assert all(allowed[token] for token in runs[0])


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = np.array([0.0, 3.0, 2.9], dtype=np.float32)
    assert sampling.Sampler(Sampling(temperature=0), {}).choose(logits) == 1
    assert sampling.Sampler(Sampling(temperature=0), {1: -math.inf}).choose(logits) == 2


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_where_no_token_may_come_none_does(temperature: float) -> None:
    sampler = sampling.Sampler(Sampling(temperature), {1: -math.inf})
    assert sampler.choose(np.array([3.0, 2.0], dtype=np.float32), np.array([False, True])) is None


def test_top_k_top_p_and_min_p_each_leave_only_the_likeliest() -> None:
    logits = np.array([0.0, 2.0, 1.0, 1.9], dtype=np.float32)
    for wishes in (Sampling(5.0, top_k=1), Sampling(5.0, top_p=0.01), Sampling(5.0, min_p=1.0)):
        sampler = sampling.Sampler(wishes, {})
        assert {sampler.choose(logits) for _ in range(50)} == {1}


def test_drawing_follows_the_softmax_at_its_temperature() -> None:
    logits = np.log(np.array([0.7, 0.2, 0.1], dtype=np.float32))
    sampler = sampling.Sampler(Sampling(1.0, top_k=0, top_p=1.0, min_p=0.0, seed=5), {})
    counts = np.bincount([sampler.choose(logits) for _ in range(4000)], minlength=3) / 4000
    assert np.allclose(counts, [0.7, 0.2, 0.1], atol=0.03)


def test_penalties_turn_away_from_what_was_said() -> None:
    logits = np.array([1.0, 0.9], dtype=np.float32)
    for wishes in (
        Sampling(0, presence_penalty=0.5),
        Sampling(0, frequency_penalty=0.5),
        Sampling(0, repeat_penalty=2),
    ):
        sampler = sampling.Sampler(wishes, {})
        assert [sampler.choose(logits) for _ in range(2)] == [0, 1]


def test_logprobs_are_the_whole_softmax() -> None:
    logits = np.array([1.0, 3.0, 2.0], dtype=np.float32)
    own, best = sampling.logprobs(logits, 0, 2)
    expected = np.log(np.exp(logits) / np.exp(logits).sum())
    assert own == pytest.approx(expected[0]) and [i for i, _ in best] == [1, 2]
    assert [value for _, value in best] == pytest.approx([expected[1], expected[2]])
    assert sampling.logprobs(logits, 0, 0)[1] == []


def test_unknown_fields_and_nulls_are_defaults() -> None:
    asked = asking(chat('"wings": 2, "temperature": null, "logit_bias": null, "stop": null'), Intake())
    assert asked.wanted.sampling == Sampling() and asked.max_tokens == -1 and asked.stops == ()


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n_predict"])
def test_all_names_of_max_tokens(name: str) -> None:
    assert asking(chat(f'"{name}": 7.0'), Intake()).max_tokens == 7


@pytest.mark.parametrize("fields, word", [
    ('"max_tokens": -5', "max_tokens"), ('"max_tokens": "many"', "max_tokens"), ('"temperature": "hot"', "temperature"),
    ('"temperature": NaN', "JSON"), ('"temperature": 1e999', "temperature"), ('"top_p": 1.5', "top_p"),
    ('"n": 0', "n"), ('"stream": 1', "stream"), ('"top_logprobs": 3', "logprobs"),
    ('"response_format": {"type": "xml"}', "response_format"), ('"response_format": {"type": "json_schema"}', "schema"),
    ('"grammar": "root ::= \\"a\\"", "json_schema": {}', "only one"),
    ('"guided_choice": ["a", "b"], "response_format": {"type": "json_object"}', "only one"),
    ('"structured_outputs": {"structural_tag": {}}', "structural_tag"), ('"guided_choice": []', "guided_choice"),
    ('"structured_outputs": {"choice": []}', "choice"), ('"structured_outputs": {"choice": [""]}', "choice"),
    ('"tools": [{"type": "function"}]', "tools"), ('"logit_bias": [[1]]', "logit_bias"),
    (f'"logit_bias": [["{"x" * 300}", 1]]', "logit_bias"), (f'"stop": ["{"x" * 300}"]', "stop"),
    ('"seed": "lucky"', "seed"),
])  # fmt: skip
def test_what_cannot_be_kept_is_refused_by_name(fields: str, word: str) -> None:
    with pytest.raises(ApiError) as refusal:
        asking(chat(fields), Intake())
    assert refusal.value.status == 400 and word in refusal.value.message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b'{"messages": 3}', b"{}", b'{"messages": [3]}', b"\xff",
                                  b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
                                  b'{"messages": [{"role": "user", "content": "\xed\xa0\x80"}]}',
                                  b"[" * 100_000])  # fmt: skip
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refusal:
        wire.parse(wire.ChatRequest, body)
    assert refusal.value.status == 400


def test_a_refusal_never_repeats_the_picture() -> None:
    body = (
        b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 7, "x": "SECRET"}}]}]}'
    )
    with pytest.raises(ApiError) as refusal:
        wire.parse(wire.ChatRequest, body)
    assert "SECRET" not in refusal.value.message and len(refusal.value.message) < 300


def test_seeds_that_mean_random() -> None:
    assert [asking(chat(f'"seed": {seed}'), Intake()).wanted.sampling.seed for seed in (-1, 4294967295, 0)] == [
        None, None, 0]  # fmt: skip


JPEG = jpeg_bytes()
B64 = base64.b64encode(JPEG).decode()


def test_a_picture_comes_as_data_uri_or_bare_base64() -> None:
    for url in (data_uri(), B64, B64.rstrip("="), "DATA:image/JPEG;base64," + B64,
                "data:image/jpeg;charset=utf-8;base64," + B64):  # fmt: skip
        assert picture(url, FrameLimits()).shape == (48, 64, 3)


@pytest.mark.parametrize("url", [
    "", "data:", "data:text/plain;base64," + B64, "data:image/jpeg," + B64, "data:image/jpeg;a,b;base64," + B64,
    "data:image/jpeg;base64,@@@",
    "data:image/jpeg;base64,aGVsbG8=", "data:image/jpeg;base64," + base64.b64encode(JPEG[: len(JPEG) // 2]).decode(),
    "file:///etc/hostname", "FILE:///etc/hostname", "ftp://127.0.0.1/x", "http://127.0.0.1:9/x.jpg", "HTTPS://x/",
    "/etc/hostname", "x" * 12_000_000,
])  # fmt: skip
def test_every_other_url_is_refused(url: str) -> None:
    with pytest.raises(ApiError) as refusal:
        picture(url, FrameLimits())
    assert refusal.value.status == 400


@contextmanager
def raw_server(*pieces: bytes, pause_s: float = 0.0) -> Iterator[str]:
    """Sends these pieces to whoever connects, with a pause after each; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(4096)
                        for piece in pieces:
                            connection.sendall(piece)
                            time.sleep(pause_s)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/duck.jpg?size=1"


def test_a_picture_is_fetched_when_that_is_allowed_and_only_from_where_it_was_said() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(JPEG)
    with raw_server(head + JPEG) as url:
        assert picture(url, FrameLimits(), fetch=True).shape == (48, 64, 3)
        for limits in (FrameLimits(max_bytes=len(JPEG) - 1), FrameLimits(max_pixels=100)):
            with pytest.raises(ApiError):
                picture(url, limits, fetch=True)
        moved = b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % url.encode()
        with raw_server(moved) as redirect, pytest.raises(ApiError, match="cannot be fetched"):
            picture(redirect, FrameLimits(), fetch=True)
    for url in ("http://[", "http://127.0.0.1:x/", "http://127.0.0.1:9/ä b"):
        with pytest.raises(ApiError, match="cannot be fetched"):
            picture(url, FrameLimits(), fetch=True)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n",
                                  b"HTTP/1.0 200 OK\r\n\r\n"])  # fmt: skip
def test_a_server_that_drips_holds_a_fetch_no_longer_than_its_time(
    monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr("duck_protection.server.pictures.FETCH_S", 0.5)
    with raw_server(head, *[b"x"] * 200, pause_s=0.05) as url:
        began_s = time.monotonic()
        with pytest.raises(ApiError, match="cannot be fetched"):
            picture(url, FrameLimits(), fetch=True)
        assert time.monotonic() - began_s < 3


def test_too_many_pictures_and_too_many_pixels_are_refused() -> None:
    part = {"type": "image_url", "image_url": {"url": data_uri()}}
    body = json.dumps({"messages": [{"role": "user", "content": [part, part]}]})
    request = wire.parse(wire.ChatRequest, body.encode())
    assert len(asking(request, Intake(most_images=2)).turns[0].parts) == 2
    for intake in (Intake(most_images=1), Intake(FrameLimits(max_pixels=100))):
        with pytest.raises(ApiError):
            asking(request, intake)


def test_decisions_need_one_picture_and_two_words() -> None:
    question = {"instructions": "?", "criteria": {"a": "x", "b": "y"}}
    good = json.dumps({"images": [data_uri()], "questions": {"q": question}})
    _, questions = decisions(wire.parse(wire.DecisionRequest, good.encode()), Intake())
    assert questions[0].words == ("a", "b")
    for bad in (good.replace('"images"', '"x"'), good.replace(', "b": "y"', ""), good.replace('"?"', '"  "')):
        with pytest.raises(ApiError):
            decisions(wire.parse(wire.DecisionRequest, bad.encode()), Intake())


@pytest.mark.parametrize("bad", [
    {"host": "0.0.0.0"}, {"host": "::"}, {"host": "192.168.1.5"}, {"host": "robot.local"}, {"keys": ("short",)},
    {"keys": ("has a space",)}, {"keyless_from": ("nonsense",)}, {"port": 70000}, {"deadline_s": math.nan},
    {"slots": 0},
])  # fmt: skip
def test_unsafe_or_absurd_settings_do_not_start(bad: dict) -> None:
    with pytest.raises(SettingsError):
        ServerSettings(**bad)


@pytest.mark.parametrize("good", [
    {}, {"host": "localhost"}, {"host": "::1"}, {"host": "0.0.0.0", "keys": ("correct-horse",)},
    {"host": "0.0.0.0", "keyless_from": ("192.168.1.0/24", "10.0.0.7")},
])  # fmt: skip
def test_safe_settings_start(good: dict) -> None:
    assert ServerSettings(**good)
