#!/usr/bin/env python
"""Raw pictures reach the model pixel by pixel, in whatever encoding we read; others are UNKNOWN, with the reason."""
from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import List, Optional

import numpy as np
import rospy
import rostest
from sensor_msgs.msg import CompressedImage, Image

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.msg import DuckVerdict
from duck_protection.srv import InferImage, InferImageRequest, InferImageResponse
from stall_guard import seconds_until, undisturbed

from duck_protection.frames import decode

WIDTH, HEIGHT = 64, 48


class Raw(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.seen: Optional[np.ndarray] = None
        cls.rng = np.random.default_rng(5)
        rospy.Service("vlm_node/infer", InferImage, cls.infer)
        cls.publisher = rospy.Publisher("camera_node/image", Image, queue_size=1)
        cls.ear = bench.Ear()
        cls.ear.wait(lambda _: True, 10.0)
        seconds_until(lambda: cls.publisher.get_num_connections() > 0, 5.0, "the protection listens")

    @classmethod
    def infer(cls, request: InferImageRequest) -> InferImageResponse:
        cls.seen = decode(request.image.data)
        return bench.answer(request)

    def verdict_of(self, picture: np.ndarray, encoding: str, /, **changes: object) -> DuckVerdict:
        """Sends one picture, and returns the verdict about it."""
        message = Image(height=picture.shape[0], width=picture.shape[1], encoding=encoding, data=picture.tobytes())
        message.step = picture[0].nbytes
        for name, value in changes.items():
            setattr(message, name, value)
        message.header.stamp = rospy.Time.now()
        self.publisher.publish(message)
        return self.ear.wait(lambda verdict: verdict.header.stamp == message.header.stamp, 3.0)[1]

    def picture(self, channels: int = 3) -> np.ndarray:
        shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
        return self.rng.integers(0, 255, shape).astype(np.uint8)

    @undisturbed
    def test_rgb8_bgr8_and_mono8_arrive_pixel_by_pixel(self) -> None:
        rgb, bgr, grey = self.picture(), self.picture(), self.picture(1)
        for picture, encoding, shown in (
            (rgb, "rgb8", rgb),
            (bgr, "bgr8", bgr[:, :, ::-1]),
            (grey, "mono8", np.repeat(grey[:, :, None], 3, axis=2)),
        ):
            with self.subTest(encoding):
                self.assertEqual(self.verdict_of(picture, encoding).level, DuckVerdict.CLEAR)
                np.testing.assert_array_equal(self.seen, shown)

    @undisturbed
    def test_rows_with_padding_arrive_without_it(self) -> None:
        padded = self.rng.integers(0, 255, (HEIGHT, WIDTH * 3 + 10)).astype(np.uint8)
        self.assertEqual(self.verdict_of(padded, "rgb8", width=WIDTH).level, DuckVerdict.CLEAR)
        np.testing.assert_array_equal(self.seen, padded[:, : WIDTH * 3].reshape(HEIGHT, WIDTH, 3))

    def test_who_looks_sees_raw_pictures_as_jpegs(self) -> None:
        looked: List[CompressedImage] = []
        seen = rospy.Subscriber("duck_protection_node/seen/image/compressed", CompressedImage, looked.append)
        self.addCleanup(seen.unregister)
        seconds_until(lambda: seen.get_num_connections() > 0, 5.0, "the protection passes pictures on")
        flat = np.full((HEIGHT, WIDTH, 3), (200, 120, 40), np.uint8)

        def shown() -> bool:
            flat[0, 0] += 1  # a repeated picture is no evidence; and the connection may not yet be the publisher's
            self.verdict_of(flat, "rgb8")
            return bool(looked)

        seconds_until(shown, 10.0, "a picture is passed on")
        picture = decode(looked[-1].data)
        self.assertEqual((looked[-1].format, picture.shape), ("jpeg", flat.shape))
        self.assertLess(np.abs(picture[8:, 8:].astype(int) - flat[8:, 8:]).max(), 12)

    @undisturbed
    def test_what_we_do_not_read_is_unknown_and_the_node_lives(self) -> None:
        for name, changes in {
            "an encoding we do not read": {"encoding": "bayer_rggb8"},
            "no encoding": {"encoding": ""},
            "no bytes": {"data": b""},
            "too few bytes": {"data": b"abc"},
            "a step that is too small": {"step": 3},
            "no height": {"height": 0},
            "no width": {"width": 0},
            "a bomb": {"height": 60000, "width": 60000, "step": 180000},
        }.items():
            with self.subTest(name):
                verdict = self.verdict_of(self.picture(), "rgb8", **changes)
                self.assertEqual(verdict.level, DuckVerdict.UNKNOWN)
                self.assertTrue(verdict.reason.startswith("unreadable: "), verdict.reason)
        self.assertEqual(self.verdict_of(self.picture(), "rgb8").level, DuckVerdict.CLEAR)


if __name__ == "__main__":
    rospy.init_node("check_protection_raw")
    rostest.rosrun("duck_protection", "protection_raw", Raw)
