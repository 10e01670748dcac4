"""The governor under every kind of evidence, silence and clock. `T` is a robot's wall clock of these years."""

from __future__ import annotations

import math
from typing import List, Optional, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duck_protection.governor import CORNER_M, Governor, Limits, Permit
from duck_protection.settings import SettingsError
from duck_protection.verdict import Level

T, MONO = 1.7e9, 500.0
CLEAR, SLOW, STOP, UNKNOWN = Level.CLEAR, Level.SLOW, Level.STOP, Level.UNKNOWN


class Drive:
    """A robot with one clock: frames come every 0.05 s, are judged 0.03 s later, the controller wants 0.19 m/s."""

    def __init__(self, limits: Optional[Limits] = None) -> None:
        self.governor = Governor(limits or Limits())
        self.now_s = 0.0
        self.clock_s = T  # the robot's wall clock at now_s 0

    def see(self, *levels: Level, period_s: float = 0.05, lag_s: float = 0.03) -> Tuple[float, float]:
        """The command right after the last of these frames was judged."""
        out = (0.0, 0.0)
        for level in levels:
            self.now_s += period_s
            self.hear(level, self.now_s - lag_s)
            out = self.command()
        return out

    def hear(self, level: Level, stamp_s: float) -> None:
        self.governor.hear(level, self.clock_s + stamp_s, self.clock_s + self.now_s, MONO + self.now_s)

    def command(self, v_mps: float = 0.19, omega_radps: float = 0.5) -> Tuple[float, float]:
        v, omega, _ = self.governor.command(v_mps, omega_radps, self.clock_s + self.now_s, MONO + self.now_s)
        return v, omega

    def wait(self, seconds: float) -> Tuple[float, float]:
        self.now_s += seconds
        return self.command()

    @property
    def reason(self) -> str:
        return self.governor.permit(self.clock_s + self.now_s, MONO + self.now_s).reason


@pytest.fixture
def driving() -> Drive:
    drive = Drive()
    assert drive.see(*[CLEAR] * 8) == (0.19, 0.5)
    return drive


def test_it_starts_at_zero() -> None:
    drive = Drive()
    assert drive.command() == (0.0, 0.0)
    assert drive.reason == "start: no verdict yet"


def test_leaving_takes_three_frames_and_0_3_seconds() -> None:
    drive = Drive()
    assert drive.see(*[CLEAR] * 6) == (0.0, 0.0)  # six frames span 0.25 s
    assert drive.see(CLEAR) == (0.19, 0.5)
    slowly = Drive()
    assert slowly.see(CLEAR, CLEAR, period_s=0.31) == (0.0, 0.0)  # 0.31 s, but two frames
    assert slowly.see(CLEAR, period_s=0.31) == (0.19, 0.5)


def test_leaving_with_a_slow_frame_among_them_is_slow() -> None:
    drive = Drive()
    assert drive.see(*[CLEAR] * 5, SLOW, CLEAR)[0] == pytest.approx(0.19 / 4)
    assert drive.see(*[CLEAR] * 4)[0] == pytest.approx(0.19 / 4)
    assert drive.see(CLEAR, CLEAR) == (0.19, 0.5)


def test_slow_is_a_quarter_with_the_same_curvature(driving: Drive) -> None:
    v, omega = driving.see(SLOW)
    assert (v, omega) == pytest.approx((0.19 / 4, 0.5 / 4))


def test_the_cap_keeps_curvature_and_sign(driving: Drive) -> None:
    assert driving.command(0.8, 2.0) == pytest.approx((0.2, 0.5))
    assert driving.command(-0.8, 2.0) == pytest.approx((-0.2, 0.5))
    assert driving.command(0.2, 1.0) == pytest.approx((0.2, 1.0))


@pytest.mark.parametrize("wanted_mps", [0.19, 0.8, 5.0, -0.8])
def test_slow_is_slow_for_a_fast_controller_too(driving: Drive, wanted_mps: float) -> None:
    """A quarter of 0.8 m/s is as fast as CLEAR permits: SLOW meant nothing to such a controller."""
    driving.see(SLOW)
    v_mps, omega_radps = driving.command(wanted_mps, wanted_mps)
    assert 0.045 < abs(v_mps) <= 0.05 + 1e-9 and omega_radps == pytest.approx(v_mps)


