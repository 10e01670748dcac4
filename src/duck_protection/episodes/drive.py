"""One drive with the nodes' own frames, judge, watch, governor and lane controller, and no ROS in between.

Answers: does this robot hit this duck, and what did caution cost? Time is simulated: a frame is taken at the
camera's rate, travels, waits until the model is free, is read for the model's time, and the verdict travels back;
only the newest frame is judged, and only judged frames are rendered. Promise: the same stage, eyes and timing give
the same drive, whatever the machine's speed; a robot that creeps towards a duck when its time is over goes on until it
stands or touches it, so that never saying STOP is no way to spare it.
"""
from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Callable, Deque, List, Optional, Tuple

from duck_protection.corridor import DEFAULT
from duck_protection.governor import Governor, Limits
from duck_protection.lane_control import Gains, LaneController, LanePose
from duck_protection.simulation.episode import Episode, Moment
from duck_protection.simulation.staging import Stage
from duck_protection.verdict import Level
from duck_protection.watch import Patience, Watch

STEP_S = 0.01
TICK_S = 0.05  # the follower's
REPEAT_S = 0.1  # the protection node's steady word
EPOCH_S = 1000.0  # a stamp of zero is none
LONGEST_S = 24.0  # a metre at SLOW
STANDS_S = 1.0  # without moving: it stands

Eyes = Callable[[Episode, Moment], Level]


@dataclass(frozen=True)
class Timing:
    """How long things take. camera_latency_s: shutter to stamp; frame_delay_s: stamp to workstation; reply_delay_s:
    verdict to robot. limits: the governor's."""

    seconds: float = 8.0
    camera_hz: float = 10.0  # the least that is promised beside a simulator; every picture costs time, more would help
    camera_latency_s: float = Limits.camera_latency_s
    frame_delay_s: float = 0.02
    model_s: float = 0.05
    reply_delay_s: float = 0.005
    limits: Limits = field(default_factory=Limits)


SLOW_MODEL = Timing(model_s=0.30, limits=Limits(max_age_s=0.80))  # two model times and a frame; at most 0.10 m/s


@dataclass
class Outcome:
    """What happened. closest_m: bumper to a duck in the way; judged and the last three count frames; a frame's truth
    counts every duck, whether visible or not."""

    hits: int = 0
    flank_hits: int = 0
    closest_m: float = float("inf")
    travelled_m: float = 0.0
    judged: int = 0
    stop_frames: int = 0  # that deserved STOP or were judged so: the robot was before a duck, or thought so
    false_stops: int = 0  # frames judged STOP that deserved CLEAR
    stop_judged_clear: int = 0


class Drive:
    """One drive, step by step."""

    def __init__(self, stage: Stage, eyes: Eyes, timing: Timing) -> None:
        self.episode = stage.episode()
        self.outcome = Outcome()
        self.stamps_s: List[float] = []  # of the judged frames
        self._eyes, self._timing = eyes, timing
        self._governor, self._controller = Governor(timing.limits), LaneController(Gains())
        deadline_s = max(Patience.deadline_s, 2 * timing.model_s)
        patience = Patience(timing.limits.max_age_s, Patience.silence_s, deadline_s)
        self._watch: Watch[Tuple[Level, float]] = Watch(patience)
        self._frames: Deque[Tuple[float, Moment]] = deque(maxlen=64)
        self._posts: Deque[Tuple[float, Level, float]] = deque()  # due time, level, stamp
        self._busy_until_s, self._seen_s, self._came_s, self._driven_m = 0.0, 0.0, 0.0, 0.0
        self._still_steps = 0
        self._verdict: Optional[Tuple[Level, float]] = None

    def run(self) -> Outcome:
        """To the end of its time, or of its approach to a duck."""
        step = 0
        while step * STEP_S < self._timing.seconds - 1e-9 or (self._approaches() and step * STEP_S < LONGEST_S):
            self._tick(EPOCH_S + step * STEP_S, step)
            step += 1
        score, out = self.episode.flock.score, self.outcome
        out.hits, out.flank_hits = score.hit, score.flanked
        out.travelled_m = self.episode.robot.travelled_m
        return out

    def _tick(self, now_s: float, step: int) -> None:
        if _due(step, 1 / self._timing.camera_hz):
            self._frames.append((now_s + self._timing.camera_latency_s, self.episode.moment))
        self._judge(now_s)
        if _due(step, REPEAT_S):
            word = self._watch.word(now_s)
            level, stamp_s = word.repeat or (Level.UNKNOWN, 0.0)
            self._posts.append((now_s + self._timing.reply_delay_s, level, stamp_s))
        while self._posts and self._posts[0][0] <= now_s:
            _, level, stamp_s = self._posts.popleft()
            self._governor.hear(level, stamp_s, now_s, now_s)
        if _due(step, TICK_S):
            self._steer(now_s)
        self.episode.step(STEP_S)
        self._still_steps = 0 if self.episode.moment.speed_mps > 1e-3 else self._still_steps + 1
        nearest_m = self.episode.truth().nearest_m if _due(step, TICK_S) else None
        self.outcome.closest_m = min(self.outcome.closest_m, float("inf") if nearest_m is None else nearest_m)

    def _approaches(self) -> bool:
        nearest_m = self.episode.truth().nearest_m
        return nearest_m is not None and nearest_m < DEFAULT.slow_m and self._still_steps * STEP_S < STANDS_S

    def _judge(self, now_s: float) -> None:
        """The model's answer, when it is ready; then the newest frame that has arrived, when it is free."""
        if self._verdict is not None and now_s >= self._busy_until_s:
            level, stamp_s = self._verdict
            self._watch.judged(self._verdict, stamp_s)
            self._posts.append((now_s + self._timing.reply_delay_s, level, stamp_s))
            self._verdict = None
        arrived = [one for one in self._frames if self._seen_s < one[0] <= now_s - self._timing.frame_delay_s]
        if arrived and arrived[-1][0] > self._came_s:
            self._came_s = arrived[-1][0]
            self._watch.came(now_s)
        if self._verdict is None and arrived:
            stamp_s, moment = arrived[-1]
            self._watch.asked(now_s)
            level = self._eyes(self.episode, moment)
            self._seen_s, self._busy_until_s, self._verdict = stamp_s, now_s + self._timing.model_s, (level, stamp_s)
            self._count(level, stamp_s, moment)

    def _count(self, level: Level, stamp_s: float, moment: Moment) -> None:
        truth, out = self.episode.truth(moment).level, self.outcome
        out.judged += 1
        self.stamps_s.append(stamp_s)
        out.stop_frames += Level.STOP in (truth, level)
        out.false_stops += level is Level.STOP and truth is Level.CLEAR
        out.stop_judged_clear += level is Level.CLEAR and truth is Level.STOP

    def _steer(self, now_s: float) -> None:
        at = self.episode.lane_pose()
        wanted = self._controller.steer(LanePose(at.d_m, at.phi_rad, at.curvature, True, now_s), self._driven_m)
        v_mps, omega_radps, _ = self._governor.command(*wanted, now_s, now_s)
        self._driven_m = abs(v_mps) * TICK_S
        self.episode.command(v_mps, omega_radps)


def perfect(episode: Episode, moment: Moment) -> Level:
    """Eyes that see the truth."""
    return episode.truth(moment).level


def blind(_: Episode, __: Moment) -> Level:
    """No protection."""
    return Level.CLEAR


def _due(step: int, every_s: float) -> bool:
    """Whether a period begins within this step, the first one included; on average exactly every every_s."""
    before, now = (math.floor(count * STEP_S / every_s + 1e-9) for count in (step - 1, step))
    return now > before
