"""Prompts that wait at the same time are read in one pass, and nobody's answer shows it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, Dict, Iterator, List, Sequence

import numpy as np
import pytest
import torch

from duck_protection.server.engine import Constraint, Prompt, Sampling, Token, Turn, Wanted
from duck_protection.server.errors import bad_request
from duck_protection.server.plain_engine import PlainEngine
from duck_protection.server.scheduler import Job, Piece, Scheduler
from duck_protection.server.torch_engine import TorchEngine
from duck_protection.vlm.base import AnswerError, BusyError, DeviceLostError
from duck_protection.vlm.scripted import ScriptedVlm, lines_from

WANTED = Wanted(Sampling(temperature=0.0), top_logprobs=5)


def chats(count: int = 4) -> List[Sequence[Turn]]:
    """Of different lengths: with a picture, with two, after one, and without."""
    pictures = np.random.default_rng(2).integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)
    return [
        [Turn("user", (pictures[0], "Is a duck in your way?"))],
        [Turn("user", (pictures[1], "and", pictures[2], "Which one is yellow? Look well, it is small."))],
        [Turn("system", ("Be short.",)), Turn("user", ("Is it clear?", pictures[3]))],
        [Turn("user", ("quack",))],
    ][:count]  # fmt: skip


def answer(engine: TorchEngine, prompts: Sequence[Prompt], tokens: int = 6) -> List[List[Any]]:
    """The first tokens of each, begun together."""
    begun = engine.begin(prompts, [WANTED] * len(prompts))
    talks, said = [talk for talk, _ in begun], [[token] for _, token in begun]
    for _ in range(tokens - 1):
        for place, token in enumerate(engine.advance(talks)):
            said[place].append(token)
    for talk in talks:
        engine.end(talk)
    return said


def test_prompts_of_any_length_read_together_give_what_each_gives_alone(tiny_vlm: Any) -> None:
    engine = TorchEngine(tiny_vlm, 4, 512, together=4)
    prompts = [engine.read(chat) for chat in chats()]
    assert len({prompt.tokens for prompt in prompts}) == 4
    together = answer(engine, prompts)
    for prompt, got in zip(prompts, together):
        (alone,) = answer(engine, [prompt])
        for one, other in zip(got, alone):
            assert one.chosen.id == other.chosen.id
            assert one.chosen.logprob == pytest.approx(other.chosen.logprob, abs=1e-4)
            assert [like.id for like in one.likely] == [like.id for like in other.likely]


def test_what_was_in_a_slot_before_is_not_seen(tiny_vlm: Any) -> None:
    """Short prompts are filled up beside long ones; what is left in their slots must not be read by whoever is next."""
    engine = TorchEngine(tiny_vlm, 4, 512, together=4)
    prompts = [engine.read(chat) for chat in chats()]
    clean = [answer(TorchEngine(tiny_vlm, 1, 512), [prompt])[0] for prompt in prompts]
    for _ in range(2):
        for wanted, got in zip(clean[::-1], answer(engine, prompts[::-1])):
            assert [token.chosen.id for token in got] == [token.chosen.id for token in wanted]


def test_no_more_pictures_than_prompts_are_looked_at_at_once(tiny_vlm: Any) -> None:
    looks: List[int] = []
    tower = tiny_vlm.checkpoint.model.model.vision_tower.timm_model
    hook = tower.stem.register_forward_hook(lambda _, inputs, __: looks.append(len(inputs[0])))
    engine = TorchEngine(tiny_vlm, 4, 512, together=2)
    answer(engine, [engine.read(chat) for chat in chats(2)], 1)
    hook.remove()
    assert looks == [2, 1]


def test_more_than_there_are_slots_for_leave_no_trace(tiny_vlm: Any) -> None:
    engine = TorchEngine(tiny_vlm, 2, 512, together=4)
    prompts = [engine.read(chat) for chat in chats()]
    with pytest.raises(BusyError):
        engine.begin(prompts, [WANTED] * 4)
    assert len(answer(engine, prompts[:2])) == 2
    tower = tiny_vlm.checkpoint.model.model.vision_tower.timm_model

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = tower.stem.register_forward_pre_hook(full)
    with pytest.raises(Exception, match="out of memory"):
        engine.begin(prompts[:2], [WANTED] * 2)
    hook.remove()
    assert len(answer(engine, prompts[:2])) == 2


def test_an_answer_with_no_token_left_breaks_off_alone(
    tiny_vlm: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = TorchEngine(tiny_vlm, 2, 512, together=2)
    prompts = [engine.read(chat) for chat in chats(2)]
    bias = (("2", float("-inf")), ("3", float("-inf")))
    stuck = engine.check(Wanted(Sampling(0, logit_bias=bias), Constraint("choice", ["12", "13"])))
    talks = [talk for talk, _ in engine.begin(prompts, [stuck, WANTED])]
    assert [talk.ended for talk in talks] == ["", ""]
    tokens = [engine.advance(talks)[1]]
    assert [talk.ended for talk in talks] == ["broken", ""]
    engine.end(talks[0])
    tokens += engine.advance(talks[1:])
    (alone,) = answer(engine, prompts[1:], 3)
    assert [token.chosen.id for token in tokens] == [token.chosen.id for token in alone[1:]]
    assert not caplog.records  # a client's doing, no error of ours
    monkeypatch.setattr(talks[1].sampler, "choose", lambda *_: 1 / 0)
    assert engine.advance(talks[1:])[0].data == b"" and talks[1].ended == "broken"
    assert "ZeroDivisionError" in caplog.text


def test_a_plain_answer_that_fails_breaks_off_alone_unless_the_device_is_lost() -> None:
    def failing(error: Exception) -> Iterator[str]:
        yield "a"
        raise error

    vlm = ScriptedVlm(lines_from([{"text": "quack quack quack"}]))
    engine = PlainEngine(vlm, 1024)
    prompt = engine.read([Turn("user", ("?",))])
    ((good, _),) = engine.begin([prompt], [Wanted()])
    vlm.generate = lambda *_: failing(AnswerError("odd"))  # type: ignore[method-assign]
    ((bad, _),) = engine.begin([prompt], [Wanted()])
    assert [token.data for token in engine.advance([bad, good])] == [b"", b" quack"]
    assert (bad.ended, good.ended) == ("broken", "")
    vlm.generate = lambda *_: failing(DeviceLostError("gone"))  # type: ignore[method-assign]
    ((lost, _),) = engine.begin([prompt], [Wanted()])
    with pytest.raises(DeviceLostError):
        engine.advance([lost, good])


class Counting(PlainEngine):
    """Takes four at once, says how many came, and refuses those whose prompt says so."""

    together = 4

    def __init__(self) -> None:
        super().__init__(ScriptedVlm(lines_from([{"text": "quack"}])), 1024)
        self.sizes: List[int] = []

    def begin(self, prompts: Sequence[Prompt], wanted: Sequence[Wanted]) -> Any:
        self.sizes.append(len(prompts))
        if any("broken" in prompt.inner[1] for prompt in prompts):
            raise bad_request("broken")
        return [pair for prompt in prompts for pair in super(Counting, self).begin([prompt], wanted)]


def ends_of(words: Sequence[str], slots: int) -> tuple[List[int], Dict[str, Any]]:
    """How many prompts were begun at once, and how each ended; all are there before the model's thread is free."""
    engine, ends, free, all_ended = Counting(), {}, threading.Event(), threading.Event()  # type: ignore[var-annotated]

    def between(work: Any) -> None:
        free.wait(30)
        work()

    def sink(word: str) -> Any:
        def take(item: object) -> None:
            if not isinstance(item, Piece) or item.ended:
                ends[word] = item
                if len(ends) == len(words):
                    all_ended.set()

        return take

    scheduler = Scheduler(engine, between, slots, 16)
    for word in words:
        prompt = engine.read([Turn("user", (word,))])
        scheduler.submit([Job(prompt, Wanted(), 1, (), float("inf"), sink(word))])
    free.set()
    assert all_ended.wait(30)
    scheduler.close()
    return engine.sizes, ends


