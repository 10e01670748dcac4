#!/usr/bin/env python
"""vlm_node answers every request, whatever is in it, with a status, and says the request's stamp and choices again."""
from __future__ import annotations

import struct
import sys
import threading
import time
import unittest
import zlib
from pathlib import Path
from typing import Any, List

import rospy
import rostest
from sensor_msgs.msg import CompressedImage

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.srv import InferImage, InferImageRequest, InferImageResponse
from stall_guard import seconds_until, undisturbed

from duck_protection.nodes.bounded_service import BoundedService

SERVICE = "/duckie/vlm_node/infer"
R = InferImageResponse
LIMIT_S = 5.0  # for any answer of any kind
JPEG = bench.noisy_jpegs(1)[0]
WORDS = ["Clear", "Slow", "Stop"]


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be so large, with next to nothing in it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0" * 50


def request(**changes: Any) -> InferImageRequest:
    image = CompressedImage(format="jpeg", data=changes.pop("data", JPEG))
    image.header.stamp = changes.pop("stamp", rospy.Time(7, 8))
    fields = {"prompt": "Is a duck there?", "choices": WORDS, "deadline_s": 2.0, **changes}
    return InferImageRequest(image=image, **fields)


class VlmAnswers(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.model = bench.Model()

    def ask(self, role: str = "", **changes: Any) -> InferImageResponse:
        service = BoundedService(SERVICE, InferImage, role=role)
        try:
            return service.call(request(**changes), LIMIT_S)
        finally:
            service.close()

    def test_an_answer_has_probabilities_timings_and_the_requests_stamp_and_choices(self) -> None:
        self.model.have("clear")
        got = self.ask()
        self.assertEqual((got.status, got.error), (R.OK, ""))
        self.assertEqual((got.stamp, got.choices), (rospy.Time(7, 8), WORDS))
        self.assertEqual([round(p, 3) for p in got.probabilities], [0.97, 0.02, 0.01])
        self.assertAlmostEqual(got.off_mass, 0.02, places=3)
        self.assertEqual((got.model, got.revision, got.dtype, got.backend), ("scripted", "0", "none", "scripted"))
        self.assertTrue(0 < got.decode_ms < 100 and 0 <= got.wait_ms < 100 and 0 <= got.infer_ms < 100, got)

    def test_a_free_question_gets_text_and_no_more_tokens_than_wanted(self) -> None:
        self.model.have("clear")
        self.assertEqual(self.ask(choices=[]).text, "The road is clear.")
        self.assertEqual(self.ask(choices=[], max_tokens=2).text, "The road")

    def test_pictures_that_cannot_be_read_are_unreadable(self) -> None:
        for name, data in {
            "empty": b"",
            "no picture": b"no picture at all",
            "truncated": JPEG[: len(JPEG) // 2],
            "truncated in the header": JPEG[:20],
            "0x0": png_header(0, 0),
            "a bomb": png_header(60000, 60000),
            "too small": bench.noisy_jpegs(1, (20, 20))[0][:-600],
            "too many bytes": JPEG + b"\0" * 8 * 1024 * 1024,
            "another format": b"GIF89a" + JPEG,
        }.items():
            with self.subTest(name):
                got = self.ask(data=data)
                self.assertEqual(got.status, R.UNREADABLE, got.error)
                self.assertTrue(got.error)
                self.assertEqual((got.stamp, got.choices), (rospy.Time(7, 8), WORDS))
        self.assertEqual(self.ask().status, R.OK)

    def test_bad_requests_are_refused_in_words(self) -> None:
        for name, changes in {
            "no prompt": {"prompt": "  "},
            "no prompt for text": {"prompt": "", "choices": []},
            "one choice": {"choices": ["Clear"]},
            "twice the same choice": {"choices": ["Clear", "Clear"]},
            "an empty choice": {"choices": ["Clear", ""]},
            "no deadline": {"deadline_s": 0.0},
            "a deadline in the past": {"deadline_s": -1.0},
            "NaN": {"deadline_s": float("nan")},
            "an endless deadline": {"deadline_s": float("inf")},
        }.items():
            with self.subTest(name):
                got = self.ask(**changes)
                self.assertEqual(got.status, R.BAD_REQUEST, got.error)
                self.assertTrue(got.error)

    def test_every_error_of_the_model_has_its_status(self) -> None:
        self.model.play("failing")
        got = [self.ask().status for _ in range(8)]
        self.assertEqual(
            got, [R.OUT_OF_MEMORY, R.MODEL_ERROR, R.LATE, R.BUSY, R.LOADING, R.BAD_REQUEST, R.MODEL_ERROR, R.OK]
        )
        said = [text for _, text in self.model.status]
        self.assertEqual(said[-3:], ["ready: scripted", "out of memory: out of memory", "ready: scripted"])

    @undisturbed
    def test_a_model_that_hangs_is_late_by_the_deadline_and_a_full_queue_is_busy_at_once(self) -> None:
        self.model.play("hang")
        self.assertEqual([self.ask().status for _ in range(3)], [R.OK] * 3)
        begun_s = time.monotonic()
        self.assertEqual(self.ask(deadline_s=0.3).status, R.LATE)
        self.assertTrue(0.3 <= time.monotonic() - begun_s < 0.5)
        answers: List[int] = []
        waiting = [
            threading.Thread(target=lambda who=who: answers.append(self.ask(who, deadline_s=2.0).status), daemon=True)
            for who in "abcd"
        ]
        for thread in waiting:
            thread.start()
        seconds_until(lambda: answers == [R.BUSY, R.BUSY], 0.5, "two of four are turned away at once")
        for thread in waiting:
            thread.join(5.0)
        self.assertEqual(answers, [R.BUSY, R.BUSY, R.LATE, R.LATE])

    @undisturbed
    def test_a_newer_request_of_the_same_asker_takes_the_place_of_the_older(self) -> None:
        self.model.play("hang")
        self.assertEqual([self.ask().status for _ in range(3)], [R.OK] * 3)
        self.assertEqual(self.ask("other", deadline_s=0.1).status, R.LATE)  # the model hangs on this one
        answers: List[InferImageResponse] = []
        waiting = [
            threading.Thread(target=lambda: answers.append(self.ask(deadline_s=3.0)), daemon=True) for _ in range(2)
        ]
        for thread in waiting:
            thread.start()
        seconds_until(lambda: len(answers) == 1, 1.0, "the older one is told at once")
        self.assertEqual(answers[0].status, R.LATE)
        self.assertIn("newer", answers[0].error)
        waiting[0].join(5.0)
        waiting[1].join(5.0)
        self.assertEqual([got.status for got in answers], [R.LATE, R.LATE])

    @undisturbed
    def test_a_node_whose_device_is_lost_ends_and_the_next_one_answers_within_five_seconds(self) -> None:
        self.model.play("lost")
        self.assertEqual(self.ask().status, R.OK)
        begun_s = time.monotonic()
        self.assertEqual(self.ask().status, R.MODEL_ERROR)
        seconds_until(lambda: self.model.ready_since(begun_s), 5.0, "the next node is ready")
        self.assertIn("failed: the device is lost", [text for _, text in self.model.status])
        self.assertEqual(self.ask().status, R.OK)

    @undisturbed
    def test_a_killed_node_answers_again_within_five_seconds(self) -> None:
        begun_s = time.monotonic()
        self.model.play("stop")
        self.assertEqual(self.ask().status, R.OK)
        took_s = time.monotonic() - begun_s
        print(f"measured: answering {took_s:.2f} s after the kill", flush=True)
        self.assertLess(took_s, 5.0)


if __name__ == "__main__":
    rospy.init_node("check_vlm_answers")
    rostest.rosrun("duck_protection", "vlm_answers", VlmAnswers)
