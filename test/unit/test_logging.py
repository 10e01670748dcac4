"""A log line is written by a thread of its own: whoever logs may be the loop that says zero to the wheels."""

from __future__ import annotations

import logging
import threading
import time
from typing import Iterator, List

import pytest

pytest.importorskip("rospy", reason="needs ROS: ./run test")

from duck_protection.governor import Permit
from duck_protection.nodes import governed_drive, ros_node
from duck_protection.verdict import Level


class Stuck(logging.Handler):
    """A terminal that somebody holds, or a card that takes its time, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.written: List[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.free.wait(20.0)
        self.written.append(self.format(record))


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    logger, handler = logging.getLogger("stuck"), Stuck()
    logger.handlers, logger.propagate = [handler], False
    ros_node.log_without_waiting(logger)
    yield handler
    handler.free.set()


def log(*lines: str) -> None:
    """On a thread that would not come back if it had to wait."""

    def write() -> None:
        for line in lines:
            logging.getLogger("stuck").warning(line)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(5.0)
    assert not thread.is_alive()


def test_a_line_that_cannot_be_written_now_holds_nobody_up_and_is_written_later(stuck: Stuck) -> None:
    log("one", "two")
    assert stuck.written == []
    stuck.free.set()
    until_s = time.monotonic() + 5.0
    while len(stuck.written) < 2 and time.monotonic() < until_s:
        time.sleep(0.01)
    assert stuck.written == ["one", "two"]


def test_what_comes_when_too_much_waits_is_lost_and_memory_does_not_grow(stuck: Stuck) -> None:
    log(*(str(number) for number in range(ros_node.LOG_LINES + 500)))
    stuck.free.set()
    until_s = time.monotonic() + 5.0
    while len(stuck.written) < ros_node.LOG_LINES and time.monotonic() < until_s:
        time.sleep(0.01)
    time.sleep(0.1)
    assert ros_node.LOG_LINES <= len(stuck.written) <= ros_node.LOG_LINES + 1
    assert stuck.written[0] == "0"


class Said:
    """A publisher that notes when it is used."""

    def __init__(self, name: str, order: List[str]) -> None:
        self._name, self._order = name, order

    def publish(self, _: object) -> None:
        self._order.append(self._name)


def test_the_command_and_the_heartbeat_go_out_before_anything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line about STOP stood before the zero."""
    order: List[str] = []
    monkeypatch.setattr(governed_drive.rospy, "loginfo", lambda *_: order.append("log"))
    monkeypatch.setattr(governed_drive.robot_messages, "now_header", lambda: None)
    monkeypatch.setattr(governed_drive.robot_messages, "car_cmd", lambda *_: None)
    port = object.__new__(governed_drive.GovernorPort)
    port._heartbeat, port._status = Said("heartbeat", order), Said("status", order)
    port._told, port._told_mono_s = None, 0.0
    stop = (0.0, 0.0, Permit(Level.STOP, 0.0, 0.0, "STOP: as judged"))
    monkeypatch.setattr(port, "command", lambda *_: stop, raising=False)
    drive = object.__new__(governed_drive.GovernedDrive)
    drive._car_cmd, drive._port, drive._ends = Said("command", order), port, False
    drive.drive(0.19, 0.0)
    assert order == ["command", "heartbeat", "status", "log"]
