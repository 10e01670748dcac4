"""The operator's page and the black box of one or several robots, in one process.

Commands nothing: whatever happens here, the wheels do not notice. Promise: listens on this machine alone unless told;
one robot's silence is shown on its card and delays no other.

    Configuration: config/dashboard_node.yaml, each key with unit, range and reason
    Subscriber, for each robot: pictures, verdicts, the model's status, the guard's heartbeat and status,
        commands, a town's truth
    Client, for each robot: duck_protection_node/ask, duck_protection_node/check
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Dict, List

import rospkg
import rospy

from duck_protection.dashboard.app import Site
from duck_protection.dashboard.events import Event
from duck_protection.dashboard.ring import Ring
from duck_protection.dashboard.robot import Robot
from duck_protection.dashboard.serving import PageServer, token_from, write_token
from duck_protection.dashboard.store import EventStore
from duck_protection.nodes.black_box import BlackBox
from duck_protection.nodes.ears import Ears, Topics
from duck_protection.nodes.event_film import levels_of
from duck_protection.nodes.robot_desk import RobotDesk
from duck_protection.nodes.ros_node import every, run_node
from duck_protection.settings import RangeTable, SettingsError, check_ranges, settings_from

MB = 1_000_000
LOOK_HZ = 20.0  # for events: verdicts are looked at as they come, this is for silence


@dataclass(frozen=True)
class Settings:
    """Reasons stand in config/dashboard_node.yaml."""

    robots: str = "duckiebot"
    title: str = ""
    host: str = "127.0.0.1"
    port: int = 8090
    token_file: str = ""
    rate_hz: float = 10.0
    max_age_s: float = 0.40
    protection: str = "duck_protection_node"
    picture: str = "duck_protection_node/seen/image/compressed"
    status: str = "vlm_node/status"
    heartbeat: str = "lane_guard_node/heartbeat"
    permitted: str = "lane_guard_node/car_cmd"
    asked: str = "lane_controller_node/car_cmd"
    truth: str = ""
    events: str = ""
    disk_mb: float = 2000.0
    ring_s: float = 30.0
    ring_mb: float = 64.0
    ring_hz: float = 15.0
    before_s: float = 5.0
    after_s: float = 5.0

    RANGES: ClassVar[RangeTable] = {
        "port": (0, 65535), "rate_hz": (1.0, 30.0), "max_age_s": (0.05, 2.0), "disk_mb": (10.0, 1e6),
        "ring_s": (5.0, 600.0), "ring_mb": (1.0, 4000.0), "ring_hz": (1.0, 60.0), "before_s": (0.0, 300.0),
        "after_s": (0.0, 300.0),
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.before_s + self.after_s > self.ring_s:
            raise SettingsError(f"before_s and after_s must fit into ring_s = {self.ring_s:g} s together")
        if not self.names:
            raise SettingsError("robots must name one robot or more, separated by spaces, is ''")

    @property
    def names(self) -> List[str]:
        """The robots', each once."""
        return list(dict.fromkeys(self.robots.split()))

    @property
    def topics(self) -> Topics:
        """What is listened to."""
        verdict = f"{self.protection}/verdict"
        guard = f"{self.heartbeat.rpartition('/')[0]}/status" if self.heartbeat else ""  # of the same node
        return Topics(
            self.picture, verdict, self.status, self.heartbeat, guard, self.permitted, self.asked, self.truth
        )


class DashboardNode:
    """Everything in place before the page is served."""

    def __init__(self, settings: Settings) -> None:
        home = Path(rospkg.get_ros_home()) / "duck_protection"
        token = token_from(settings.token_file, settings.host)
        levels = {word: int(level) for word, level in levels_of().items()}
        robots = [Robot(name, max_age_s=settings.max_age_s) for name in settings.names]
        rings = {name: Ring(settings.ring_s, int(settings.ring_mb * MB)) for name in settings.names}
        folder = Path(settings.events).expanduser() if settings.events else home / "events"
        store = EventStore(folder, int(settings.disk_mb * MB))
        self.box = BlackBox(store, rings, settings.before_s, settings.after_s)
        hear = (settings.topics, settings.ring_hz, self._happened)
        self._ears = [Ears(robot, rings[robot.name], *hear) for robot in robots]
        desk = RobotDesk(settings.names, settings.protection)
        self.page = PageServer(Site(robots, store, desk, levels, settings.title, settings.rate_hz),
                               settings.host, settings.port, token)  # fmt: skip
        place = settings.token_file or str(home / f"dashboard_token_{self.page.port}")  # another port: another page's
        if not settings.token_file:
            write_token(Path(place), token)
        self.page.start()
        rospy.loginfo("the operator's page: %s/ (its token: %s); events: %s", self.page.url, place, folder)

    def tick(self) -> None:
        """Looks for silence."""
        for ears in self._ears:
            ears.look()
        if not self.page.alive and not rospy.is_shutdown():
            raise RuntimeError("the page's thread has ended: a bug, its traceback is above")

    def _happened(self, robot: Robot, event: Event) -> None:
        self.box.happened(robot.name, event, robot.picture()[1])


def start(parameters: Dict[str, Any]) -> None:
    """Runs the node until the end; refuses bad settings before anything listens."""
    settings = settings_from(Settings, parameters)
    try:
        node = DashboardNode(settings)
    except OSError as err:
        raise SettingsError(f"host {settings.host}, port {settings.port}, or the folder for events: {err}") from err
    rospy.on_shutdown(node.box.close)
    every(1 / LOOK_HZ, node.tick)
    node.page.stop()


def main() -> None:
    """The executable."""
    run_node("dashboard_node", start)
