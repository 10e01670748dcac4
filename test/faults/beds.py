"""Where faults are tried: the real nodes, each in its own process, under a master of their own.

Promise: everything a bed starts ends with its with-block. A bed that stands drives: the scripted model says CLEAR,
the controller wants to go, and only the fault is missing.
"""
from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict

import rospy
from ledger import Ledger
from lying_server import RECORD, LyingServer
from machines import Clocks, Network
from robot import Camera, Witness, honest, word

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rostest"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from bench import answer, pid_of
from duck_protection.msg import DuckVerdict
from duck_protection.srv import InferImage
from rig import Town, release
from ros_processes import Process, master
from wire import ROBOT_IP

from duck_protection.nodes.master import MasterWatch

HERE = Path(__file__).resolve().parent
VEH = "duckie"
GUARD, WATCHDOG, FOLLOWER = f"/{VEH}/lane_guard_node", f"/{VEH}/watchdog_node", f"/{VEH}/lane_follower_node"
PROTECTION, MODEL = f"/{VEH}/duck_protection_node", f"/{VEH}/vlm_node"
VERDICT = f"{PROTECTION}/verdict"
SCRIPTS = HERE.parent / "rostest" / "scripts"
THRESHOLDS = HERE.parent / "rostest" / "thresholds.yaml"
START_S = 40.0
DRIVE_S = 15.0  # for the next run: twice and more what recovery may take


class NotDrivingError(Exception):
    """The bed does not drive, so no fault can be tried in it."""


class Bed:
    """A robot and its workstation. Faults bend its parts."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.ledger = Ledger()
        self.driver = GUARD  # the node that commands the wheels
        self.camera: Camera
        self.town: Town
        self.words = self.ledger.words  # where the witness writes down what it hears
        self.part: Any = None  # what only this kind of bed has: a lying server, a network

    def launch(self, file: str, *before: str, **arguments: object) -> None:
        """A launch file of the package or of this folder. before: words in front of roslaunch."""
        ours = HERE / file
        place = [str(ours)] if ours.exists() else ["duck_protection", file]
        words = [f"{key}:={value}" for key, value in {"veh": VEH, **arguments}.items()]
        command = [*before, "roslaunch", "--wait", *place, *words]
        self.stack.enter_context(Process(command, self.folder / f"{Path(file).stem}.txt"))

    def enter(self, context: Any) -> Any:
        """Ends with the bed."""
        return self.stack.enter_context(context)

    def start_master(self, port: int = 0, host: str = "localhost") -> None:
        """A new master; on the old one's port, when that is given."""
        self.enter(master(self.folder, port, host))

    def people(self, raw: bool = False) -> None:
        """The camera, the controller and the witness: this process becomes a node."""
        rospy.init_node("eyewitness", disable_signals=True)
        logging.getLogger("rosout").setLevel(logging.CRITICAL)  # the terminal is for the figures
        MasterWatch({}).start()  # this process publishes too
        car_cmds = [f"{self.driver}/car_cmd", f"/{VEH}/car_cmd_switch_node/cmd"]
        Witness(self.ledger, self.words, VERDICT, car_cmds, f"/{VEH}/wheels_driver_node/wheels_cmd")
        topic = f"/{VEH}/camera_node/image" + ("" if raw else "/compressed")
        self.camera = Camera(topic, self.ledger, raw)
        self.town = Town("/nobody/verdict", f"/{VEH}/lane_controller_node/car_cmd", f"/{VEH}/lane_pose")

    def drive(self, limit_s: float = DRIVE_S) -> None:
        """Everything whole, and wheels that turn steadily.

        Raises:
            NotDrivingError: not within limit_s.
        """
        self.camera.bend = honest
        self.town.reset()
        begun_s = time.monotonic()
        while self.ledger.steady_since(begun_s) is None:
            if time.monotonic() > begun_s + limit_s:
                raise NotDrivingError(f"no steady driving within {limit_s:.0f} s")
            if rospy.is_shutdown():
                raise NotDrivingError("the witness was shut down")
            time.sleep(0.02)

    @property
    def driver_log(self) -> Path:
        """What the driver and its neighbours on the robot have said."""
        return self.folder / ("follower.txt" if self.driver == FOLLOWER else "robot.txt")

    def released(self) -> None:
        """A person looks under the bumper."""
        release(f"{self.driver}/release")

    def pid(self, node: str) -> int:
        """The node's process."""
        ends_s = time.monotonic() + 10.0
        while time.monotonic() < ends_s:
            found = pid_of(node)
            if found is not None:
                return found
            time.sleep(0.05)
        raise NotDrivingError(f"{node} has no process")


