"""A batch shared out over a CPU's cores: the same replies, in order, and errors that reach the caller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import saved, tiny_model, tiny_tokenizer

from duck_protection.question import Question
from duck_protection.vlm.base import AnswerError
from duck_protection.vlm.cores import MOST_TOGETHER, ManyCores, shares, spread
from duck_protection.vlm.fastvlm import FastVlm


@pytest.fixture
def vlm(tmp_path: Path, road: Question) -> FastVlm:
    tokenizer = tiny_tokenizer(road)
    return FastVlm(str(saved(tiny_model(tokenizer), tokenizer, road, tmp_path / "tiny")), "cpu")


def pictures(count: int) -> list:
    return list(np.random.default_rng(5).integers(0, 255, (count, 48, 64, 3), dtype=np.uint8))


@given(st.integers(1, 64), st.integers(2, 16))
def test_every_picture_is_in_one_share_and_no_share_is_too_large(count: int, cores: int) -> None:
    parts = shares(count, cores)
    everyone = list(range(count))
    assert [number for part in parts for number in everyone[part]] == everyone
    sizes = [part.stop - part.start for part in parts]
    assert min(sizes) >= 1 and max(sizes) <= min(MOST_TOGETHER, min(sizes) + 1)
    assert len(parts) % cores == 0 or len(parts) == count  # no core stands idle while another has two


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_the_replies_are_those_of_one_at_a_time(vlm: FastVlm, road: Question, count: int) -> None:
    frames = pictures(count)
    for got, frame in zip(ManyCores(vlm, 2).choose(frames, [road] * count), frames):
        (alone,) = vlm.choose([frame], [road])
        assert got.probabilities == pytest.approx(alone.probabilities, abs=1e-5) and got.text == alone.text
        assert got.off_mass == pytest.approx(alone.off_mass, abs=1e-5)


def test_a_prepared_frame_gets_the_same_reply(vlm: FastVlm, road: Question) -> None:
    (frame,) = pictures(1)
    square = ManyCores(vlm, 2).prepare(frame)
    assert square.shape == (vlm.checkpoint.side_px, vlm.checkpoint.side_px, 3) and square.dtype == np.uint8
    (plain,), (prepared,) = vlm.choose([frame], [road]), vlm.choose([square], [road])
    assert plain.probabilities == prepared.probabilities and plain.off_mass == prepared.off_mass


def test_many_batches_of_pictures_and_questions_never_seen_before(vlm: FastVlm, road: Question) -> None:
    """Whatever the model remembers of pictures and prompts must bear several threads."""
    many = ManyCores(vlm, 4)
    for batch in range(30):
        asked = [Question("q", 1, f"Is it {batch} or {number}?", road.choices) for number in range(8)]
        frames = [frame + np.uint8(batch) for frame in pictures(8)]
        assert len(many.choose(frames, asked)) == 8


def test_an_error_in_one_share_reaches_the_caller(vlm: FastVlm, road: Question) -> None:
    long = Question("long", 1, "duck " * 5000, road.choices)
    with pytest.raises(AnswerError, match="tokens"):
        ManyCores(vlm, 2).choose(pictures(4), [road, road, road, long])


def test_threads_of_the_pool_compute_alone_and_all_others_as_before(vlm: FastVlm) -> None:
    before = torch.get_num_threads()
    many = ManyCores(vlm, 2)
    assert {many._pool.submit(torch.get_num_threads).result() for _ in range(8)} == {1}
    assert torch.get_num_threads() == before


def test_only_a_cpu_with_several_cores_is_shared_out(vlm: FastVlm) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert spread(vlm) is vlm
        torch.set_num_threads(2)
        assert isinstance(spread(vlm), ManyCores)
    finally:
        torch.set_num_threads(before)
