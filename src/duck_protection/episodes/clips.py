"""Short films of the drives that went worst, for people: the picture, the verdict on it, and the truth beneath.

Answers: what did it look like? A drive is driven again for its film, for it is the same drive again. Promise: a clip
shows judged frames only, at the time at which they were taken.
"""
from __future__ import annotations

from pathlib import Path
from typing import List

import numpy as np

from duck_protection.episodes.drive import Drive, Timing
from duck_protection.episodes.eyes import ModelEyes, Sight
from duck_protection.frames import decode
from duck_protection.recording.overlay import Bar, draw
from duck_protection.recording.video import VideoWriter
from duck_protection.simulation.episode import Episode
from duck_protection.simulation.staging import Stage


def clip(stage: Stage, model: str, timing: Timing, file: Path) -> None:
    """Drive this stage again and write its film (640x480, H.264)."""
    sights: List[Sight] = []
    eyes = ModelEyes(stage, model, sights)
    drive = Drive(stage, eyes, timing)
    drive.run()
    with VideoWriter(file, (640, 480), timing.camera_hz) as video:
        for sight, stamp_s in zip(sights, drive.stamps_s):
            video.add(_drawn(sight, eyes, drive.episode, stage), stamp_s)


def _drawn(sight: Sight, eyes: ModelEyes, episode: Episode, stage: Stage) -> np.ndarray:
    choices = zip(eyes.question.choices, sight.reply.probabilities)
    bars = [Bar(choice.word, choice.level, probability) for choice, probability in choices]
    truth = episode.truth(sight.moment)
    where = "no duck in the way" if truth.nearest_m is None else f"duck {truth.nearest_m:.2f} m ahead"
    lines = (sight.judgement.reason, f"truth {truth.level.name}, {where}, {sight.moment.speed_mps:.2f} m/s",
             f"{stage.kind}:{stage.seed}, {stage.light}")  # fmt: skip
    return draw(decode(sight.jpeg), sight.judgement.level, lines, bars)
