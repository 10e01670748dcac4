"""Faults of the camera: what it sends, when, and under which stamp."""
from __future__ import annotations

import struct
import time
import zlib
from random import Random
from typing import Any, Callable, Iterator, List, Optional

import rospy
from fault import Cause, Evidence, Fault
from robot import Bend, Shot, as_jpeg, scan_bomb
from sensor_msgs.msg import Image

LOST, KEPT, UNSURE = Evidence.LOST, Evidence.KEPT, Evidence.UNSURE
Make = Callable[[Any, Random], Bend]


def bent(make: Make) -> Cause:
    """The camera bends every picture so, from the cause to the end."""

    def cause(bed: Any, rng: Random) -> Iterator[None]:
        bend, whole = make(bed, rng), bed.camera.bend
        yield
        bed.camera.bend = bend
        try:
            yield
        finally:
            bed.camera.bend = whole

    return cause


def shaped(change: Callable[[Shot], None]) -> Cause:
    """Every picture is changed in place."""

    def bend(shot: Shot) -> List[Shot]:
        change(shot)
        return [shot]

    return bent(lambda _, __: bend)


def data(change: Callable[[bytes], bytes]) -> Cause:
    """Every picture has other bytes; its own tail keeps it distinct (robot.numbered)."""

    def change_data(shot: Shot) -> None:
        shot.data = change(shot.data)

    return shaped(change_data)


def shifted(seconds: float) -> Cause:
    """Every stamp is off by so much."""

    def change(shot: Shot) -> None:
        shot.header.stamp += rospy.Duration.from_sec(seconds)

    return shaped(change)


def stamped(stamp: rospy.Time) -> Cause:
    """Every picture has this stamp."""

    def change(shot: Shot) -> None:
        shot.header.stamp = stamp

    return shaped(change)


def raw(**fields: object) -> Cause:
    """Every raw picture has these fields."""

    def change(shot: Shot) -> None:
        for name, value in fields.items():
            setattr(shot, name, value)

    return shaped(change)


def silent(_: Any, __: Random) -> Bend:
    return lambda _: []


def ring(count: int) -> Make:
    """A stuck driver hands its last buffers round, under true stamps."""

    def make(bed: Any, _: Random) -> Bend:
        pictures: List[bytes] = []

        def bend(shot: Shot) -> List[Shot]:
            pictures[:] = [*pictures[1:], pictures[0]] if pictures else bed.camera.latest(count + 1)[1:]
            shot.data = pictures[0]
            return [shot]

        return bend

    return make


def thinned(rate_hz: float) -> Make:
    """A slow camera."""

    def make(_: Any, __: Random) -> Bend:
        last_s = [time.monotonic()]

        def bend(shot: Shot) -> List[Shot]:
            if time.monotonic() - last_s[0] < 1 / rate_hz:
                return []
            last_s[0] = time.monotonic()
            return [shot]

        return bend

    return make


def out_of_order(_: Any, __: Random) -> Bend:
    """Of three pictures the second, then the first; the third is lost."""
    state: List[Any] = [0, None]

    def bend(shot: Shot) -> List[Shot]:
        state[0] = (state[0] + 1) % 3
        if state[0] == 1:
            state[1] = shot
            return []
        return [shot] if state[0] == 2 else [state[1]]

    return bend


def same_stamp(_: Any, __: Random) -> Bend:
    """New pictures, all under the first one's stamp."""
    first: List[Optional[rospy.Time]] = [None]

    def bend(shot: Shot) -> List[Shot]:
        first[0] = first[0] or shot.header.stamp
        shot.header.stamp = first[0]
        return [shot]

    return bend


def backwards(_: Any, __: Random) -> Bend:
    """Each stamp a little before the one before."""
    first: List[Any] = [None, 0]

    def bend(shot: Shot) -> List[Shot]:
        first[0], first[1] = first[0] or shot.header.stamp, first[1] + 1
        shot.header.stamp = first[0] - rospy.Duration.from_sec(0.005 * first[1])
        return [shot]

    return bend


