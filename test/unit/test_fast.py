"""Every shortcut against the plain way: alone, all together, in float32 and bfloat16, in any mixture of pictures."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import saved, tiny_model, tiny_tokenizer

from duck_protection.question import Choice, Question
from duck_protection.verdict import FALLBACK, Level, judge
from duck_protection.vlm.checkpoints import Checkpoint, load_checkpoint
from duck_protection.vlm.fast import KEPT_PICTURES, FastPath
from duck_protection.vlm.fastvlm import FastVlm
from duck_protection.vlm.folding import fold
from duck_protection.vlm.graphs import Recorded, rerun
from duck_protection.vlm.measuring import measure
from duck_protection.vlm.optimisations import ALL, NONE, Optimisations, parsed
from duck_protection.vlm.pixels import Uploader, resized, with_pillow
from duck_protection.vlm.plain import PlainPath
from duck_protection.vlm.prefill import KEPT_SHAPES, KEPT_TOKENS, Prefill
from duck_protection.vlm.prompts import Prompts
from duck_protection.vlm.steps import Steps

NAMES = [one.name for one in fields(Optimisations) if one.name != "compiled"]
CHOICES = (Choice("Clear", Level.CLEAR), Choice("Slow", Level.SLOW), Choice("Stop", Level.STOP))
QUESTION = Question("road", 1, "Is a duck in your way?", CHOICES)
LONGER = replace(QUESTION, prompt="Is a duck in your way? Look well, it is small and yellow.")
EVERYTHING = replace(ALL, compiled=False)
BEFORE = replace(QUESTION, picture_last=True)
# Which picture, and which question; the last ones stand before it.
SHOWN = st.tuples(st.integers(0, 6), st.sampled_from([QUESTION, LONGER, BEFORE, replace(LONGER, picture_last=True)]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = tiny_tokenizer(QUESTION)
    return saved(tiny_model(tokenizer, text_layers=3), tokenizer, QUESTION, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Checkpoint:
    return load_checkpoint(str(folder), "cpu")


def fresh(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> Any:
    return copy.deepcopy(checkpoint.model).to(dtype)


def prompts(checkpoint: Checkpoint, *, image_first: bool = True) -> Prompts:
    return Prompts(checkpoint.tokenizer, checkpoint.image_tokens, 1000, image_first=image_first)


def path(
    checkpoint: Checkpoint, chosen: Optimisations, dtype: torch.dtype = torch.float32, *, image_first: bool = True,
    batches: Sequence[int] = (1, 2, 4),
) -> FastPath:  # fmt: skip
    """The fast path with the graphs' fixed memory, where graphs are chosen: only the recording itself is not CUDA's."""
    cut, cpu = prompts(checkpoint, image_first=image_first), torch.device("cpu")
    capture = rerun if chosen.graphs else None
    return FastPath(fresh(checkpoint, dtype), checkpoint.side_px, cut, chosen, cpu, capture, batches)


def frames(count: int) -> list[np.ndarray]:
    """Read-only, as decode() gives them; sizes differ."""
    chance = np.random.default_rng(3)
    made = [chance.integers(0, 255, (48, (64, 40)[place % 2], 3)).astype(np.uint8) for place in range(count)]
    for frame in made:
        frame.setflags(write=False)
    return made


def replies(
    way: Any, pictures: Sequence[np.ndarray], asked: Sequence[Question], checkpoint: Checkpoint, *, exact: bool
) -> list:
    cut = prompts(checkpoint)
    states, logits = way.logits(pictures, [cut.asked(one.prompt, picture_last=one.picture_last) for one in asked])
    ids = [[checkpoint.tokenizer.token_to_id(word) for word in one.words] for one in asked]
    head = checkpoint.model.lm_head.weight if exact else None
    return measure(logits.clone(), ids, states, head)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", [*NAMES, "everything", *(f"all but {name}" for name in NAMES)])
def test_a_shortcut_changes_no_verdict(name: str, dtype: torch.dtype, checkpoint: Checkpoint) -> None:
    chosen = EVERYTHING if name == "everything" else replace(NONE, **{name: True}) if name in NAMES else replace(
        EVERYTHING, **{name.rpartition(" ")[2]: False})  # fmt: skip
    plain = PlainPath(fresh(checkpoint, dtype), checkpoint.side_px, prompts(checkpoint).end)
    fast, pictures, asked = path(checkpoint, chosen, dtype), frames(4), [QUESTION, LONGER, QUESTION, BEFORE]
    fast.warm_up(QUESTION.prompt)
    wanted = replies(plain, pictures, asked, checkpoint, exact=False)
    # On the device the resize may differ by one of 255 levels; otherwise only the order of sums changes.
    within = 1e-2 if dtype is torch.bfloat16 or chosen.device_pixels else 1e-5
    for _ in range(2):  # the second time pictures and prefix are kept
        got = replies(fast, pictures, asked, checkpoint, exact=chosen.exact_rows)
        for one, other in zip(got, wanted):
            assert one.probabilities == pytest.approx(other.probabilities, abs=within)
            assert one.off_mass == pytest.approx(other.off_mass, abs=within)


def test_levels_are_the_same_in_bfloat16(folder: Path) -> None:
    """Judged with thresholds, as the robot does it; a level may differ only where a probability lies on a threshold."""
    fast, plain = (FastVlm(str(folder), "cpu", "bfloat16", chosen) for chosen in (ALL, NONE))
    for picture in frames(6):
        one, other = fast.choose([picture], [QUESTION])[0], plain.choose([picture], [QUESTION])[0]
        levels = [choice.level for choice in CHOICES]
        assert (
            judge(one, levels, FALLBACK, allow_uncalibrated=True).level
            is judge(other, levels, FALLBACK, allow_uncalibrated=True).level
        )


@pytest.fixture(scope="module")
def both(checkpoint: Checkpoint) -> tuple[FastPath, PlainPath]:
    fast = path(checkpoint, replace(EVERYTHING, device_pixels=False))
    fast.warm_up("")
    return fast, PlainPath(fresh(checkpoint), checkpoint.side_px, prompts(checkpoint).end)


@settings(max_examples=25, deadline=None)
@given(calls=st.lists(st.lists(SHOWN, min_size=1, max_size=9), min_size=1, max_size=4))
def test_any_mixture_of_new_known_and_repeated_pictures(
    calls: list[list[tuple[int, Question]]], both: tuple[FastPath, PlainPath], checkpoint: Checkpoint
) -> None:
    fast, plain = both
    pictures = frames(7)
    for call in calls:
        shown, asked = [pictures[number] for number, _ in call], [question for _, question in call]
        got, wanted = (replies(way, shown, asked, checkpoint, exact=False) for way in (fast, plain))
        for one, other in zip(got, wanted):
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
            assert one.likeliest == other.likeliest


@pytest.mark.parametrize("chosen", [EVERYTHING, replace(NONE, prefix_kept=True), NONE], ids=["all", "prefix", "none"])
def test_question_first(chosen: Optimisations, checkpoint: Checkpoint, folder: Path) -> None:
    plain = PlainPath(fresh(checkpoint), checkpoint.side_px, prompts(checkpoint).end)
    fast = path(checkpoint, replace(chosen, device_pixels=False), image_first=False)
    fast.warm_up(QUESTION.prompt, [prompts(checkpoint, image_first=False).asked(QUESTION.prompt)])
    cut = prompts(checkpoint, image_first=False)
    asked = [cut.asked(one.prompt) for one in (QUESTION, LONGER, QUESTION)]
    for _ in range(2):
        got, wanted = (way.logits(frames(3), asked)[1] for way in (fast, plain))
        assert torch.allclose(got, wanted, atol=1e-4)
    other = FastVlm(str(folder), "cpu", image_first=False)
    assert other.identity.backend == "fastvlm-question-first"  # the records of the usual order do not serve it


def test_steps_read_no_value_and_no_memory_of_the_cpu(checkpoint: Checkpoint) -> None:
    """What a CUDA graph must not contain. On the meta device there are no values, and tensors of a CPU do not mix."""
    model = fresh(checkpoint).to("meta")
    for chosen in (EVERYTHING, replace(NONE, image_kept=True)):
        steps = Steps(model, replace(chosen, folded=False))
        squares = torch.empty((2, 3, 128, 128), dtype=torch.uint8, device="meta")
        words = torch.empty((2, 16), dtype=torch.long, device="meta")
        last = torch.empty(2, dtype=torch.long, device="meta")
        with torch.inference_mode():
            prefix = steps.prefix(words[:1])
            kept = steps.look(squares, words, words, last)[2]
            assert kept.shape[-2] == 16 + 4
            assert steps.look_after(squares, prefix, words, last)[2].shape == kept.shape
            assert steps.again(kept, words, last)[1].shape == (2, checkpoint.model.config.text_config.vocab_size)


def test_steps_are_one_graph_for_torch_compile(checkpoint: Checkpoint) -> None:
    steps = Steps(fresh(checkpoint), EVERYTHING)
    squares = torch.randint(0, 255, (2, 3, 128, 128), dtype=torch.uint8)
    words, last = torch.arange(32).reshape(2, 16), torch.tensor([15, 9])
    with torch.inference_mode():
        prefix = steps.prefix(words[:1])
        wanted = steps.look_after(squares, prefix, words, last)
        compiled = torch.compile(steps.look_after, backend="aot_eager", fullgraph=True, dynamic=False)
        for one, other in zip(compiled(squares, prefix, words, last), wanted):
            assert torch.allclose(one, other, atol=1e-5)


def test_a_recorded_step_reads_its_inputs_anew_and_keeps_its_outputs_place() -> None:
    step = Recorded(lambda one, other: (one * other, one + other), (torch.ones(3), torch.ones(3)), rerun)
    product, total = step(torch.tensor([1.0, 2.0, 3.0]), torch.full((3,), 2.0))
    assert (product.tolist(), total.tolist()) == ([2, 4, 6], [3, 4, 5])
    again, _ = step(torch.zeros(3), torch.ones(3))
    assert again.data_ptr() == product.data_ptr()
    assert product.tolist() == [0, 0, 0]


def test_the_prefill_is_qwens(checkpoint: Checkpoint) -> None:
    text = fresh(checkpoint).model.language_model
    embedded = torch.randn((2, 20, 64), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = text(inputs_embeds=embedded, use_cache=True)
        last = torch.tensor([19, 11])
        state, kept = Prefill(text, fused=True)(embedded, last, None, 20)
        assert torch.allclose(state, wanted.last_hidden_state[[0, 1], last], atol=1e-5)
        for number, layer in enumerate(wanted.past_key_values.layers):
            assert torch.allclose(kept[number, 0], layer.keys, atol=1e-5)
            assert torch.allclose(kept[number, 1], layer.values, atol=1e-5)
        half = Prefill(text, fused=True)(embedded[:, 12:], last[:1].expand(2) - 12, kept[..., :12, :], 0)[0]
        assert torch.allclose(half, wanted.last_hidden_state[:, 19], atol=1e-5)


def test_many_lengths_of_prompts_are_read_right_and_only_the_first_are_kept(checkpoint: Checkpoint) -> None:
    text = fresh(checkpoint).model.language_model
    prefill = Prefill(text, fused=True)
    embedded = torch.randn((1, 60, 64), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = prefill(embedded[:, :5], torch.tensor([4]), None, 5)[1]
        first = None
        for length in (*range(6, 56), 6):
            last = torch.tensor([length - 6])
            state, _ = prefill(embedded[:, 5:length], last, before, 0)
            wanted = text(inputs_embeds=embedded[:, :length]).last_hidden_state[:, -1]
            assert torch.allclose(state, wanted, atol=1e-5)
            first = first or prefill._masks[5, 1].data_ptr()
        assert prefill._masks[5, 1].data_ptr() == first  # what graphs read stays where it is
        assert len(prefill._masks) == len(prefill._turns) == KEPT_SHAPES
        prefill = Prefill(text, fused=True)
        prefill(torch.zeros((1, KEPT_TOKENS + 1 - 5, 64)), torch.tensor([0]), before, 0)
        assert not prefill._masks and not prefill._turns  # one of them could fill a memory


def test_fused_weights_are_not_there_twice(checkpoint: Checkpoint) -> None:
    model = fresh(checkpoint)
    text = model.model.language_model
    Prefill(text, fused=True)
    attention, mlp = text.layers[0].self_attn, text.layers[0].mlp
    for parts in ((attention.q_proj, attention.k_proj, attention.v_proj), (mlp.gate_proj, mlp.up_proj)):
        assert len({part.weight.untyped_storage().data_ptr() for part in parts}) == 1
    before = [part.weight.data_ptr() for part in (attention.q_proj, attention.v_proj, mlp.up_proj)]
    Prefill(text, fused=True)  # a second engine over the same weights
    assert [part.weight.data_ptr() for part in (attention.q_proj, attention.v_proj, mlp.up_proj)] == before
    ids = torch.arange(6)[None]
    with torch.inference_mode():
        assert torch.equal(model(input_ids=ids).logits, fresh(checkpoint)(input_ids=ids).logits)


def test_folding_takes_94_operations_out_of_the_full_tower() -> None:
    import timm

    torch.manual_seed(2)
    tower = timm.create_model("fastvit_mci3", inference_mode=True, embed_dims=(8, 8, 16, 32, 32), num_classes=0).eval()
    with torch.no_grad():
        for name, value in [*tower.named_parameters(), *tower.named_buffers()]:
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif name.endswith(("bn.weight", "gamma")):
                value.uniform_(0.3, 0.6)
            elif name.endswith(("running_mean", "bias")):
                value.normal_(std=0.1)
    pixels = torch.rand((1, 3, 128, 128))
    with torch.inference_mode():
        wanted = tower.forward_features(pixels)
        assert fold(tower) == 94
        assert fold(tower) == 0
        got = tower.forward_features(pixels)
    assert wanted.std() > 1e-3
    assert (got - wanted).abs().max() < 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (400, 400), (1080, 1920)])
def test_the_devices_resize_is_pillows(shape: tuple[int, int]) -> None:
    frame = np.random.default_rng(5).integers(0, 255, (*shape, 3)).astype(np.uint8)
    ours = resized(torch.from_numpy(frame.copy()), 1024).int()
    theirs = with_pillow(frame, 1024).int()
    assert (ours - theirs).abs().max() <= 1
    assert (ours != theirs).float().mean() < 1e-3


def test_the_uploader_mixes_no_frames() -> None:
    upload, shown = Uploader(128, torch.device("cpu")), frames(4)
    for _ in range(2):
        for square, frame in zip(upload(shown), shown):
            assert (square.int() - with_pillow(frame, 128).int()).abs().max() <= 1
        shown = shown[::-1]


def test_sizes_that_cannot_be_recorded_are_computed_without(checkpoint: Checkpoint, caplog: Any) -> None:
    """A card that has room for recordings of up to two pictures."""

    def small_card(run: Any) -> Any:
        if len(run()[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return rerun(run)

    cut = prompts(checkpoint)
    fast = FastPath(fresh(checkpoint), checkpoint.side_px, cut, EVERYTHING, torch.device("cpu"), small_card, (1, 2, 4))
    asked = cut.asked(QUESTION.prompt)
    assert fast.warm_up("", [asked]) == 3  # looks at one and at two, and one further question
    assert "no graphs for batches of 4" in caplog.text
    assert fast.logits(frames(4), [asked] * 4)[1].shape[0] == 4


def test_a_frame_that_changes_is_a_new_picture(folder: Path) -> None:
    """The caller may write into the same array; a kept answer must not survive that."""
    vlm, frame = FastVlm(str(folder), "cpu"), frames(1)[0].copy()
    before = vlm.choose([frame], [QUESTION])[0]
    frame[20:40, 10:50] = 255 - frame[20:40, 10:50]
    after = vlm.choose([frame], [QUESTION])[0]
    assert after.probabilities == FastVlm(str(folder), "cpu").choose([frame], [QUESTION])[0].probabilities
    assert after.probabilities != before.probabilities


def test_a_known_picture_is_not_looked_at_again_and_memory_is_bounded(folder: Path) -> None:
    vlm, looks = FastVlm(str(folder), "cpu"), []
    tower = vlm.checkpoint.model.model.vision_tower.timm_model
    tower.stem.register_forward_hook(lambda *_: looks.append(1))
    shown = frames(KEPT_PICTURES + 1)
    for frame in shown:
        vlm.choose([frame], [QUESTION])
    assert len(looks) == KEPT_PICTURES + 1
    vlm.choose([shown[-1]], [LONGER])
    vlm.choose([shown[-1].copy(), shown[-2]], [QUESTION, LONGER])
    assert len(looks) == KEPT_PICTURES + 1
    dot = shown[-1].copy()
    dot[1, 1, 2] ^= 1
    vlm.choose([dot], [QUESTION])  # one level of one pixel is another picture
    assert len(looks) == KEPT_PICTURES + 2
    vlm.choose([shown[0]], [QUESTION])  # long gone
    assert len(looks) == KEPT_PICTURES + 3


def test_a_question_before_its_picture_goes_the_fast_way_too(folder: Path) -> None:
    """It sent its whole batch the plain way."""
    vlm, plainly = FastVlm(str(folder), "cpu"), []
    vlm.checkpoint.model.model.language_model.register_forward_hook(lambda *_: plainly.append(1))
    looks: list[int] = []
    tower = vlm.checkpoint.model.model.vision_tower.timm_model
    tower.stem.register_forward_hook(lambda _, inputs, __: looks.append(len(inputs[0])))
    first, second = frames(2)
    vlm.choose([first, first, second], [QUESTION, BEFORE, BEFORE])
    assert (plainly, looks) == ([], [1, 2])
    vlm.choose([first, second], [LONGER, BEFORE])
    assert looks[2:] == [1]  # the first one is known, the second is not: what was kept would be its question's
    wanted = vlm.choose([second], [QUESTION])[0]
    assert looks[3:] == [1]
    assert wanted.probabilities == FastVlm(str(folder), "cpu").choose([second], [QUESTION])[0].probabilities


def test_exact_rows_resolve_what_bfloat16_cannot() -> None:
    """Two words whose logits differ by less than a step of bfloat16 get different probabilities."""
    states = torch.full((1, 64), 2.0, dtype=torch.bfloat16)
    head = torch.full((8, 64), 0.125, dtype=torch.bfloat16)
    head[1, 0] = 0.1328125  # 16.0156 where a step is 0.125
    rounded = (states @ head.T).float()
    assert rounded[0, 0] == rounded[0, 1]
    (plain,), (exact,) = measure(rounded.clone(), [[0, 1]]), measure(rounded.clone(), [[0, 1]], states, head)
    assert plain.probabilities == (0.5, 0.5)
    assert exact.probabilities[1] == pytest.approx(1 / (1 + np.exp(-0.015625)), abs=1e-6)


def test_optimisations_are_read_from_words() -> None:
    assert parsed("all") == parsed("") == ALL
    assert parsed("none") == NONE
    assert not NONE.any
    assert parsed("all, -graphs") == parsed("-graphs") == replace(ALL, graphs=False)
    assert parsed("none,+folded,+fused") == replace(NONE, folded=True, fused=True)
    for wrong in ("fast", "all,graphs", "all,-grahps", "-all"):
        with pytest.raises(ValueError, match="optimisations are all or none"):
            parsed(wrong)


def test_what_means_nothing_on_a_device_is_left_out() -> None:
    assert ALL.on("cuda:0") == ALL
    assert (ALL.on("cpu").graphs, ALL.on("cpu").device_pixels, ALL.on("cpu").buckets) == (False, False, False)
    assert not replace(ALL, graphs=False).on("cuda").buckets
