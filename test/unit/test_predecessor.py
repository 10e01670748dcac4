"""The predecessor's faults, one by one: a robot that drove by what a large model wrote, and hit ducks.

Its story: a frame a second was shown to a 7B model, which answered in prose; a keyword in it became a command.
Each test's docstring tells the fault, its body shows that it cannot happen here.
"""
from __future__ import annotations

import math
from pathlib import Path
from typing import Tuple
from xml.etree import ElementTree

import pytest

from duck_protection.deadman import Deadman, Orders
from duck_protection.fresh import Fresh
from duck_protection.governor import Governor, Limits
from duck_protection.lane_control import Gains, LaneController, LanePose
from duck_protection.verdict import Identity, Level, Reply, Thresholds, judge

LIMITS = Limits()
LEVELS = (Level.CLEAR, Level.SLOW, Level.STOP)
THRESHOLDS = Thresholds(stop_at=0.2, clear_at=0.9, max_off_mass=0.1)
FRAME_S = 0.05
V_MPS = 0.19
ROBOT = Path(__file__).resolve().parents[2] / "launch" / "robot.launch"


def said(*probabilities: float, off_mass: float = 0.0, text: str = "") -> Level:
    """The level read from a reply with these probabilities of Clear, Slow and Stop."""
    return judge(Reply(probabilities, off_mass, text, Identity("m", "r", "d", "b")), LEVELS, THRESHOLDS).level


class Drive:
    """A governor, a controller that always wants V_MPS straight on, and one clock for everything."""

    def __init__(self) -> None:
        self.governor = Governor(LIMITS)
        self.now_s = 1000.0

    def show(self, level: Level, frames: int = 1) -> float:
        """Verdicts about so many distinct new frames; the speed that is commanded after the last."""
        for _ in range(frames):
            self.now_s += FRAME_S
            self.governor.hear(level, self.now_s, self.now_s, self.now_s)
            v_mps = self.speed()
        return v_mps

    def wait(self, seconds: float) -> float:
        """The speed that is commanded after a silence."""
        self.now_s += seconds
        return self.speed()

    def speed(self) -> float:
        return self.governor.command(V_MPS, 0.0, self.now_s, self.now_s)[0]


@pytest.fixture
def driving() -> Drive:
    drive = Drive()
    assert drive.show(Level.CLEAR, 10) == V_MPS
    return drive


@pytest.mark.parametrize(
    "text",
    [
        "STOP - duck ahead, not safe to go forward",
        "FORWARD",
        "Clear",
        "It is not clear whether I should stop. FORWARD, then LEFT",
        "",
    ],
)
def test_first_command_word_found_anywhere(text: str) -> None:
    """«STOP - duck ahead, not safe to go forward» was read as FORWARD. Here no text of a model is ever read."""
    assert said(0.0, 0.0, 1.0, text=text) is Level.STOP
    assert said(1.0, 0.0, 0.0, text=text) is Level.CLEAR


def test_an_answer_beside_the_question_is_no_permission() -> None:
    """Prose instead of a choice was searched for keywords. Here its mass is off the choices, and that is UNKNOWN."""
    assert said(1.0, 0.0, 0.0, off_mass=0.11, text="The image shows a miniature road") is Level.UNKNOWN


@pytest.mark.parametrize(
    "probabilities", [(), (1.0,), (math.nan, 0.0, 0.0), (math.inf, 0.0, 0.0), (2.0, -1.0, 0.0), (1.0, 1.0, 1.0)]
)
def test_unparsable_answers_drive(probabilities: Tuple[float, ...]) -> None:
    """Unparsable JSON drove at 0.21 m/s while the state said «stopped»."""
    assert said(*probabilities) is Level.UNKNOWN


@pytest.mark.parametrize("stops", [3, 4, 30, 300])
def test_anti_deadlock_overrule(stops: int) -> None:
    """After three STOPs in a row the fourth became LEFT or RIGHT, at a duck that stayed. Here no number and no time
    overrules a STOP."""
    drive = Drive()
    assert all(drive.show(Level.STOP) == 0.0 for _ in range(stops))
    assert drive.wait(0.0) == 0.0


def test_a_stop_is_not_overruled_by_waiting(driving: Drive) -> None:
    """«Wait for 5 s, then go on.» Here going on takes distinct frames that show a free road."""
    driving.show(Level.STOP)
    for seconds in (0.1, 5.0, 60.0, 3600.0):
        assert driving.wait(seconds) == 0.0