def one_in(count: int) -> Make:
    """One picture of so many is cut in half."""

    def make(_: Any, rng: Random) -> Bend:
        def bend(shot: Shot) -> List[Shot]:
            if rng.random() < 1 / count:
                shot.data = shot.data[: len(shot.data) // 2]
            return [shot]

        return bend

    return make


def other_topic(_: Any, __: Random) -> Bend:
    """The camera goes over from compressed to raw pictures."""
    publisher = rospy.Publisher("/duckie/camera_node/image", Image, queue_size=1)

    def bend(shot: Shot) -> List[Shot]:
        publisher.publish(Image(header=shot.header, width=2, height=1, step=6, encoding="rgb8", data=bytes(6)))
        return []

    return bend


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be so large, with next to nothing in it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0" * 50


def _fault(name: str, evidence: Evidence, cause: Cause, bed: str = "whole", **more: Any) -> Fault:
    return Fault(name, "camera", bed, evidence, cause, **more)


HTML = b"<html><body>camera settings</body></html>"
FAULTS: List[Fault] = [
    _fault("camera silent", LOST, bent(silent)),
    _fault("camera at 1 Hz", LOST, bent(thinned(1.0)), hold_s=2.5),
    _fault("camera at 5 Hz", UNSURE, bent(thinned(5.0))),
    _fault("camera at 10 Hz", KEPT, bent(thinned(10.0)), quarter=True),
    _fault("camera repeats one picture", LOST, bent(ring(1))),
    _fault("camera repeats four pictures", LOST, bent(ring(4)), quarter=True),
    _fault("pictures out of order", LOST, bent(out_of_order), quarter=True),
    _fault("one stamp for all pictures", LOST, bent(same_stamp), quarter=True),
    _fault("stamps that go back", LOST, bent(backwards)),
    _fault("no stamps", LOST, stamped(rospy.Time())),
    _fault("stamps of the year 2106", LOST, stamped(rospy.Time(2**32 - 1))),
    _fault("stamps 0.2 s ahead", LOST, shifted(0.2), quarter=True),
    _fault("stamps 100 s ahead", LOST, shifted(100.0)),
    _fault("stamps 1 s behind", LOST, shifted(-1.0)),
    _fault("JPEGs cut in half", LOST, data(lambda old: old[: len(old) // 2])),
    _fault("JPEGs cut in half and closed", LOST, data(lambda old: old[: len(old) // 2] + b"\xff\xd9")),
    _fault("one JPEG in five cut in half", UNSURE, bent(one_in(5))),
    _fault("JPEGs without tables", LOST, data(lambda old: old[:20] + bytes(140) + old[160:])),
    _fault("empty pictures", LOST, data(lambda _: b"")),
    _fault("HTML for a picture", LOST, data(lambda old: HTML + old[-99:])),
    _fault("a GIF", LOST, data(lambda old: as_jpeg((320, 240), "GIF") + old[-99:])),
    _fault("a picture of 8x8", LOST, data(lambda old: as_jpeg((8, 8)) + old[-99:])),
    _fault("a PNG of 60000x60000", LOST, data(lambda old: png_header(60000, 60000) + old[-99:])),
    _fault("pictures of 9 MB", LOST, data(lambda old: old + bytes(9 * 2**20))),
    _fault("JPEGs of 3000 scans", LOST, data(lambda old: scan_bomb() + old[-99:]), quarter=True),
    _fault("camera goes over to raw pictures", LOST, bent(other_topic)),
    _fault("raw: camera silent", LOST, bent(silent), "raw camera"),
    _fault("raw: unknown encoding", LOST, raw(encoding="bayer_rggb8"), "raw camera"),
    _fault("raw: sizes that do not fit", LOST, raw(height=241), "raw camera"),
]
