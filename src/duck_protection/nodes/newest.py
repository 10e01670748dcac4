"""A thread that shows things to people: the newest only, at most so many times a second.

Promise: whoever hands something over never waits; what was not shown in time is never shown.
"""
from __future__ import annotations

import threading
import time
from typing import Callable, TypeVar

import rospy

from duck_protection.slot import Slot

T = TypeVar("T")


def show_newest(slot: Slot[T], show: Callable[[T], None], rate_hz: float, name: str) -> None:
    """Starts the thread; it ends with the node, or when the slot is closed."""

    def run() -> None:
        while not rospy.is_shutdown():
            taken = slot.take()
            if taken is None:
                return
            show(taken)
            time.sleep(1 / rate_hz)  # a rate limit, nothing waits for it

    threading.Thread(target=run, name=name, daemon=True).start()
