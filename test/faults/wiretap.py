"""What reaches a node over the network, read from the packets under way: one topic, one subscriber.

Answers: which messages did the guard's machine get, and when? Asks neither the guard nor a connection beside it, which
may be back sooner or later than the guard's own. Knows no ROS but its wire format. Promise: a message counts when its
last byte and all before it have come, over a connection that the subscriber has opened and not yet closed.
"""
from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Dict, List, Optional, Set, Tuple

ETHERNET_BYTES, IPV4, TCP = 14, b"\x08\x00", 6
FIN, SYN, RST, ACK = 1, 2, 4, 16
HEADER_BYTES = 2**16  # a subscriber's header holds its message definition; more is no such header
Ports = Tuple[int, int]  # the subscriber's, the publisher's


@dataclass(frozen=True)
class Segment:
    """A piece of a TCP stream."""

    source: int
    target: int
    seq: int
    flags: int
    data: bytes


def segment(frame: bytes) -> Optional[Segment]:
    """The TCP segment in this Ethernet frame; None: it carries something else."""
    if len(frame) < 54 or frame[12:14] != IPV4 or frame[23] != TCP:
        return None
    begins = ETHERNET_BYTES + (frame[14] & 15) * 4
    source, target, seq, _, offset, flags = struct.unpack_from("!HHIIBB", frame, begins)
    ends = ETHERNET_BYTES + int(struct.unpack_from("!H", frame, 16)[0])
    return Segment(source, target, seq, flags, frame[begins + (offset >> 4) * 4 : ends])


class Stream:
    """One direction's bytes in their order, in whatever order, and however often, their segments come."""

    def __init__(self, syn_seq: int) -> None:
        self._next = (syn_seq + 1) % 2**32
        self._early: Dict[int, bytes] = {}
        self.data = bytearray()  # whoever reads takes out what was read

    def take(self, seq: int, data: bytes) -> None:
        """A segment's data."""
        self._early[seq] = max(data, self._early.get(seq, b""), key=len)
        while self._grown():
            pass

    def _grown(self) -> bool:
        for seq, data in self._early.items():
            known = (self._next - seq) % 2**32  # bytes of it that were there before
            if known < 2**31:
                del self._early[seq]
                self.data += data[known:]
                self._next = (self._next + len(data[known:])) % 2**32
                return True
        return False

    def blocks(self) -> List[bytes]:
        """Takes out whole blocks, as TCPROS sends its header and every message: four bytes of length, then so many."""
        found = []
        while len(self.data) >= 4 and len(self.data) >= 4 + self.announced:
            size = 4 + self.announced
            found.append(bytes(self.data[4:size]))
            del self.data[:size]
        return found

    @property
    def announced(self) -> int:
        """The next block's length, when four bytes are there."""
        return int(struct.unpack_from("<I", self.data)[0])


class Wiretap:
    """Follows every connection that this subscriber opens for this topic.

    Args:
        subscriber: The node's full name.
        topic: The topic's.
    """

    def __init__(self, subscriber: str, topic: str) -> None:
        self._wanted = {f"callerid={subscriber}".encode(), f"topic={topic}".encode()}
        self._asking: Dict[Ports, Stream] = {}  # opened from the subscriber's machine; for what, is not known yet
        self._answers: Dict[Ports, Stream] = {}
        self._greeted: Dict[Ports, bool] = {}  # the connections that are followed: has the publisher's header passed?

    def sent(self, frame: bytes) -> None:
        """A frame that leaves the subscriber's machine, whether it arrives or not."""
        piece = segment(frame)
        if piece is None:
            return
        ports = (piece.source, piece.target)
        if piece.flags & (SYN | FIN | RST):
            self._forget(ports)
            if piece.flags & (SYN | ACK) == SYN:
                self._asking[ports] = Stream(piece.seq)
        elif ports in self._asking and piece.data:
            self._asking[ports].take(piece.seq, piece.data)
            self._recognise(ports)

    def reached(self, frame: bytes) -> List[bytes]:
        """A frame that is handed to the subscriber's machine now: the messages that are whole with it, serialised."""
        piece = segment(frame)
        if piece is None:
            return []
        ports = (piece.target, piece.source)
        if piece.flags & SYN and ports in self._asking:
            self._answers[ports] = Stream(piece.seq)
        if not piece.data or ports not in self._answers:
            return []
        self._answers[ports].take(piece.seq, piece.data)
        blocks = self._answers[ports].blocks() if ports in self._greeted else []
        if blocks and not self._greeted[ports]:
            self._greeted[ports] = True
            blocks = blocks[1:]
        return blocks

    def _recognise(self, ports: Ports) -> None:
        """From the subscriber's header: is it ours? Anything else, such as XML-RPC, is forgotten."""
        stream = self._asking[ports]
        if len(stream.data) >= 4 and stream.announced > HEADER_BYTES:
            self._forget(ports)
            return
        for header in stream.blocks()[:1]:
            if self._wanted <= _fields(header):
                del self._asking[ports]
                self._greeted[ports] = False
            else:
                self._forget(ports)

    def _forget(self, ports: Ports) -> None:
        for table in (self._asking, self._answers, self._greeted):
            table.pop(ports, None)


def _fields(header: bytes) -> Set[bytes]:
    stream, found = Stream(0), set()
    stream.data += header
    found.update(stream.blocks())
    return found
