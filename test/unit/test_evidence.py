"""Which frames are evidence: stamps that lie, clocks that jump, cameras that repeat themselves."""
from __future__ import annotations

import math
from typing import List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck_protection.evidence import REMEMBERED, Arrival, Bounds, Evidence, Weight

WALL_S = 1_700_000_000.0  # a day in 2023, seconds since 1970
BOUNDS = Bounds(max_age_s=0.4, max_offset_s=2.0, jump_s=0.1)


class Camera:
    """Frames at 30 Hz whose stamps, pictures and delays a test may bend."""

    def __init__(self) -> None:
        self.evidence = Evidence(BOUNDS)
        self.mono_s = 100.0
        self.wall_s = WALL_S
        self.pictures = 0

    def frame(
        self, lag_s: float = 0.005, waited_s: float = 0.001, picture: int = -1, stamp_s: float = math.nan
    ) -> Weight:
        self.mono_s += 1 / 30
        self.pictures += 1
        clock_s = self.wall_s + self.mono_s
        stamp_s = clock_s - lag_s if math.isnan(stamp_s) else stamp_s
        shown = bytes([picture]) if picture >= 0 else b"new%d" % self.pictures
        return self.evidence.weigh(Arrival(stamp_s, clock_s, self.mono_s), shown, self.mono_s + waited_s)


@pytest.mark.parametrize(
    ("lag_s", "code"),
    [
        (0.005, ""),  # as from a synchronised robot
        (-0.010, ""),  # its clock leads a little
        (1.999, ""),  # an offset within the bound: nothing tells it from a slow network
        (-1.999, ""),
        (2.001, "stamp"),  # just beyond
        (-2.001, "stamp"),
        (100.0, "stamp"),
        (math.inf, "stamp"),
        (-math.inf, "stamp"),
    ],
)
def test_stamps_beyond_the_bound_are_no_evidence(lag_s: float, code: str) -> None:
    assert Camera().frame(lag_s).code == code


@pytest.mark.parametrize("stamp_s", [0.0, -1.0, math.inf, -math.inf])
def test_a_stamp_that_is_none_is_no_evidence(stamp_s: float) -> None:
    weight = Camera().frame(stamp_s=stamp_s)
    assert (weight.code, weight.reason) == ("stamp", "stamp: the frame has none")


@pytest.mark.parametrize("lag_s", [100.0, -100.0, 2.5, -2.5, math.inf])
def test_one_lying_stamp_does_not_spoil_the_next_frames(lag_s: float) -> None:
    camera = Camera()
    assert camera.frame().code == ""
    assert camera.frame(lag_s).code == "stamp"
    assert camera.frame().code == ""


def test_a_stamp_ahead_within_the_bound_costs_one_more_frame() -> None:
    """It cannot be told from a clock that was set; the next true stamp goes back, the one after counts again."""
    camera = Camera()
    codes = [camera.frame(lag_s).code for lag_s in (0.005, -1.5, 0.005, 0.005)]
    assert codes == ["", "", "stamp", ""]


def test_a_frame_is_late_when_it_came_late_or_waited_too_long() -> None:
    camera = Camera()
    assert camera.frame().code == ""
    camera.mono_s += 1.0
    assert camera.frame(lag_s=0.39).code == ""
    camera.mono_s += 1.0
    assert camera.frame(lag_s=0.45).code == "late"
    assert camera.frame(waited_s=0.5).code == "late"
    assert camera.frame().code == ""


def test_a_constant_offset_is_no_age() -> None:
    camera = Camera()
    ages = [camera.frame(lag_s=1.5 + extra_s).age_s for extra_s in (0.0, 0.02, 0.0)]
    assert ages == pytest.approx([0.001, 0.021, 0.001], abs=1e-6)


def test_a_repeated_picture_is_no_evidence_under_any_stamp() -> None:
    camera = Camera()
    assert [camera.frame(picture=7).code for _ in range(4)] == ["", "repeated", "repeated", "repeated"]
    assert camera.frame(picture=8).code == ""


def test_a_stuck_ring_of_buffers_is_a_frozen_camera_too() -> None:
    camera = Camera()
    codes = [camera.frame(picture=number % 4).code for number in range(12)]
    assert codes == [""] * 4 + ["repeated"] * 8


def test_a_picture_may_come_back_after_many_others() -> None:
    camera = Camera()
    codes = [camera.frame(picture=number % (REMEMBERED + 1)).code for number in range(2 * REMEMBERED + 2)]
    assert set(codes) == {""}


def test_the_same_stamp_again_is_no_evidence_even_with_another_picture() -> None:
    camera = Camera()
    stamp_s = WALL_S + 100.03
    assert [camera.frame(stamp_s=stamp_s).code for _ in range(3)] == ["", "repeated", "repeated"]