def test_blind_distance_is_at_most_eight_centimetres() -> None:
    assert Limits().cap_mps * Limits().max_age_s == pytest.approx(0.08)
    assert Limits(max_age_s=0.8).cap_mps == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [STOP, UNKNOWN])
def test_stop_and_unknown_act_at_once(driving: Drive, bad: Level) -> None:
    assert driving.see(bad) == (0.0, 0.0)
    assert driving.reason.startswith(bad.name)


def test_after_a_stop_the_usual_evidence_is_needed(driving: Drive) -> None:
    driving.see(STOP)
    driving.wait(0.5)
    driving.see(STOP, STOP)
    assert driving.see(*[SLOW] * 6) == (0.0, 0.0)
    assert driving.see(SLOW)[0] == pytest.approx(0.19 / 4)


def test_one_bad_frame_starts_the_count_again() -> None:
    drive = Drive()
    drive.see(*[CLEAR] * 6, UNKNOWN)
    assert drive.see(*[CLEAR] * 6) == (0.0, 0.0)
    assert drive.see(CLEAR) == (0.19, 0.5)


def test_a_stop_is_never_overruled_by_waiting(driving: Drive) -> None:
    """The predecessor replaced a third STOP by a turn, and drove at the duck that stayed."""
    for _ in range(2000):
        assert driving.see(STOP) == (0.0, 0.0)


@pytest.mark.parametrize(("wait_s", "drives"), [(0.28, True), (0.31, False)])
def test_silence_stops(wait_s: float, drives: bool) -> None:
    drive = Drive(Limits(max_age_s=1.0))
    drive.see(*[CLEAR] * 8)
    assert (drive.wait(wait_s)[0] > 0) == drives


@pytest.mark.parametrize(("age_s", "drives"), [(0.36, True), (0.375, False)])
def test_an_old_frame_stops_even_when_verdicts_go_on(age_s: float, drives: bool) -> None:
    """max_age_s is 0.40 with 0.03 s of camera latency on top of the stamp's age."""
    drive = Drive()
    drive.see(*[CLEAR] * 8)
    stamp_s = drive.now_s - 0.03
    for _ in range(3):
        drive.now_s = min(drive.now_s + 0.1, stamp_s + age_s)
        drive.hear(CLEAR, stamp_s)  # the steady tick repeats the same frame
    drive.now_s = stamp_s + age_s
    assert (drive.command()[0] > 0) == drives


def test_repeating_a_frame_is_no_evidence() -> None:
    drive = Drive()
    drive.hear(CLEAR, 0.0)
    for step in range(1, 8):
        drive.now_s = step * 0.05
        drive.hear(CLEAR, 0.0)
        assert drive.command() == (0.0, 0.0)


def test_the_tick_may_lower_the_level_of_a_frame_but_not_raise_it(driving: Drive) -> None:
    stamp_s = driving.now_s - 0.03
    driving.hear(SLOW, stamp_s)
    assert driving.command()[0] == pytest.approx(0.19 / 4)
    driving.hear(CLEAR, stamp_s)
    assert driving.command()[0] == pytest.approx(0.19 / 4)
    driving.hear(UNKNOWN, stamp_s)
    assert driving.command() == (0.0, 0.0)
    driving.hear(CLEAR, stamp_s)
    assert driving.command() == (0.0, 0.0)


def test_a_repeated_slow_after_unknown_does_not_wake_it(driving: Drive) -> None:
    stamp_s = driving.now_s - 0.03
    driving.hear(UNKNOWN, stamp_s)
    driving.hear(SLOW, stamp_s)
    assert driving.command() == (0.0, 0.0)


def test_a_stamp_that_goes_back_stops_and_starts_anew(driving: Drive) -> None:
    driving.hear(CLEAR, driving.now_s - 0.2)
    assert driving.command() == (0.0, 0.0)
    assert driving.reason.startswith("stamp went back by 0.17")
    assert driving.see(*[CLEAR] * 6) == (0.0, 0.0)
    assert driving.see(CLEAR) == (0.19, 0.5)


