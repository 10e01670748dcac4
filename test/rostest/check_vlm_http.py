#!/usr/bin/env python
"""vlm_node with ~http_port: one process and one copy of the weights answer ~infer and HTTP, and neither holds up the
other."""
from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import sys
import threading
import time
import unittest
from pathlib import Path
from typing import Any, Dict, List

import rospy
import rostest
from sensor_msgs.msg import CompressedImage

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from duck_protection.srv import InferImage, InferImageRequest, InferImageResponse
from stall_guard import seconds_until, undisturbed

from duck_protection.nodes.bounded_service import BoundedService

PORT = int(next(word for word in sys.argv[1:] if word.isdigit()))
LIMIT_S = 20.0
WORDS = ["Clear", "Slow", "Stop"]
PROMPT = "Is a duck there?"
JPEG = bench.noisy_jpegs(1, (640, 480))[0]
PICTURE = "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()


def call(method: str, path: str, content: Any = None) -> Any:
    """(status, decoded body) of an HTTP request to the node."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=LIMIT_S)
    try:
        body = None if content is None else json.dumps(content)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def chat(**fields: Any) -> Any:
    parts = [{"type": "image_url", "image_url": {"url": PICTURE}}, {"type": "text", "text": PROMPT}]
    return call("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": parts}], **fields})


def owners_of(port: int) -> List[int]:
    """Processes that hold a socket listening on this port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[3] == "0A" and int(row[1].rsplit(":")[1], 16) == port}
    pids = set()
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry))
        except OSError:
            continue
        if found and found.group(1) in inodes:
            pids.add(int(entry.parts[2]))
    return sorted(pids)


class TwoDoors(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.model = bench.Model()
        cls.infer = BoundedService("/duckie/vlm_node/infer", InferImage)
        seconds_until(lambda: call("GET", "/health")[0] == 200, LIMIT_S, "HTTP serves")

    def ask(self) -> InferImageResponse:
        image = CompressedImage(format="jpeg", data=JPEG)
        request = InferImageRequest(image=image, prompt=PROMPT, choices=WORDS, deadline_s=LIMIT_S)
        return self.infer.call(request, LIMIT_S)

    def decide(self) -> Dict[str, Any]:
        question = {"type": "choice", "instructions": PROMPT, "criteria": WORDS}
        status, body = call("POST", "/v1/systemone", {"images": [PICTURE], "questions": {"road": question}})
        self.assertEqual(status, 200, body)
        return body

    def test_both_doors_lead_into_one_process_that_loaded_once(self) -> None:
        self.assertEqual(owners_of(PORT), [bench.pid_of(self.model.NODE)])
        self.assertEqual(len([text for _, text in self.model.status if text.startswith("ready")]), 1, self.model.status)

    def test_both_doors_give_the_same_numbers_about_the_same_picture(self) -> None:
        ros, web = self.ask(), self.decide()
        self.assertEqual((ros.status, ros.error), (InferImageResponse.OK, ""))
        answer = web["answers"]["road"]
        for word, probability in zip(WORDS, ros.probabilities):
            self.assertAlmostEqual(answer["probabilities"][word], probability, places=5)
        self.assertAlmostEqual(answer["off_mass"], ros.off_mass, places=5)
        identity = {"model": ros.model, "revision": ros.revision, "dtype": ros.dtype, "backend": ros.backend}
        self.assertEqual(web["identity"], identity)

    def test_a_chat_answers_in_words_and_with_probabilities(self) -> None:
        status, body = chat(max_tokens=3, temperature=0, logprobs=True, top_logprobs=5)
        self.assertEqual(status, 200, body)
        self.assertTrue(body["choices"][0]["logprobs"]["content"], body)
        self.assertEqual(body["model"], self.ask().model)

    @undisturbed
    def test_verdicts_go_on_while_four_chats_talk(self) -> None:
        """Both through their own doors: a verdict waits for a token, not for an answer."""
        camera, ear = bench.Camera(), bench.Ear()
        stop, answered = threading.Event(), []

        def talk() -> None:
            while not stop.is_set():
                answered.append(chat(max_tokens=40, temperature=1.5)[0])

        talkers = [threading.Thread(target=talk, daemon=True) for _ in range(4)]
        for talker in talkers:
            talker.start()
        seconds_until(lambda: len(answered) >= 4, LIMIT_S, "chats are answered")
        begun_s = time.monotonic()
        ear.wait(lambda verdict: verdict.probabilities and verdict.backend == "fastvlm", LIMIT_S)
        time.sleep(2.0)
        stop.set()
        judged = {verdict.header.stamp for verdict in ear.since(begun_s) if verdict.probabilities}
        for talker in talkers:
            talker.join(LIMIT_S)
        self.assertEqual(set(answered), {200})
        self.assertGreaterEqual(len(judged), 3)
        self.assertTrue(judged <= {stamp for _, stamp in camera.sent})
        print(f"measured: {len(judged)} frames judged in about 2 s beside four chats", flush=True)

    def test_what_is_wrong_with_a_request_is_said_on_either_side(self) -> None:
        self.assertEqual(call("POST", "/v1/chat/completions", {"messages": 5})[0], 400)
        self.assertEqual(call("GET", "/nothing")[0], 404)
        with socket.create_connection(("127.0.0.1", PORT), LIMIT_S) as junk:
            junk.sendall(b"\x16\x03\x01 QUACK\r\n\r\n")
            junk.shutdown(socket.SHUT_WR)
        self.assertEqual(self.ask().status, InferImageResponse.OK)


if __name__ == "__main__":
    rospy.init_node("check_vlm_http")
    rostest.rosrun("duck_protection", "vlm_http", TwoDoors)
