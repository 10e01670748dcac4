"""Short drives one after the other in one world, for the nodes: a new stage every few seconds.

What sim_node drives when `~stages` names some. Same interface as episode.TownWorld. Promise: each stage begins with
the robot at rest where the stage says, whatever came before; time stands still until the first command that moves, so
that the nodes may take their time to start; what was met and hit adds up over all stages; the last one goes on for
ever.
"""
from __future__ import annotations

from dataclasses import replace
from typing import List, Sequence, Tuple

from duck_protection.simulation.episode import Episode, Moment, Truth
from duck_protection.simulation.flock import Score
from duck_protection.simulation.staging import Stage
from duck_protection.simulation.town import LanePose


class Programme:
    """One stage after the other.

    Args:
        seconds: How long each stage lasts.
    """

    def __init__(self, stages: Sequence[Stage], seconds: float) -> None:
        self._acts: List[Tuple[Episode, int]] = [(stage.episode(), n) for n, stage in enumerate(stages)]
        self._cameras = [stage.photographer() for stage in stages]
        self._seconds = seconds
        self._now = self._acts[0]
        self._before, self._travelled_m, self._begun = Score(), 0.0, False
        self.lens = self._cameras[0].lens

    def command(self, v_mps: float, omega_radps: float) -> None:
        """What the wheels are told from now on."""
        self._begun = self._begun or bool(v_mps)
        self._now[0].command(v_mps, omega_radps)

    def step(self, dt_s: float) -> None:
        """Advance robot and ducks, at most 0.05 s; the next stage when this one's time is over."""
        if not self._begun:
            return
        episode, number = self._now
        episode.step(dt_s)
        if episode.robot.time_s >= self._seconds and number + 1 < len(self._acts):
            ended = episode.flock.score
            self._before = Score(*(a + b for a, b in zip(_counts(self._before), _counts(ended))))
            self._travelled_m += episode.robot.travelled_m
            self._now = self._acts[number + 1]

    def lane_pose(self) -> LanePose:
        """Where the robot is in its lane."""
        return self._now[0].lane_pose()

    def truth(self) -> Truth:
        """What really stands there now, counts since the first stage."""
        episode, _ = self._now
        return self._summed(episode, episode.moment)

    def photograph(self) -> Tuple[bytes, Truth]:
        """A picture and the truth of the same moment, counts since the first stage."""
        episode, number = self._now
        moment = episode.moment
        return self._cameras[number].picture(moment), self._summed(episode, moment)

    def _summed(self, episode: Episode, moment: Moment) -> Truth:
        truth, before = episode.truth(moment), self._before
        return replace(
            truth,
            travelled_m=truth.travelled_m + self._travelled_m,
            ducks_met=truth.ducks_met + before.met,
            ducks_hit=truth.ducks_hit + before.hit,
            flank_hits=truth.flank_hits + before.flanked,
        )


def _counts(score: Score) -> Tuple[int, int, int]:
    return score.met, score.hit, score.flanked
