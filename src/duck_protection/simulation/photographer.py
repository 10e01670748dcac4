"""Takes the pictures of a drive: this town, this look, these ducks, as the camera on the robot sees them.

Answers: which JPEG would the robot send at this moment? The truth is not its matter (episode.py). Promise: the same
seed and the same sequence of moments give the same bytes; no two pictures are identical. Each thread that takes
pictures gets one Eye (an OpenGL context), shared by all photographers of that thread.
"""
from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Optional, Tuple

import numpy as np

from duck_protection.simulation.camera import Eye, Lens, Mount
from duck_protection.simulation.look import Look
from duck_protection.simulation.official import Assets
from duck_protection.simulation.scene import Scene
from duck_protection.simulation.sensor import Sensor, drive_sensor, encode, expose
from duck_protection.simulation.town import Town

if TYPE_CHECKING:  # episode.py makes one of these
    from duck_protection.simulation.episode import Moment

_here = threading.local()


class Photographer:
    """The camera of one drive.

    Args:
        ducks: How many the scene has; a moment's ducks are placed by their number.
        blurred: A lens out of focus on a robot that shakes.
        assets: Duckietown's own tiles, ducks and furniture instead of ours.
    """

    def __init__(
        self, town: Town, look: Look, ducks: int, seed: int, *, blurred: bool = False, assets: Optional[Assets] = None
    ) -> None:
        self.lens, self._mount = Lens(), Mount()
        self._scene = Scene(town, look, ducks=ducks, yellow=0, robots=0, assets=assets)
        self.duck_widths_m: Tuple[float, ...] = tuple(self._scene.duck_width_m)
        self._rng = np.random.default_rng([seed, 19])
        self._blurred = blurred

    def picture(self, moment: Moment) -> bytes:
        """A 640x480 JPEG of this moment."""
        self._scene.hide_all()
        for number, x_m, y_m, yaw_rad in moment.ducks:
            self._scene.place(f"duck{number}", x_m, y_m, yaw_rad)
        sensor = self._sensor(moment)
        light = self._eye().look(moment.pose, self._mount)
        return encode(expose(light, sensor, self._rng), sensor.quality)

    def _sensor(self, moment: Moment) -> Sensor:
        sensor = drive_sensor(self._rng, moment.speed_mps, moment.omega_radps)
        if not self._blurred:
            return sensor
        shake_px = sensor.motion_px + abs(float(self._rng.normal(0, 4)))
        return replace(sensor, defocus_px=1.2, motion_px=shake_px, motion_rad=float(self._rng.normal(0, 0.5)))

    def _eye(self) -> Eye:
        eye: Eye = getattr(_here, "eye", None) or Eye(self.lens)
        if getattr(_here, "scene", None) is not self._scene:
            eye.enter(self._scene)
        _here.eye, _here.scene = eye, self._scene
        return eye
