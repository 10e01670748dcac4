"""What every node of ours does at its start, and how it keeps time.

Promise: a bad setting ends the process before anything is published, with one line and exit code 2; a beat goes
on under /use_sim_time without a /clock, where rospy's timers and rates stand still, and with a master that is
frozen or cut off; a bug in it ends the process, so that the silence is heard. A log line that cannot be written,
on a full disk or to a terminal that is gone, is lost and ends nothing; one that must wait, for a slow card or a
terminal that somebody holds, is waited for by a thread of its own.
"""
from __future__ import annotations

import atexit
import copy
import logging
import queue
import sys
import time
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener
from typing import Any, Callable, Dict, TextIO

import rospy
from rospy.impl.paramserver import get_param_server_cache
from rospy.impl.rosout import RosOutHandler

from duck_protection.nodes.master import MasterWatch
from duck_protection.settings import SettingsError

OMIT_TOPICS = "/rosout_disable_topics_generation"  # ROS's name for: log lines without the list of our topics
LOG_LINES = 1000  # that may wait; what comes then is lost
LAST_LINES_S = 1.0  # at the end of the process, for what still waits
REFUSED = 2  # exit code of a node whose settings are bad: starting it again will not help


def run_node(name: str, start: Callable[[Dict[str, Any]], None]) -> None:
    """Runs a node until it is told to end.

    Args:
        name: The node's name, unless the launch file gives another.
        start: Takes the private parameters, publishes and subscribes, and returns only at the end (see every()).
            SettingsError from it is the refusal to start.
    """
    sys.stdout, sys.stderr = _Lossy(sys.stdout), _Lossy(sys.stderr)  # before rospy's log takes them
    rospy.init_node(name)
    _log_without_asking()
    log_without_waiting(logging.getLogger(), logging.getLogger("rosout"))
    parameters = private_parameters()
    MasterWatch(copy.deepcopy(parameters)).start()
    if rospy.get_time() == 0:
        rospy.logwarn("this node's clock stands at zero: /use_sim_time is set and nobody publishes /clock")
    try:
        start(parameters)
    except SettingsError as err:
        rospy.logfatal("%s does not start: %s", rospy.get_name(), err)
        sys.exit(REFUSED)


class _Lossy:
    """A text stream that loses what it cannot write. rospy's log writes from whatever thread logs, and lets the error
    out: into the loop that drives, or into the start of a node that roslaunch then starts again for ever.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _log_without_asking() -> None:
    """Makes rospy's log ask the master never again.

    With every line it asks whether OMIT_TOPICS is set, without a deadline, unless the answer is in its cache; an
    unset one never is. A master that is frozen or cut off would stop whatever loop logs.
    """
    get_param_server_cache().set(OMIT_TOPICS, rospy.get_param(OMIT_TOPICS, False))


class _Pigeonhole(QueueHandler):
    """Takes a record at once; when the thread behind is stuck for long, the record is lost."""

    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):
            self.queue.put_nowait(record)


def log_without_waiting(*loggers: logging.Logger) -> None:
    """Lets a thread write to files and terminals, for whoever logs may be the loop that says zero to the wheels.
    What rospy publishes as /rosout stays with its own thread."""
    for logger in loggers:
        waiting: queue.Queue[logging.LogRecord] = queue.Queue(LOG_LINES)
        slow = [handler for handler in logger.handlers if not isinstance(handler, RosOutHandler)]
        for handler in slow:
            logger.removeHandler(handler)
        logger.addHandler(_Pigeonhole(waiting))
        QueueListener(waiting, *slow, respect_handler_level=True).start()
        atexit.register(_wait_for_the_last, waiting)


def _wait_for_the_last(waiting: queue.Queue[logging.LogRecord]) -> None:
    until_s = time.monotonic() + LAST_LINES_S
    while waiting.unfinished_tasks and time.monotonic() < until_s:
        time.sleep(0.005)


def private_parameters() -> Dict[str, Any]:
    """All of ~, as it is: unknown keys are for the settings to refuse."""
    try:
        return dict(rospy.get_param("~"))
    except KeyError:
        return {}


def taken(parameters: Dict[str, Any], group: str) -> Dict[str, Any]:
    """The sub-dictionary of that name, taken out of the parameters; empty when it is not there."""
    inner = parameters.pop(group, {})
    if not isinstance(inner, dict):
        raise SettingsError(f"{group} must be a group of settings, is {inner!r}")
    return inner


def every(period_s: float, tick: Callable[[], None]) -> None:
    """Calls tick at a steady rate of the monotonic clock until the node ends; a stall is not made up for."""
    due_s = time.monotonic()
    while not rospy.is_shutdown():
        tick()
        now_s = time.monotonic()
        due_s = max(due_s + period_s, now_s)
        time.sleep(due_s - now_s)
