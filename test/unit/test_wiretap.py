"""The campaign's tap on the guard's own packets: whole messages, in whatever order their pieces come, and no others."""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path
from typing import List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from wiretap import ACK, FIN, RST, SYN, Wiretap, segment

GUARD, TOPIC, PORTS = "/duckie/lane_guard_node", "/duckie/duck_protection_node/verdict", (40000, 50000)


def frame(ports: tuple, seq: int, flags: int, data: bytes = b"") -> bytes:
    """An Ethernet frame with a TCP segment, padded as short frames are."""
    tcp = struct.pack("!HHIIBBHHH", *ports, seq % 2**32, 0, 5 << 4, flags, 0, 0, 0)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0, 64, 6, 0, b"\x0a\x4d\0\1", b"\x0a\x4d\0\2")
    return (bytes(12) + b"\x08\x00" + ip + tcp + data).ljust(60, b"\0")


def block(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def header(**fields: str) -> bytes:
    return block(b"".join(block(f"{name}={value}".encode()) for name, value in fields.items()))


def opened(tap: Wiretap, callerid: str = GUARD, topic: str = TOPIC, seq: int = 7, ports: tuple = PORTS) -> int:
    """A connection whose headers have passed; the next sequence number of what comes back."""
    asked = header(callerid=callerid, topic=topic, message_definition="x" * 3000)
    tap.sent(frame(ports, seq, SYN))
    tap.reached(frame(ports[::-1], seq, SYN | ACK))
    for at in range(0, len(asked), 1400):  # a message definition is longer than a packet
        tap.sent(frame(ports, seq + 1 + at, ACK, asked[at : at + 1400]))
    answer = header(callerid="/duckie/duck_protection_node")
    assert tap.reached(frame(ports[::-1], seq + 1, ACK, answer)) == []
    return seq + 1 + len(answer)


def come(tap: Wiretap, seq: int, data: bytes) -> List[bytes]:
    return tap.reached(frame(PORTS[::-1], seq, ACK, data))


def test_a_message_counts_when_its_last_byte_and_all_before_it_have_come() -> None:
    tap = Wiretap(GUARD, TOPIC)
    seq, data = opened(tap), block(b"first") + block(b"second")
    assert come(tap, seq + 9, data[9:]) == []  # the first message was lost
    assert come(tap, seq, data[:4]) == []
    assert come(tap, seq, data[:12]) == [b"first", b"second"]  # sent again, more of it
    assert come(tap, seq, data[:12]) == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_every_message_comes_once_and_in_order_whatever_happens_to_the_segments(
    messages: List[bytes], start: int, chance: random.Random
) -> None:
    tap = Wiretap(GUARD, TOPIC)
    seq, data = opened(tap, seq=start), b"".join(map(block, messages))
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(10))
    pieces = [(a, data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)])]
    twice = [*pieces, *(piece for piece in pieces if chance.random() < 0.5)]
    chance.shuffle(twice)
    assert [message for at, piece in twice for message in come(tap, seq + at, piece)] == messages


@pytest.mark.parametrize("other", [{"callerid": "/eyewitness"}, {"topic": "/duckie/camera_node/image"}])
def test_other_subscribers_and_other_topics_are_not_heard(other: dict) -> None:
    tap = Wiretap(GUARD, TOPIC)
    assert come(tap, opened(tap, **other), block(b"not ours")) == []


@pytest.mark.parametrize("end", [FIN | ACK, RST])
def test_what_comes_after_the_guard_has_closed_does_not_reach_it_until_it_opens_anew(end: int) -> None:
    tap = Wiretap(GUARD, TOPIC)
    seq = opened(tap)
    tap.sent(frame(PORTS, 5000, end))
    assert come(tap, seq, block(b"too late")) == []
    assert come(tap, opened(tap, seq=900), block(b"heard")) == [b"heard"]


def test_calls_and_foreign_packets_are_passed_over() -> None:
    tap = Wiretap(GUARD, TOPIC)
    tap.sent(frame(PORTS, 7, SYN))
    tap.sent(frame(PORTS, 8, ACK, b"POST /RPC2 HTTP/1.1\r\n"))
    for data in (b"", bytes(60), frame(PORTS, 1, ACK)[:40], b"\xff" * 60):
        assert segment(data) is None
        tap.sent(data)
        assert tap.reached(data) == []
