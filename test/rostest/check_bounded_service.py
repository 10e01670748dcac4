#!/usr/bin/env python
"""The bounded client against a real rospy service that is frozen, killed, of another type; and without a master."""
from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import unittest
from pathlib import Path
from typing import Optional

sys.path.insert(0, str(Path(__file__).resolve().parent))

import rospy
import rostest
from rig import pid_of, send_signal
from stall_guard import seconds_until, undisturbed
from std_srvs.srv import SetBool, SetBoolRequest, Trigger, TriggerRequest

from duck_protection.nodes.bounded_service import (
    BoundedService,
    ServiceError,
    ServiceGone,
    ServiceLate,
    ServiceRefused,
)

NODE = "/flag_service"
SERVICE = f"{NODE}/flag"
DEADLINE_S = 0.3


def answers(client: BoundedService) -> bool:
    try:
        return client.call(SetBoolRequest(True), DEADLINE_S).message == "set"
    except ServiceError:
        return False


class BoundedServiceCheck(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        rospy.init_node("check_bounded_service")
        rospy.wait_for_service(SERVICE, timeout=20)

    def setUp(self) -> None:
        self.client = BoundedService(SERVICE, SetBool)
        self.addCleanup(self.client.close)
        seconds_until(lambda: answers(self.client), 10, "the service answers before the check")

    @undisturbed
    def test_a_frozen_server_is_late_each_time_and_answers_after_its_thaw(self) -> None:
        pid = pid_of(NODE)
        send_signal(pid, signal.SIGSTOP)
        try:
            for _ in range(3):  # the first on the old connection, then on new ones that nobody accepts
                start_s = time.monotonic()
                self.assertRaises(ServiceLate, self.client.call, SetBoolRequest(True), DEADLINE_S)
                took_s = time.monotonic() - start_s
                print(f"measured: a frozen server is given up after {took_s:.3f} s of {DEADLINE_S} s", flush=True)
                self.assertLess(took_s, DEADLINE_S + 0.05)
        finally:
            send_signal(pid, signal.SIGCONT)
        seconds_until(lambda: answers(self.client), 2.0, "answers after the thaw")

    @undisturbed
    def test_a_server_killed_in_mid_call_is_gone_at_once_and_its_successor_is_found(self) -> None:
        caught: list = []

        def ask() -> None:
            try:
                self.client.call(SetBoolRequest(False), 5.0)
            except ServiceError as err:
                caught.append(err)

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.2)  # so that it is held in the server; earlier would be found out all the same
        before = pid_of(NODE)
        send_signal(before, signal.SIGKILL)
        took_s = seconds_until(lambda: bool(caught), 1.0, "the call ends with its server")
        print(f"measured: a killed server is noticed after {took_s:.3f} s", flush=True)
        self.assertIsInstance(caught[0], ServiceGone)
        asking.join()
        seconds_until(lambda: answers(self.client), 5.0, "the successor, on another port, is found")
        self.assertNotEqual(pid_of(NODE), before)

    @undisturbed
    def test_another_type_is_refused_and_says_so(self) -> None:
        other = BoundedService(SERVICE, Trigger)
        with self.assertRaisesRegex(ServiceRefused, "md5sum"):
            other.call(TriggerRequest(), 1.0)

    @undisturbed
    def test_a_service_that_nobody_offers_is_gone(self) -> None:
        with self.assertRaises(ServiceGone):
            BoundedService("/nobody", Trigger).call(TriggerRequest(), DEADLINE_S)

    @undisturbed
    def test_without_a_master_the_last_known_address_serves(self) -> None:
        self.with_master("http://localhost:1/")

    @undisturbed
    def test_with_a_frozen_master_the_last_known_address_serves(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as frozen:  # the kernel accepts, nobody answers
            self.with_master(f"http://localhost:{frozen.getsockname()[1]}/")

    def with_master(self, uri: str) -> None:
        """A new connection under another master's address."""
        real: Optional[str] = os.environ.get("ROS_MASTER_URI")
        self.client.close()
        os.environ["ROS_MASTER_URI"] = uri
        try:
            self.assertEqual(self.client.call(SetBoolRequest(True), 1.0).message, "set")
        finally:
            os.environ["ROS_MASTER_URI"] = str(real)


if __name__ == "__main__":
    rostest.rosrun("duck_protection", "bounded_service", BoundedServiceCheck)
