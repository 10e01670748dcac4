"""A simulated Duckietown in real time: its camera, its lane pose, its truth, and wheels that obey.

Stands in for a Duckiebot's camera_node, lane filter and wheels driver, with the same names, stamps and habits: stamps
are made at publish, the latest command rules for ever, the emergency stop takes effect at the next command. Promise:
the world steps in its own thread with the time that really passed, so rendering never slows the robot down; a frame
and its truth belong to one moment and carry one stamp.

    Configuration:
        ~seed: of everything random; ~map: name of a town; ~assets: who painted it; ~rate_hz: frames a second
        ~duck_every_s: a new duck comes into the way about that often
        ~stages: short drives in towns of ours instead, one after the other, like "none:1,crossing:2"
        ~stage_s: seconds of each
    Publisher:
        camera_node/image/compressed, camera_node/camera_info, ~lane_pose (LanePose), ~truth (TownTruth)
        ~all_clear (DuckVerdict): CLEAR for every frame, whatever stands there; for the drive without protection
    Subscriber:
        ~car_cmd (Twist2DStamped), ~wheels_cmd (WheelsCmdStamped), ~emergency_stop (BoolStamped)
"""
from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

import rospy
from duckietown_msgs.msg import BoolStamped, LanePose, Twist2DStamped, WheelsCmdStamped
from sensor_msgs.msg import CameraInfo, CompressedImage

from duck_protection.msg import DuckVerdict, TownTruth
from duck_protection.nodes import town_messages
from duck_protection.nodes.ros_node import every, run_node
from duck_protection.nodes.wheels import Wheels
from duck_protection.settings import RangeTable, SettingsError, check_ranges, settings_from

PHYSICS_HZ = 100.0
POSE_EVERY = 4  # steps: 25 Hz, a little faster than the camera, so that its age does not add up with the frame's
LONGEST_STEP_S = 0.02
FRAME_ID = "camera_optical_frame"


@dataclass(frozen=True)
class Settings:
    """What can be set, see above."""

    seed: int = 1
    map: str = "l_loop"
    assets: str = ""
    rate_hz: float = 20.0
    duck_every_s: float = 8.0
    stages: str = ""
    stage_s: float = 8.0

    RANGES: ClassVar[RangeTable] = {
        "seed": (0, 2**31), "rate_hz": (1.0, 60.0), "duck_every_s": (1.0, 3600.0), "stage_s": (1.0, 600.0)
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_ranges(self)


class SimNode:
    """The main thread renders, for the OpenGL context is its own; the physics thread steps the world."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._world = _world(settings)
        self._wheels = Wheels()
        self._steps = 0
        self._stepped_s = time.monotonic()
        self._alive = True
        self._images = rospy.Publisher("camera_node/image/compressed", CompressedImage, queue_size=1, tcp_nodelay=True)
        self._infos = rospy.Publisher("camera_node/camera_info", CameraInfo, queue_size=1)
        self._poses = rospy.Publisher("~lane_pose", LanePose, queue_size=1, tcp_nodelay=True)
        self._truths = rospy.Publisher("~truth", TownTruth, queue_size=20)
        self._all_clear = rospy.Publisher("~all_clear", DuckVerdict, queue_size=1, tcp_nodelay=True)
        rospy.Subscriber("~car_cmd", Twist2DStamped, lambda m: self._wheels.car(m.v, m.omega), tcp_nodelay=True)
        rospy.Subscriber("~wheels_cmd", WheelsCmdStamped, lambda m: self._wheels.turn(m.vel_left, m.vel_right))
        rospy.Subscriber("~emergency_stop", BoolStamped, lambda m: self._wheels.flag(emergency=m.data))

    def run(self) -> None:
        """Until the node ends. A bug in the physics thread ends it: a world that stands still is no stop."""
        threading.Thread(target=self._live, name="physics", daemon=True).start()
        try:
            every(1 / self._settings.rate_hz, self._show)
        except rospy.ROSException:  # "publish() to a closed topic": rospy closes them before it says that it ends
            if not rospy.is_shutdown():
                raise
        if not self._alive:
            sys.exit(1)

    def _live(self) -> None:
        try:
            every(1 / PHYSICS_HZ, self._step)
        except BaseException:
            if rospy.is_shutdown():
                return  # topics were closed under our hands
            self._alive = False
            rospy.signal_shutdown("the physics thread failed")
            raise

    def _step(self) -> None:
        """The world goes on by the time that passed, in steps short enough for its corners."""
        now_s = time.monotonic()
        passed_s, self._stepped_s = now_s - self._stepped_s, now_s
        steps = max(1, round(passed_s / LONGEST_STEP_S + 0.5))
        self._world.command(*self._wheels.command)
        for _ in range(steps):
            self._world.step(passed_s / steps)
        self._steps += 1
        if self._steps % POSE_EVERY == 0:
            self._poses.publish(town_messages.lane_pose(self._world.lane_pose(), rospy.Time.now()))

    def _show(self) -> None:
        """One frame and its truth."""
        jpeg, truth = self._world.photograph()
        stamp = rospy.Time.now()
        self._images.publish(town_messages.image_message(jpeg, stamp, FRAME_ID))
        self._truths.publish(town_messages.truth_message(truth, stamp))
        self._all_clear.publish(town_messages.all_clear(stamp))
        self._infos.publish(town_messages.camera_info(self._world.lens, stamp, FRAME_ID))


def _world(settings: Settings) -> Any:
    from duck_protection.simulation.episode import TownWorld  # brings MuJoCo
    from duck_protection.simulation.programme import Programme
    from duck_protection.simulation.staging import stage_named

    try:
        if settings.stages:
            return Programme([stage_named(name) for name in settings.stages.split(",")], settings.stage_s)
        return TownWorld(settings.seed, settings.map, settings.duck_every_s, assets=settings.assets)
    except ValueError as err:
        raise SettingsError(str(err)) from err


def start(parameters: Dict[str, Any]) -> None:
    """Runs the town until the node ends."""
    SimNode(settings_from(Settings, parameters)).run()


def main() -> None:
    """The executable."""
    run_node("sim_node", start)
