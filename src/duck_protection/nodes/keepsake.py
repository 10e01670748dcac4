"""A word that a node must still know when it is started anew: kept beside it by the ROS master.

A process that died remembers nothing, and roslaunch starts the next one within a second. The word is the parameter
NODE_keepsake, not one of the node's own, which are settings. Promise: keep() never waits for the master; what was kept
last is with a master that answers within a second or two, with one that was frozen or restarted too; recalled() asks
once, at the start.
"""
from __future__ import annotations

import threading
from contextlib import suppress

import rosgraph
import rospy

from duck_protection.nodes.master import FAILURES, proxy

AGAIN_S = 1.0  # said again and again: the master may be another one, or have done late what it was told before


class Keepsake:
    """One word, empty when there is nothing to know. Call keep() from any thread."""

    def __init__(self) -> None:
        self._name = rospy.get_name() + "_keepsake"
        self._word = ""
        self._changed = threading.Event()

    def recalled(self) -> str:
        """What the process before this one kept; from now on what is kept is written."""
        self._word = str(rospy.get_param(self._name, ""))
        threading.Thread(target=self._write, name="keepsake", daemon=True).start()
        return self._word

    def keep(self, word: str) -> None:
        """Remember this and forget what was before."""
        if word != self._word:
            self._word = word
            self._changed.set()

    def _write(self) -> None:
        if not self._word:
            self._changed.wait()  # most nodes never have anything to keep
        while not rospy.is_shutdown():
            self._changed.clear()
            with suppress(*FAILURES), proxy(rosgraph.get_master_uri()) as master:
                master.setParam(rospy.get_name(), self._name, self._word)
            self._changed.wait(AGAIN_S)
