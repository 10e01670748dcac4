"""What both relays hold packets with."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from wire import Held


def test_packets_leave_when_due_and_of_two_at_once_the_older_first() -> None:
    held = Held()
    for due_s, packet in ((2.0, b"late"), (1.0, b"one"), (1.0, b"two")):
        held.put(due_s, 3, packet)
    assert held.wait_s(0.25, 5.0) == 0.75 and held.wait_s(0.25, 0.5) == 0.5 and held.wait_s(9.0, 5.0) == 0.0
    assert list(held.due(0.9)) == [] and list(held.due(1.0)) == [(3, b"one"), (3, b"two")]
    assert len(held) == 1 and list(held.due(2.0)) == [(3, b"late")] and held.wait_s(0.0, 5.0) == 5.0