@pytest.mark.parametrize("jump_s", [0.11, -0.11, 3600.0, -3600.0])
def test_a_jump_of_our_clock_costs_one_frame_and_the_estimate(jump_s: float) -> None:
    camera = Camera()
    assert camera.frame().code == ""
    camera.wall_s += jump_s  # the camera's stamps follow at once: frame() makes them from the same clock
    assert camera.frame().code == "clock"
    assert camera.frame().code == ""


def test_a_clock_at_zero_says_so() -> None:
    weight = Evidence(BOUNDS).weigh(Arrival(5.0, 0.0, 1.0), b"a", 1.0)
    assert weight.code == "clock"
    assert "/use_sim_time" in weight.reason


any_float = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(any_float, st.integers(0, 12)), max_size=30))
def test_whatever_the_stamps_evidence_rises_is_distinct_and_young(frames: List[Tuple[float, int]]) -> None:
    """The promise, over any stamps and pictures: also that every good frame after two good ones counts."""
    evidence = Evidence(BOUNDS)
    accepted: List[Tuple[float, bytes]] = []
    mono_s = 50.0
    for stamp_s, picture in frames:
        mono_s += 0.033
        weight = evidence.weigh(Arrival(stamp_s, WALL_S + mono_s, mono_s), b"%d" % picture, mono_s)
        assert weight.age_s >= 0 or weight.code
        assert (weight.code == "") == (weight.reason == "")
        if not weight.code:
            assert math.isfinite(stamp_s) and abs(WALL_S + mono_s - stamp_s) <= BOUNDS.max_offset_s
            assert b"%d" % picture not in [seen for _, seen in accepted[-1:]]
            accepted.append((stamp_s, b"%d" % picture))
    codes = []
    for number in range(3):
        mono_s += 0.033
        frame = Arrival(WALL_S + mono_s, WALL_S + mono_s, mono_s)
        codes.append(evidence.weigh(frame, b"good%d" % number, mono_s).code)
    assert codes[-1] == ""


@given(st.lists(st.floats(-1.9, 1.9), min_size=2, max_size=20))
def test_a_stamp_that_goes_back_is_never_evidence(lags_s: List[float]) -> None:
    camera = Camera()
    newest_s = -math.inf
    for lag_s in lags_s:
        stamp_s = camera.wall_s + camera.mono_s + 1 / 30 - lag_s
        weight = camera.frame(stamp_s=stamp_s)
        if stamp_s < newest_s:
            assert weight.code == "stamp"
        newest_s = stamp_s


def said(frame: Arrival, bounds: Bounds = BOUNDS, waited_s: float = 0.0) -> Weight:
    """What a first frame is worth."""
    return Evidence(bounds).weigh(frame, b"a", frame.mono_s + waited_s)


def test_each_refusal_says_what_is_wrong_and_how_old_the_frame_is() -> None:
    camera = Camera()
    good = camera.frame(picture=7)
    assert (good.code, good.reason, good.age_s) == ("", "", pytest.approx(0.006, abs=1e-6))
    same = camera.frame(picture=7)
    assert same.reason == "frozen: the camera repeats one picture" and same.age_s == pytest.approx(0.006, abs=1e-6)
    camera.mono_s += 1.0
    late = camera.frame(lag_s=0.45)
    assert (late.reason, late.age_s) == ("late: the frame came 0.45 s old", pytest.approx(0.451, abs=1e-6))


def test_how_far_a_stamp_went_back_is_told() -> None:
    evidence = Evidence(BOUNDS)
    assert evidence.weigh(Arrival(100.25, 100.25, 1.0), b"a", 1.0).code == ""
    assert evidence.weigh(Arrival(100.0, 100.3, 1.05), b"b", 1.05).reason == "stamp: went back by 0.250 s"


def test_a_stamp_that_cannot_be_true_is_told_with_its_sign() -> None:
    rest = "this machine's clock, at most 2.0 allowed"
    assert said(Arrival(100.0, 105.0, 1.0)).reason == f"stamp: 5.0 s behind {rest}"
    assert said(Arrival(105.0, 100.0, 1.0)).reason == f"stamp: 5.0 s ahead of {rest}"
    assert "0.8 s behind" in said(Arrival(100.0, 100.75, 1.0), Bounds(max_offset_s=0.5)).reason


def test_limits_are_exact() -> None:
    """In numbers that floating point holds exactly."""
    assert said(Arrival(100.0, 102.0, 1.0)).code == ""  # max_offset_s itself is allowed
    assert said(Arrival(100.0, 100.0, 64.0), Bounds(max_age_s=0.5), waited_s=0.5).code == "late"
    assert said(Arrival(0.5, 0.5, 1.0)).code == ""  # half a second after 1970 is a time
