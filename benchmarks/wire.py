"""A wire between robot and workstation that a process carries packet by packet: what every such relay here needs.

Stands in for netem, which not every kernel has. Answers: how does a process get packets, and how does it hold them
back? What happens to them on the way, and between which network namespaces, is the relay's own matter.
"""
from __future__ import annotations

import fcntl
import heapq
import os
import struct
from typing import Iterator, List, Tuple

ROBOT_IP, WORK_IP = "10.77.0.1", "10.77.0.2"
TUN, TAP = 0x1, 0x2  # IP packets or Ethernet frames; linux/if_tun.h, as the next two
TUNSETIFF, IFF_NO_PI = 0x400454CA, 0x1000
PACKET_BYTES = 2**16
AT_ONCE = 64  # packets read in a row, so that the other way gets its turn


def device(name: str, kind: int) -> int:
    """A new network device whose other end is this descriptor; it lasts as long as the descriptor. kind: TUN or TAP."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH", name.encode(), kind | IFF_NO_PI))
    return descriptor


def packets(descriptor: int) -> List[bytes]:
    """What has come there, the oldest first; at most AT_ONCE."""
    found: List[bytes] = []
    while len(found) < AT_ONCE:
        try:
            found.append(os.read(descriptor, PACKET_BYTES))
        except BlockingIOError:
            break
    return found


class Held:
    """Packets under way, each until it is due; of two that are due at once, the older first."""

    def __init__(self) -> None:
        self._heap: List[Tuple[float, int, int, bytes]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, due_s: float, to: int, packet: bytes) -> None:
        """to: the descriptor that gets it at due_s."""
        self._count += 1
        heapq.heappush(self._heap, (due_s, self._count, to, packet))

    def wait_s(self, now_s: float, most_s: float) -> float:
        """Until the next is due, at most most_s."""
        return min(most_s, max(0.0, self._heap[0][0] - now_s)) if self._heap else most_s

    def due(self, now_s: float) -> Iterator[Tuple[int, bytes]]:
        """Takes out what is due by now: to whom, and the packet."""
        while self._heap and self._heap[0][0] <= now_s:
            _, _, to, packet = heapq.heappop(self._heap)
            yield to, packet