def standing(name: str, folder: Path, stack: ExitStack) -> Bed:
    """The bed of this name, driving."""
    os.environ["PYTHONUNBUFFERED"] = "1"  # the nodes' last lines are in their logs when somebody looks there
    bed = Bed(folder, stack)
    BEDS[name](bed)
    bed.drive(START_S)
    return bed


def _workstation(bed: Bed, *before: str, **arguments: object) -> None:
    script = {"backend": "scripted", "script": SCRIPTS / "clear.yaml", "thresholds": THRESHOLDS}
    bed.launch("workstation.launch", *before, **{**script, **arguments})


def _whole(bed: Bed) -> None:
    bed.start_master()
    _workstation(bed)
    bed.launch("robot.launch")
    bed.people()


def _raw(bed: Bed) -> None:
    bed.start_master()
    _workstation(bed, raw="true")
    bed.launch("robot.launch")
    bed.people(raw=True)


def _follower(bed: Bed) -> None:
    bed.driver = FOLLOWER
    bed.start_master()
    _workstation(bed)
    bed.launch("follower.launch")
    bed.people()


class LyingModel:
    """~infer in this process; `say` answers."""

    def __init__(self) -> None:
        self.say: Callable[[Any], Any] = answer
        self.serve()

    def serve(self) -> None:
        """Offers the service as it should be."""
        self.service = rospy.Service(f"{MODEL}/infer", InferImage, lambda request: self.say(request))


def _lying_model(bed: Bed) -> None:
    bed.start_master()
    bed.launch("protection_alone.launch", thresholds=THRESHOLDS)
    bed.launch("robot.launch")
    bed.people()
    bed.part = LyingModel()


def _remote_server(bed: Bed) -> None:
    bed.part = bed.enter(LyingServer())
    record = bed.folder / "record.yaml"
    record.write_text(RECORD, encoding="utf-8")
    bed.start_master()
    bed.launch("workstation.launch", backend="remote", server_url=bed.part.url, thresholds=record)
    bed.launch("robot.launch")
    bed.people()


def _two_machines(bed: Bed, link: str = "false", **arguments: object) -> None:
    def tell(mono_s: float, data: bytes) -> None:
        bed.ledger.words.append(word(mono_s, DuckVerdict().deserialize(data)))

    bed.part = Network(bed.stack, bed.folder, bed.driver, VERDICT, tell)
    bed.words = bed.ledger.own_words
    bed.start_master(host=ROBOT_IP)
    _workstation(bed, *bed.part.there, **arguments)
    bed.launch("robot.launch", link=link)
    bed.people()


def _paced(bed: Bed) -> None:
    """Two machines, and link_node sends only as many pictures as come back judged."""
    _two_machines(bed, "true", camera="link_node")


def _two_clocks(bed: Bed) -> None:
    bed.part = Clocks(bed.folder)
    bed.part.set("robot", 0.0)
    bed.part.set("work", 1.0)
    bed.start_master()
    _workstation(bed, *bed.part.words("work"))
    bed.launch("robot.launch", *bed.part.words("robot"))
    bed.people()


def _small_disk(bed: Bed) -> None:
    bed.folder = bed.folder / "small"
    bed.folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "small", str(bed.folder)], check=True)
    _whole(bed)


BEDS: Dict[str, Callable[[Bed], None]] = {
    "whole": _whole, "raw camera": _raw, "follower": _follower, "lying model": _lying_model,
    "remote server": _remote_server, "two machines": _two_machines, "paced": _paced, "two clocks": _two_clocks,
    "small disk": _small_disk,
}  # fmt: skip
