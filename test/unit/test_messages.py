"""Frames, questions and verdicts as messages: nothing is lost on the way, and an answer must repeat its question."""
from __future__ import annotations

import io
import math

import numpy as np
import pytest

pytest.importorskip("duck_protection.msg", reason="needs the built messages: ./run test")

import rospy
from duck_protection.msg import DuckVerdict
from duck_protection.srv import InferImageRequest, InferImageResponse
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from duck_protection.frames import FrameError, decode
from duck_protection.nodes import messages
from duck_protection.nodes.asking import REFUSALS
from duck_protection.question import Question
from duck_protection.verdict import Identity, Judgement, Level, Reply, Timings

STAMP = rospy.Time(1_700_000_000, 123_456_789)
share = st.floats(0.0, 1.0, width=32)
replies = st.builds(
    Reply,
    st.tuples(share, share, share),
    share,
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.builds(Identity, *[st.sampled_from(["duckling", "rev 1", ""])] * 4),
    st.builds(Timings, *[st.floats(0.0, 1e4, width=32)] * 3),
)


def over_the_wire(message: object) -> object:
    """As another process would get it."""
    content = io.BytesIO()
    message.serialize(content)
    return type(message)().deserialize(content.getvalue())


def test_levels_have_the_same_numbers_everywhere() -> None:
    constants = {name: getattr(DuckVerdict, name) for name in ("UNKNOWN", "CLEAR", "SLOW", "STOP")}
    assert constants == {level.name: level.value for level in Level}
    assert DuckVerdict().level == Level.UNKNOWN


def test_every_status_but_ok_has_a_counter_and_a_reason() -> None:
    statuses = {
        value for name, value in vars(InferImageResponse).items() if name.isupper() and isinstance(value, int)
    }
    assert statuses - {InferImageResponse.OK} == set(REFUSALS)
    assert all(reason.split(":")[0] in {"model", "unreadable"} for _, reason in REFUSALS.values())


@given(replies)
def test_a_reply_arrives_as_it_was_given(reply: Reply) -> None:
    request = InferImageRequest(choices=["Clear", "Slow", "Stop"])
    request.image.header.stamp = STAMP
    response = over_the_wire(messages.response_to(request, reply))
    assert messages.reply_from(response) == reply
    assert messages.echoes(request, response)
    assert response.status == InferImageResponse.OK


def test_an_answer_to_another_frame_or_question_is_no_echo(road: Question) -> None:
    picture = CompressedImage(header=Header(stamp=STAMP))
    request = messages.choice_request(picture, road, 0.25)
    good = {"stamp": STAMP, "choices": list(road.words)}
    assert messages.echoes(request, InferImageResponse(**good))
    for bad in (
        {"stamp": STAMP + rospy.Duration(0, 1)},
        {"stamp": rospy.Time()},
        {"choices": []},
        {"choices": ["Clear", "Slow"]},
        {"choices": ["Slow", "Clear", "Stop"]},
    ):
        assert not messages.echoes(request, InferImageResponse(**{**good, **bad}))


@given(replies, st.sampled_from(list(Level)), st.booleans())
def test_a_verdict_says_everything(reply: Reply, level: Level, calibrated: bool) -> None:
    header = Header(stamp=STAMP, frame_id="camera")
    made = messages.verdict_message(header, Judgement(level, "a: b"), "road@1", ("x", "y", "z"), reply, calibrated, 5.0)
    verdict = over_the_wire(made)
    assert (verdict.header.stamp, verdict.header.frame_id) == (STAMP, "camera")
    assert (verdict.level, verdict.reason, verdict.question, verdict.age_ms) == (level, "a: b", "road@1", 5.0)
    assert (tuple(verdict.probabilities), verdict.off_mass, verdict.calibrated) == (
        reply.probabilities, reply.off_mass, calibrated,
    )  # fmt: skip
    identity = (verdict.model, verdict.revision, verdict.backend)
    assert identity == (reply.identity.model, reply.identity.revision, reply.identity.backend)
    assert (verdict.decode_ms, verdict.wait_ms, verdict.infer_ms) == tuple(vars(reply.timings).values())


def test_a_verdict_without_a_reply_claims_nothing() -> None:
    verdict = messages.verdict_message(Header(), Judgement(Level.UNKNOWN, "camera: silent"), "road@1")
    assert (verdict.probabilities, verdict.choices, verdict.model, verdict.calibrated) == ([], [], "", False)


def test_a_compressed_picture_keeps_its_bytes(jpeg: bytes) -> None:
    message = CompressedImage(header=Header(stamp=STAMP), data=jpeg)
    frame = messages.frame_from(message, 7.0, 8.0)
    assert messages.picture_of(frame) is message
    assert (frame.arrival.stamp_s, frame.arrival.clock_s, frame.arrival.mono_s) == (
        pytest.approx(STAMP.to_sec()), 7.0, 8.0,
    )  # fmt: skip


@pytest.mark.parametrize("padding", [0, 1, 2, 3, 10])
def test_a_raw_picture_arrives_pixel_by_pixel_whatever_its_rows_padding(picture: np.ndarray, padding: int) -> None:
    pytest.importorskip("cv_bridge")
    height, width = picture.shape[:2]
    for encoding, pixels in (("rgb8", picture), ("bgr8", picture[:, :, ::-1])):
        rows = pixels.reshape(height, -1)
        rows = np.concatenate([rows, np.full((height, padding), 77, np.uint8)], axis=1)
        message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1], data=rows.tobytes())
        got = messages.picture_of(messages.frame_from(message, 0.0, 0.0))
        np.testing.assert_array_equal(decode(got.data), picture)


sizes = st.integers(0, 2**32 - 1) | st.integers(0, 20)


@given(sizes, sizes, sizes, st.sampled_from(["rgb8", "bgr8", "mono8", "", "bayer_rggb8"]), st.binary(max_size=1300))
def test_any_raw_message_is_a_picture_or_a_frame_error(
    height: int, width: int, step: int, encoding: str, data: bytes
) -> None:
    message = Image(height=height, width=width, step=step, encoding=encoding, data=data)
    try:
        got = messages.picture_of(messages.frame_from(message, 0.0, 0.0))
    except FrameError as err:
        assert err.code in {"empty", "encoding", "unreadable"}
    else:
        assert got.data.startswith(b"P6 %d %d 255\n" % (width, height))
        assert len(data) == step * height > 0


def test_a_stamp_that_is_nothing_is_zero() -> None:
    frame = messages.frame_from(CompressedImage(), 1.0, 2.0)
    assert frame.arrival.stamp_s == 0.0
    assert math.isfinite(frame.arrival.stamp_s)
    with pytest.raises(FrameError, match="no bytes"):
        messages.picture_of(frame)
