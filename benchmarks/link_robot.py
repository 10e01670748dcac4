"""The robot's end of `./run bench link`: plays the camera, hears verdicts and the guard, all on the robot's own clock.

Prints one JSON object: how old the judged frames were when their verdicts were heard, and for which share of the time
the guard let a command of 0.19 m/s through.
"""
from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from typing import Callable, Dict, List

import rospy
from duck_protection.msg import DuckVerdict
from duckietown_msgs.msg import Twist2DStamped
from latency import RATE_HZ, VEH
from pictures import noisy
from sensor_msgs.msg import CompressedImage

from duck_protection.tally import quantile

SPEED_MPS = 0.19  # dt-core's v_bar
COMMAND_HZ = 20.0


class RobotEnd:
    """Camera and controller in two threads; ears in rospy's."""

    def __init__(self) -> None:
        self._pictures = noisy(11, 32)
        self.sent = 0
        self.ages_s: Dict[int, float] = {}  # by stamp, when a verdict about it was first heard
        self.permitted: List[float] = []
        camera = f"/{VEH}/camera_node/image/compressed"
        self._camera = rospy.Publisher(camera, CompressedImage, queue_size=1, tcp_nodelay=True)
        self._controller = rospy.Publisher(f"/{VEH}/lane_controller_node/car_cmd", Twist2DStamped, queue_size=1)
        rospy.Subscriber(f"/{VEH}/duck_protection_node/verdict", DuckVerdict, self._hear, tcp_nodelay=True)
        rospy.Subscriber(f"/{VEH}/lane_guard_node/car_cmd", Twist2DStamped, self._note)
        threading.Thread(target=self._steady, args=(RATE_HZ, self._show), daemon=True).start()
        threading.Thread(target=self._steady, args=(COMMAND_HZ, self._drive), daemon=True).start()

    def forget(self) -> None:
        """Starts the measurement."""
        self.sent, self.ages_s, self.permitted = 0, {}, []

    def _hear(self, verdict: DuckVerdict) -> None:
        if verdict.probabilities:
            self.ages_s.setdefault(verdict.header.stamp.to_nsec(), time.time() - verdict.header.stamp.to_sec())

    def _note(self, command: Twist2DStamped) -> None:
        self.permitted.append(command.v)

    def _show(self) -> None:
        message = CompressedImage(format="jpeg", data=self._pictures[self.sent % len(self._pictures)])
        message.header.stamp = rospy.Time.from_sec(time.time())
        self.sent += 1
        self._camera.publish(message)

    def _drive(self) -> None:
        self._controller.publish(Twist2DStamped(v=SPEED_MPS))

    @staticmethod
    def _steady(rate_hz: float, step: Callable[[], None]) -> None:
        due_s = time.monotonic()
        while not rospy.is_shutdown():
            step()
            due_s = max(due_s + 1 / rate_hz, time.monotonic())
            time.sleep(max(0.0, due_s - time.monotonic()))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settle", type=float, default=4.0, help="s, before the measurement")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    rospy.init_node("link_robot", anonymous=True)
    end = RobotEnd()
    begun_s = time.monotonic()
    while not end.ages_s and time.monotonic() < begun_s + 30.0:
        time.sleep(0.1)
    time.sleep(options.settle)
    end.forget()
    time.sleep(options.seconds)
    ages, moving = list(end.ages_s.values()), [v > 0 for v in end.permitted]
    json.dump({
        "frames_sent": end.sent, "frames_judged": len(ages), "judged_per_s": len(ages) / options.seconds,
        "age_p50_ms": 1e3 * quantile(ages, 0.5), "age_p95_ms": 1e3 * quantile(ages, 0.95),
        "age_max_ms": 1e3 * max(ages, default=float("nan")),
        "permitted_share": sum(moving) / max(1, len(moving)),
    }, sys.stdout)  # fmt: skip


if __name__ == "__main__":
    main()