@pytest.mark.parametrize("stamp_s", [math.nan, math.inf, -math.inf, -T])
def test_a_stamp_that_is_no_time_stops(driving: Drive, stamp_s: float) -> None:
    driving.hear(CLEAR, stamp_s)
    assert driving.command() == (0.0, 0.0)
    assert driving.see(*[CLEAR] * 7) == (0.19, 0.5)


@pytest.mark.parametrize("back_s", [0.0, 0.2])
def test_a_frame_that_stopped_or_went_back_is_not_counted_when_it_comes_again(driving: Drive, back_s: float) -> None:
    stamp_s = driving.now_s + 0.02 - back_s
    driving.now_s += 0.05
    driving.hear(CLEAR if back_s else STOP, stamp_s)
    driving.hear(CLEAR, stamp_s)
    assert driving.see(*[CLEAR] * 6) == (0.0, 0.0)


def test_a_gap_between_frames_starts_the_count_again(driving: Drive) -> None:
    driving.now_s += 0.5  # nobody asked in between
    driving.hear(CLEAR, driving.now_s - 0.03)
    assert driving.command() == (0.0, 0.0)


@pytest.mark.parametrize(("lead_s", "drives"), [(0.04, True), (0.1, False)])
def test_stamps_from_the_future_stop(lead_s: float, drives: bool) -> None:
    drive = Drive(Limits(camera_latency_s=0.0))
    assert (drive.see(*[CLEAR] * 9, lag_s=-lead_s)[0] > 0) == drives


@pytest.mark.parametrize("step_s", [0.2, -0.2, 3600.0])
def test_a_clock_that_is_set_stops_and_recovers(driving: Drive, step_s: float) -> None:
    shifted = driving.now_s + 0.05
    clock_s, mono_s = T + shifted + step_s, MONO + shifted
    assert driving.governor.command(0.19, 0.5, clock_s, mono_s)[:2] == (0.0, 0.0)
    assert "clock jump" in driving.governor.permit(clock_s, mono_s).reason
    for number in range(23):
        now_s = shifted + number * 0.05
        driving.governor.hear(CLEAR, T + now_s + step_s - 0.03, T + now_s + step_s, MONO + now_s)
        driving.governor.permit(T + now_s + step_s, MONO + now_s)
    assert driving.governor.command(0.19, 0.5, clock_s + 1.1, mono_s + 1.1)[0] == 0.19


@pytest.mark.parametrize(("delay_s", "back_s"), [(1.2, 1.0), (1.5, 1.25), (0.5, 0.3), (1.9, 1.6), (0.1, 30.0)])
def test_pictures_from_before_a_clock_was_set_back_are_not_young(delay_s: float, back_s: float) -> None:
    """A slow link delivered them for seconds after it, and by the new time they were fresh."""
    governor, oldest_s = Governor(Limits()), 0.0
    for tick in range(200):
        now_s = tick * 0.05
        clock_s, taken_s = T + now_s - (back_s if now_s > 3 else 0.0), now_s - delay_s
        governor.hear(CLEAR, T + taken_s - (back_s if taken_s > 3 else 0.0), clock_s, MONO + now_s)
        if governor.command(0.19, 0.0, clock_s, MONO + now_s)[0]:
            oldest_s = delay_s
    assert oldest_s < Limits().max_age_s


def test_a_clock_that_is_no_number_for_a_moment_waits_as_long_as_for_the_farthest_jump(driving: Drive) -> None:
    driving.governor.permit(math.nan, MONO + driving.now_s)
    assert driving.see(*[CLEAR] * 47) == (0.0, 0.0)  # 2.35 s of the 2.4
    assert driving.see(*[CLEAR] * 60) == (0.19, 0.5)


def test_a_clock_that_was_set_back_and_back_again_waits_for_both(driving: Drive) -> None:
    for _ in range(2):
        driving.clock_s -= 1.0
        driving.see(*[CLEAR] * 3)
    waits_s = 2 * (1.0 + 0.4) - 6 * 0.05
    assert driving.see(*[CLEAR] * round(waits_s / 0.05)) == (0.0, 0.0)
    assert driving.see(*[CLEAR] * 8) == (0.19, 0.5)


