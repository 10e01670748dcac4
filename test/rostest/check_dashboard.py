#!/usr/bin/env python
"""The operator's page and the black box with the real nodes: what is shown, asked, kept, and what a restart does."""
from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import unittest
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List, Optional

import rosbag
import rospy
import rostest
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
from stall_guard import seconds_until

from duck_protection.dashboard.ring import Ring
from duck_protection.dashboard.robot import Robot
from duck_protection.nodes import inspect_bag
from duck_protection.nodes.ears import Ears, Topics
from duck_protection.nodes.links import LinkWatch

PORT = 8795
NODE = "/dashboard_node"


def asked(method: str, path: str, body: Optional[dict] = None, cookie: str = "") -> Any:
    """(status, content, cookie) of the page's answer; status 0: nobody listens."""
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", PORT, timeout=40)) as client:
            client.request(method, path, json.dumps(body) if body is not None else None, {"Cookie": cookie})
            with client.getresponse() as reply:
                return reply.status, reply.read(), reply.getheader("set-cookie", "").split(";")[0]
    except OSError:
        return 0, b"", ""


def events() -> List[Dict[str, Any]]:
    return json.loads(asked("GET", "/api/events")[1] or b"[]")


class Dashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.model = bench.Model()
        cls.camera = bench.Camera()
        cls.ear = bench.Ear()
        seconds_until(lambda: asked("GET", "/")[0] == 200, 30.0, "the page answers")

    def shown(self, level: int, limit_s: float = 10.0) -> Dict[str, Any]:
        """The first sample of that level that the page is sent."""
        seen: Dict[str, Any] = {}

        def look() -> bool:
            message = socket.recv(10)
            socket.send("taken")
            head = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])
            seen.clear()
            seen.update(head["robots"]["duckie"])
            return seen["level"] == level

        with connect(f"ws://127.0.0.1:{PORT}/ws", max_size=None) as socket:
            socket.recv(10)
            seconds_until(look, limit_s, f"level {level} is shown")
        return seen

    def test_1_the_page_shows_what_the_node_says(self) -> None:
        self.model.have("clear")
        sample = self.shown(1)
        words = {part["name"]: part["words"] for part in sample["health"]}
        self.assertEqual([round(share, 2) for share in sample["p"]], [0.97, 0.02, 0.01])
        self.assertTrue(words["camera"].endswith("pictures a second") and "looks a second" in words["model"], words)
        self.assertTrue(words["guard"].startswith("not heard"), words)

    def test_2_a_person_asks_through_the_page(self) -> None:
        self.model.have("clear")
        cookie = asked("GET", "/")[2]
        status, content, _ = asked("POST", "/api/robots/duckie/check", {}, cookie)
        self.assertEqual((status, json.loads(content)["level"]), (200, 1))
        status, content, _ = asked("POST", "/api/robots/duckie/ask", {"question": "What do you see?"}, cookie)
        self.assertEqual(status, 200, content)
        self.assertEqual(asked("POST", "/api/robots/duckie/ask", {"question": "?"})[0], 401)

    def test_3_a_stop_is_kept_with_bag_picture_and_film_and_can_be_inspected(self) -> None:
        self.model.have("clear")
        self.shown(1)
        self.model.have("stop")
        self.shown(3)
        whole = {"frame.jpg", "drive.bag", "clip.mp4"}

        def kept() -> List[Dict[str, Any]]:
            return [one for one in events() if one["kind"] == "STOP" and set(one["files"]) == whole]

        seconds_until(lambda: bool(kept()), 60.0, "the event is whole")
        event = kept()[-1]
        self.assertTrue(event["reason"].startswith("stop: p(stop) "), event)
        folder = Path(rospy.get_param(f"{NODE}/events")) / "duckie" / event["id"]
        with rosbag.Bag(str(folder / "drive.bag")) as bag:
            topics = {name: about.message_count for name, about in bag.get_type_and_topic_info().topics.items()}
            verdicts = bag.read_messages("/duckie/duck_protection_node/verdict")
            stamps = {message.header.stamp for _, message, _ in verdicts}
        self.assertGreater(topics["/duckie/duck_protection_node/seen/image/compressed"], 20)
        self.assertTrue({stamp for _, stamp in self.camera.sent} & stamps)
        out = folder / "inspected"
        self.assertEqual(inspect_bag.main([str(folder / "drive.bag"), "--once", "--out", str(out)]), 0)
        self.assertTrue(list(out.glob("drive-*/duckie/*-STOP/clip.mp4")))

    def test_4_what_is_never_silent_is_heard_again_after_a_network_cut(self) -> None:
        """Else a card may stay without verdicts for as long as TCP waits; links.py itself is tested by the faults."""
        topics = Topics("picture", "verdict", "status", "heartbeat", "status", "permitted", "asked", "")
        Ears(Robot("other"), Ring(1.0, 10**6), topics, 15.0, lambda *_: None)
        watched = {thread.name for thread in threading.enumerate() if isinstance(thread, LinkWatch)}
        self.assertEqual(watched, {"link watch /other/verdict", "link watch /other/heartbeat"})

    def test_5_it_comes_back_after_a_kill_and_still_has_its_events(self) -> None:
        before = {event["id"] for event in events()}
        pid = bench.pid_of(NODE)
        os.kill(pid, signal.SIGKILL)
        seconds_until(lambda: bench.pid_of(NODE) not in (None, pid), 30.0, "the node is back")
        seconds_until(lambda: asked("GET", "/")[0] == 200, 30.0, "the page answers again")
        self.assertLessEqual(before, {event["id"] for event in events()})
        self.model.have("clear")
        self.shown(1)


if __name__ == "__main__":
    rospy.init_node("check_dashboard")
    rostest.rosrun("duck_protection", "check_dashboard", Dashboard)
