"""A log line is written by a thread of its own: whoever logs may be the loop that says zero to the wheels."""

from __future__ import annotations

import logging
import threading
import time
from typing import Iterator, List

import pytest

pytest.importorskip("rospy", reason="needs ROS: ./run test")

from duck_protection.nodes import ros_node


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