def test_a_command_that_is_no_number_is_zero(driving: Drive) -> None:
    assert driving.command(math.nan, 0.1) == (0.0, 0.0)
    assert driving.command(0.1, math.inf) == (0.0, 0.0)


def test_a_duck_that_left_at_the_bottom_edge_is_not_gone(driving: Drive) -> None:
    """STOP, STOP while rolling, then nothing: the duck is under the bumper, and waiting does not change that."""
    driving.see(STOP, STOP)
    assert driving.see(*[CLEAR] * 200) == (0.0, 0.0)
    assert driving.reason.startswith("lost")
    driving.governor.release()
    assert driving.see(*[CLEAR] * 6) == (0.0, 0.0)
    assert driving.see(CLEAR) == (0.19, 0.5)


def test_a_lost_duck_seen_again_by_a_standing_robot_follows_the_usual_rules(driving: Drive) -> None:
    driving.see(STOP, STOP, *[CLEAR] * 10)
    driving.see(STOP, STOP, *[CLEAR] * 6)
    assert driving.see(CLEAR) == (0.19, 0.5)


def test_one_frame_of_stop_is_no_lost_duck_seen_again(driving: Drive) -> None:
    driving.see(STOP, STOP, *[CLEAR] * 10)
    assert driving.see(STOP, *[CLEAR] * 60) == (0.0, 0.0)
    assert driving.reason.startswith("lost")


@pytest.mark.parametrize("step_s", [-1.0, -3600.0, 1.0])
def test_a_clock_that_is_set_takes_no_lost_duck_away(driving: Drive, step_s: float) -> None:
    """Set just before the duck leaves the picture: its frames still count as newer than those of the other time."""
    driving.see(STOP, STOP)
    driving.clock_s += step_s
    assert [driving.see(CLEAR) for _ in range(60)] == [(0.0, 0.0)] * 60
    assert driving.reason.startswith("lost")


@pytest.mark.parametrize("lost", [False, True])
def test_one_frame_said_again_after_unknown_is_still_one(driving: Drive, lost: bool) -> None:
    """UNKNOWN without a stamp, as the protection says it in silence, starts no new time: the frame is known."""
    if lost:
        driving.see(STOP, STOP, *[CLEAR] * 10)
    driving.now_s += 0.05
    stamp_s = driving.now_s - 0.03
    for level, said_s in ((STOP, stamp_s), (UNKNOWN, -driving.clock_s), (STOP, stamp_s)):
        driving.hear(level, said_s)
        driving.command()
    assert (driving.see(*[CLEAR] * 20) == (0.0, 0.0)) is lost


def test_a_lost_duck_can_be_seen_again_after_the_clock_was_set_back(driving: Drive) -> None:
    driving.see(STOP, STOP, *[CLEAR] * 10)
    driving.clock_s -= 3600.0
    driving.see(*[STOP] * 10, *[SLOW] * 50)
    assert driving.command()[0] == pytest.approx(0.19 / 4)


def test_one_frame_from_the_future_does_not_make_the_memory_deaf(driving: Drive) -> None:
    driving.hear(CLEAR, driving.now_s + 1.5)
    driving.see(CLEAR, *[CLEAR] * 7)
    driving.see(STOP, STOP)
    assert driving.see(*[CLEAR] * 20) == (0.0, 0.0)
    assert driving.reason.startswith("lost")


@pytest.mark.parametrize("wanted", [(0.0, 8.0), (0.0, -8.0), (0.05, 8.0)])
def test_a_turn_sweeps_no_faster_than_is_permitted_and_keeps_its_curvature(
    driving: Drive, wanted: Tuple[float, float]
) -> None:
    v_mps, omega_radps = driving.command(*wanted)
    assert abs(omega_radps) * CORNER_M == pytest.approx(0.08 / 0.40)
    assert v_mps * wanted[1] == pytest.approx(wanted[0] * omega_radps)


