"""Short drives one after the other in one world, for the nodes: a new stage every few seconds.

What sim_node drives when `~stages` names some. Same interface as episode.TownWorld. Promise: each stage begins with
the robot at rest where the stage says, whatever came before; time stands still until the first command that moves, so
that the nodes may take their time to start; what was met and hit adds up over all stages; the last one goes on for
ever.
"""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Optional, Sequence, Tuple

from duck_protection.simulation.episode import Episode, Moment, Truth
from duck_protection.simulation.photographer import Photographer
from duck_protection.simulation.staging import Stage
from duck_protection.simulation.town import LanePose


@dataclass(frozen=True)
class _Act:
    """The stage that is on, and the counts when the one before it ended: one value, so that a picture taken in another
    thread at the change never counts a stage twice."""

    episode: Episode
    camera: Photographer
    before: Optional[Truth] = None

    def truth(self, moment: Moment) -> Truth:
        """Of a moment of this stage, with the counts since the first one."""
        truth = self.episode.truth(moment)
        if self.before is None:
            return truth
        counted = ("travelled_m", "ducks_met", "ducks_hit", "flank_hits")
        return replace(truth, **{name: getattr(truth, name) + getattr(self.before, name) for name in counted})


class Programme:
    """One stage after the other.

    Args:
        seconds: How long each stage lasts.
    """

    def __init__(self, stages: Sequence[Stage], seconds: float) -> None:
        self._later = deque((stage.episode(), stage.photographer()) for stage in stages)
        self._seconds, self._begun = seconds, False
        self._now = _Act(*self._later.popleft())
        self.lens = self._now.camera.lens

    def command(self, v_mps: float, omega_radps: float) -> None:
        """What the wheels are told from now on."""
        self._begun = self._begun or bool(v_mps)
        self._now.episode.command(v_mps, omega_radps)

    def step(self, dt_s: float) -> None:
        """Advance robot and ducks, at most 0.05 s; the next stage when this one's time is over."""
        if not self._begun:
            return
        now = self._now
        now.episode.step(dt_s)
        if now.episode.robot.time_s >= self._seconds and self._later:
            self._now = _Act(*self._later.popleft(), before=now.truth(now.episode.moment))

    def lane_pose(self) -> LanePose:
        """Where the robot is in its lane."""
        return self._now.episode.lane_pose()

    def truth(self) -> Truth:
        """What really stands there now, counts since the first stage."""
        now = self._now
        return now.truth(now.episode.moment)

    def photograph(self) -> Tuple[bytes, Truth]:
        """A picture and the truth of the same moment, counts since the first stage."""
        now = self._now
        moment = now.episode.moment
        return now.camera.picture(moment), now.truth(moment)