def test_who_waits_together_is_begun_together_as_far_as_slots_go() -> None:
    sizes, ends = ends_of([f"duck {number}" for number in range(9)], slots=3)
    assert sum(sizes) == 9 and max(sizes) == 3
    assert {end.ended for end in ends.values()} == {"length"}


def test_nobody_fails_for_anothers_sake() -> None:
    _, ends = ends_of(["duck", "broken", "goose", "swan", "broken too"], slots=4)
    assert {word for word, end in ends.items() if isinstance(end, Piece)} == {"duck", "goose", "swan"}
    assert all(ends[word].status == 400 for word in ("broken", "broken too"))


class Endless(PlainEngine):
    """Never at the end of an answer, and tells what it did."""

    def __init__(self) -> None:
        super().__init__(ScriptedVlm(lines_from([{"text": "quack"}])), 1024)
        self.did: List[str] = []

    def begin(self, prompts: Sequence[Prompt], wanted: Sequence[Wanted]) -> Any:
        del wanted
        self.did.append("begin")
        return [(SimpleNamespace(ended="", pieces=None), Token(b"quack")) for _ in prompts]

    def advance(self, talks: Sequence[Any]) -> List[Token]:
        self.did.append("advance")
        return [Token(b"quack") for _ in talks]


def test_prompts_that_never_cease_keep_no_answer_from_its_next_token_and_its_end() -> None:
    """Three askers of one token each, who ask again at once: there is always a prompt that waits and a slot for it."""
    engine, ended, did = Endless(), threading.Event(), []  # type: ignore[var-annotated]
    prompt = engine.read([Turn("user", ("?",))])
    scheduler = Scheduler(engine, lambda work: work(), 4, 16)

    def end(item: object) -> None:
        assert isinstance(item, Piece)
        if item.ended == "length":
            did.extend(engine.did)
            ended.set()

    long = Job(prompt, Wanted(), -1, (), float("inf"), end)

    def ask_again(_: object) -> None:
        if engine.did.count("begin") >= 20:
            long.ends_s = 0.0  # its deadline has passed
        if not ended.is_set():
            scheduler.submit([Job(prompt, Wanted(), 1, (), float("inf"), ask_again)])

    scheduler.submit([long])
    for _ in range(3):
        scheduler.submit([Job(prompt, Wanted(), 1, (), float("inf"), ask_again)])
    assert ended.wait(30)
    scheduler.close()
    assert did.count("begin") == 20 and "begin begin" not in " ".join(did)