def test_a_robot_that_turns_on_the_spot_is_moving() -> None:
    drive = Drive()
    for level in [*[CLEAR] * 8, STOP, STOP, *[CLEAR] * 20]:
        drive.now_s += 0.05
        drive.hear(level, drive.now_s - 0.03)
        drive.command(0.0, 1.0)
    assert drive.reason.startswith("lost")


@pytest.mark.parametrize(
    ("story", "word", "drives"),
    [
        ((STOP, STOP, CLEAR), "lost", False),
        ((STOP, STOP), "near", False),  # dies while the duck goes out of the picture
        ((STOP,), "", True),
        ((STOP, STOP, SLOW), "near", False),
        ((STOP, STOP, SLOW, SLOW), "", True),
        ((), "", True),
    ],
)
def test_a_governor_that_takes_anothers_place_knows_of_its_lost_duck(
    driving: Drive, story: Tuple[Level, ...], word: str, drives: bool
) -> None:
    driving.see(*story)
    assert driving.governor.remembered == word
    driving.governor = Governor(Limits(), driving.governor.remembered)
    assert (driving.see(*[CLEAR] * 20) == (0.19, 0.5)) is drives
    driving.governor.release()
    assert driving.governor.remembered == ""


def test_a_duck_that_sits_before_the_next_governor_follows_the_usual_rules(driving: Drive) -> None:
    driving.see(STOP, STOP)
    driving.governor = Governor(Limits(), driving.governor.remembered)
    assert driving.see(*[STOP] * 10, *[CLEAR] * 7) == (0.19, 0.5)


def test_unknown_in_between_does_not_make_a_lost_duck_forgotten(driving: Drive) -> None:
    driving.see(STOP, STOP, UNKNOWN)
    assert driving.see(*[CLEAR] * 20) == (0.0, 0.0)


def test_a_duck_lifted_off_before_a_standing_robot_is_gone(driving: Drive) -> None:
    driving.see(*[STOP] * 20)
    driving.see(*[CLEAR] * 6)
    assert driving.see(CLEAR) == (0.19, 0.5)


def test_a_duck_that_walks_off_passes_the_side_strip(driving: Drive) -> None:
    driving.see(STOP, STOP, SLOW, SLOW, *[CLEAR] * 6)
    assert driving.see(CLEAR) == (0.19, 0.5)


@pytest.mark.parametrize("doubt", [[SLOW], [SLOW, STOP, SLOW], [STOP, SLOW]])
def test_a_single_slow_is_no_side_strip(driving: Drive, doubt: List[Level]) -> None:
    """SLOW is also what a frame in doubt is judged: half a duck at the bottom edge."""
    driving.see(STOP, STOP, *doubt)
    assert driving.see(*[CLEAR] * 40) == (0.0, 0.0)
    assert driving.reason.startswith("lost")


def test_a_controller_that_stands_still_loses_no_duck() -> None:
    drive = Drive()
    for level in [*[CLEAR] * 8, STOP, STOP, *[CLEAR] * 7]:
        drive.now_s += 0.05
        drive.hear(level, drive.now_s - 0.03)
        drive.command(0.0, 0.0)
    assert drive.command() == (0.19, 0.5)


def test_a_single_stop_frame_is_no_lost_duck(driving: Drive) -> None:
    driving.see(STOP, *[CLEAR] * 6)
    assert driving.see(CLEAR) == (0.19, 0.5)


def test_a_lost_duck_survives_silence(driving: Drive) -> None:
    driving.see(STOP, STOP, CLEAR)
    driving.wait(5.0)
    assert driving.see(*[CLEAR] * 20) == (0.0, 0.0)


def test_a_lost_duck_that_flickers_while_the_robot_rolls_stays_lost(driving: Drive) -> None:
    driving.see(STOP, STOP, CLEAR, STOP)
    assert driving.see(*[CLEAR] * 20) == (0.0, 0.0)


def test_a_duck_that_sat_before_the_start_is_no_lost_duck() -> None:
    drive = Drive()
    drive.see(STOP, STOP, *[CLEAR] * 6)
    assert drive.see(CLEAR) == (0.19, 0.5)


