#!/usr/bin/env python
"""A node with a bug in its beat: it must end, so that its silence is heard and it is started again."""
from __future__ import annotations

from typing import Any, Dict

from duck_protection.nodes.ros_node import every, run_node


def start(_: Dict[str, Any]) -> None:
    left = [3, 2, 1]
    every(0.05, lambda: print(1 / left.pop()))  # the fourth tick raises IndexError


run_node("broken", start)