@pytest.mark.parametrize("level", [Level.UNKNOWN])
def test_blind_drive_on_failure(driving: Drive, level: Level) -> None:
    """When the API failed, v = 1.0 m/s was published; the «emergency stop» drove at 0.8. Here a failure is UNKNOWN,
    and UNKNOWN is zero at once."""
    assert driving.show(level) == 0.0


def test_repeats_last_command_for_5_s(driving: Drive) -> None:
    """The last command was repeated for five seconds. Here permission ends with its frame's age, and a controller's
    last command with its own silence."""
    assert driving.wait(LIMITS.silence_s - FRAME_S) == V_MPS
    assert all(driving.wait(FRAME_S * 2) == 0.0 for _ in range(50))
    command: Fresh[float] = Fresh(0.25)
    command.put(V_MPS, 0.0)
    assert command.at(0.26) is None


def test_acts_on_the_past(driving: Drive) -> None:
    """No stamp, no age: an answer 1.2 to 5 s late was acted on. Here the robot's own clock measures the frame's age."""
    for _ in range(20):  # verdicts come steadily, each about a frame that is 1.2 s old
        driving.now_s += FRAME_S
        driving.governor.hear(Level.CLEAR, driving.now_s - 1.2, driving.now_s, driving.now_s)
        assert driving.speed() == 0.0


def test_one_answer_a_second_cannot_drive() -> None:
    """At one answer a second, 0.19 m are driven blind on each. Here frames that far apart permit nothing."""
    drive = Drive()
    for _ in range(20):
        drive.now_s += 1.0
        drive.governor.hear(Level.CLEAR, drive.now_s, drive.now_s, drive.now_s)
        assert drive.speed() == 0.0


def test_no_more_than_eight_centimetres_on_one_picture(driving: Drive) -> None:
    """The model slept, the robot drove. Here one picture is worth blind_m at most, whatever the controller wants."""
    metres, step_s = 0.0, 0.001
    for _ in range(2000):
        driving.now_s += step_s
        driving.governor.hear(Level.CLEAR, 1000.5, driving.now_s, driving.now_s)  # repeats the last frame's verdict
        metres += driving.governor.command(5.0, 0.0, driving.now_s, driving.now_s)[0] * step_s
    assert metres <= LIMITS.blind_m


def test_one_answer_starts_the_wheels() -> None:
    """One FORWARD was enough. Here several agreeing frames over some time are needed."""
    drive = Drive()
    assert drive.show(Level.CLEAR) == 0.0
    assert drive.show(Level.CLEAR, 2) == 0.0


def test_wheels_keep_turning_when_the_program_dies() -> None:
    """Nothing stopped the wheels when the program died: the driver keeps its last command for ever."""
    deadman = Deadman(0.2)
    deadman.beat(0.0)
    assert not deadman.orders(0.1).zero
    assert all(deadman.orders(0.25 + tick / 20).zero for tick in range(100))


def test_drives_without_knowing_where_the_lane_is() -> None:
    """It drove wherever the wheels pointed, without a lane. Here no lane pose is zero."""
    assert LaneController(Gains()).steer(None, 0.0) == (0.0, 0.0)
    assert LaneController(Gains()).steer(LanePose(math.nan, 0.0), 0.0) == (0.0, 0.0)


def test_drives_three_actuation_topics_at_once() -> None:
    """It wrote to three actuation topics, past dt-core's arbiter. Here one node commands, on the arbiter's own hook."""
    remaps = {
        node.get("name", ""): {one.get("from"): one.get("to") for one in node.iter("remap")}
        for node in ElementTree.parse(ROBOT).getroot().iter("node")
    }
    assert set(remaps) == {"lane_guard_node", "watchdog_node", "link_node"}
    assert {topic for topic in remaps["link_node"] if "cmd" in topic or "stop" in topic} == set()  # pictures alone
    assert remaps["lane_guard_node"]["~car_cmd"] == "$(arg guarded_cmd)"  # a source of the switch, not its output
    assert not any("wheels" in str(topic) or "joy" in str(topic) for topic in remaps["lane_guard_node"].values())
    deadman = Deadman(0.2)
    for tick in range(200):  # the watchdog owns the other two and is silent on all of them while the guard beats
        deadman.beat(tick * FRAME_S)
        assert deadman.orders(tick * FRAME_S + 0.04) == Orders(zero=False)