@pytest.mark.parametrize(("lag_s", "lost"), [(0.03, False), (0.3, True)])
def test_rolling_is_told_by_when_the_frame_was_taken(driving: Drive, lag_s: float, lost: bool) -> None:
    """Two frames taken while the robot moved may be judged after it stands; what counts is what they showed."""
    driving.see(STOP)
    driving.now_s += 0.4
    driving.hear(STOP, driving.now_s - lag_s)
    driving.see(*[CLEAR] * 10)
    assert driving.reason.startswith("lost") == lost


def test_what_is_permitted_is_said_in_full(driving: Drive) -> None:
    def permit() -> Permit:
        return driving.governor.permit(T + driving.now_s, MONO + driving.now_s)

    assert permit() == Permit(CLEAR, 1.0, 0.08 / 0.40, "clear")
    driving.see(SLOW)
    assert permit() == Permit(SLOW, 0.25, 0.05, "slow")
    driving.see(STOP)
    assert permit() == Permit(STOP, 0.0, 0.0, "STOP: as judged")
    driving.see(UNKNOWN)
    assert permit() == Permit(UNKNOWN, 0.0, 0.0, "UNKNOWN: as judged")
    driving.see(CLEAR)
    assert permit() == Permit(UNKNOWN, 0.0, 0.0, "leaving: 1 agreeing frames over 0.00 s so far")
    driving.governor.release()
    assert permit() == Permit(UNKNOWN, 0.0, 0.0, "released: waiting for fresh evidence")
    driving.now_s += 1
    assert permit() == Permit(UNKNOWN, 0.0, 0.0, "silence: no verdict for 1.00 s")


EXACT = Limits(max_age_s=0.5, camera_latency_s=0.0, silence_s=0.25, leave_span_s=0.25, future_s=0.125, blind_m=0.25)


@pytest.mark.parametrize(
    ("age_s", "silent_s", "reason"),
    [
        (0.25, 0.25, "clear"),  # silence at its limit is borne
        (0.25, 0.25 + 2**-20, "silence: no verdict for 0.25 s"),
        (0.5 - 2**-20, 0.0, "clear"),
        (0.5, 0.0, "old: the newest judged frame is 0.50 s old"),  # an age at its limit is not
        (-0.125, 0.0, "clear"),
        (-0.125 - 2**-20, 0.0, "future: the newest judged frame is from 0.13 s ahead"),
    ],
)
def test_each_limit_holds_exactly(age_s: float, silent_s: float, reason: str) -> None:
    """Times are sums of powers of two, so that nothing is rounded away."""
    governor = Governor(EXACT)
    for number in range(4):
        governor.hear(CLEAR, 1024 + number / 8, 1024 + number / 8, MONO + number / 8)
    stamp_s = 1024 + 3 / 8
    heard_s = stamp_s + age_s - silent_s
    governor.hear(CLEAR, stamp_s, heard_s, MONO - 1024 + heard_s)
    now_s = stamp_s + age_s
    assert governor.permit(now_s, MONO - 1024 + now_s).reason == reason


@pytest.mark.parametrize(("gap_s", "drives"), [(0.5 - 2**-20, True), (0.5, False)])
def test_a_gap_as_long_as_a_frame_may_be_old_starts_again(gap_s: float, drives: bool) -> None:
    governor = Governor(EXACT)
    for stamp_s in (1024.0, 1024.125, 1024.25, 1024.25 + gap_s):
        governor.hear(CLEAR, stamp_s, stamp_s, MONO - 1024 + stamp_s)
    assert (governor.permit(stamp_s, MONO - 1024 + stamp_s).scale > 0) == drives


@pytest.mark.parametrize(
    ("key", "value"),
    [("max_age_s", 0.04), ("max_age_s", 2.1), ("max_age_s", math.nan), ("blind_m", 0.31), ("leave_frames", 0),
     ("slow_scale", 1.1), ("slow_scale", -0.1), ("silence_s", 0.05), ("jump_s", 0.0), ("future_s", 0.6),
     ("camera_latency_s", -0.1), ("leave_span_s", -1.0), ("roll_out_s", 2.5)],
)  # fmt: skip
def test_limits_out_of_range_are_refused(key: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{key} must be from"):
        Limits(**{key: value})


Step = Tuple[str, float, Level]
steps = st.lists(
    st.tuples(
        st.sampled_from(["frame", "repeat", "back", "wait", "ask", "jump"]),
        st.floats(0.001, 0.5),
        st.sampled_from([CLEAR, CLEAR, CLEAR, SLOW, STOP, UNKNOWN]),
    ),
    max_size=60,
)


def trailing(history: List[Tuple[float, float, Level]]) -> List[Tuple[float, float, Level]]:
    """The entries at the end that permit motion, their stamps without a step back or a gap."""
    run: List[Tuple[float, float, Level]] = []
    for entry in reversed(history):
        back_or_gap = run and not 0 <= run[-1][0] - entry[0] < 0.40
        if entry[2] not in (CLEAR, SLOW) or back_or_gap:
            break
        run.append(entry)
    return run


@settings(max_examples=300, deadline=None)
@given(steps, st.floats(0.0, 0.1))
def test_motion_needs_three_distinct_fresh_agreeing_frames(script: List[Step], lag_s: float) -> None:
    """Promise 1, over arbitrary histories, restated from the raw history without the governor's own bookkeeping."""
    governor, clock_s, mono_s = Governor(Limits()), T, MONO
    history: List[Tuple[float, float, Level]] = []  # stamp, monotonic time heard, level
    governor.permit(clock_s, mono_s)
    for kind, seconds, level in [("frame", 0.05, CLEAR)] * 8 + script:
        clock_s, mono_s = clock_s + seconds, mono_s + seconds
        if kind == "jump":
            clock_s += 0.3
            history.append((clock_s, mono_s, UNKNOWN))  # counts as the end of every run
        stamp_s = {"repeat": history[-1][0] if history else clock_s, "back": clock_s - 0.3}.get(kind, clock_s - lag_s)
        if kind in ("frame", "repeat", "back"):
            governor.hear(level, stamp_s, clock_s, mono_s)
            history.append((stamp_s, mono_s, level))
        v_mps, _, permit = governor.command(1.0, 0.0, clock_s, mono_s)
        assert 0 <= v_mps <= Limits().cap_mps + 1e-9
        if v_mps == 0:
            continue
        newest_s, heard_s, _ = history[-1]
        assert clock_s - newest_s + 0.03 < 0.40
        assert mono_s - heard_s <= 0.30
        run = sorted({stamp for stamp, _, _ in trailing(history)})
        assert len(run) >= 3
        assert run[-1] - run[0] >= 0.3 - 1e-6
        assert history[-1][2] in (CLEAR, SLOW)
        if permit.level is CLEAR:
            assert history[-1][2] is CLEAR


def test_a_clock_jump_is_told(driving: Drive) -> None:
    assert driving.governor.permit(T + driving.now_s + 5.0, MONO + driving.now_s).reason == (
        "clock jump: the robot's clock was set"
    )


def test_a_stamp_of_zero_is_no_stamp(driving: Drive) -> None:
    driving.hear(CLEAR, -T)
    assert driving.reason == "UNKNOWN: as judged"


def test_the_first_second_after_1970_is_a_time_like_any() -> None:
    """A robot without a battery for its clock starts there."""
    governor = Governor(Limits())
    for stamp_s in (0.1, 0.3, 0.5):
        governor.hear(CLEAR, stamp_s, stamp_s + 0.03, MONO + stamp_s)
    assert governor.permit(0.53, MONO + 0.5).level is CLEAR


def test_one_stop_frame_said_twice_is_one_frame(driving: Drive) -> None:
    """The steady tick repeats verdicts; a single mistaken STOP must not latch because it was repeated."""
    driving.now_s += 0.05
    driving.hear(STOP, driving.now_s - 0.03)
    driving.command()
    driving.hear(STOP, driving.now_s - 0.03)
    assert driving.see(*[CLEAR] * 8) == (0.19, 0.5)
