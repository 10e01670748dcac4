#!/usr/bin/env python
"""Bad settings end a node before it publishes anything: one line with key, range and value, exit code 2."""
from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bench
import rosgraph
import rospy
import rostest

HERE = Path(__file__).resolve().parent
BROKEN = Path(tempfile.mkdtemp()) / "broken.yaml"
PROTECTION = {
    "_max_age_s:=9.5": "max_age_s must be from 0.05 to 5.0, is 9.5",
    "_max_agee_s:=0.4": "unknown setting 'max_agee_s'",
    "_question:=rode": f"question must be one of {', '.join(bench.QUESTIONS)}, is 'rode'",
    "_questions:=/no/such/file.yaml": "questions.yaml: cannot be read",
    f"_thresholds:={BROKEN}": "thresholds.yaml: cannot be read",
}
MODEL = {
    "_backend:=remote": "server_url, or the variable FASTVLM_SERVER_URL, must name the server for backend remote",
    "_max_batch:=-1": "max_batch must be from 0 to 64, is -1",
    "_model:=/no/such/folder": "no model folder /no/such/folder",
}


def outcome(type_: str, argument: str, number: int) -> Tuple[int, str]:
    """Exit code and all output of a node started with this argument."""
    command = ["rosrun", "duck_protection", type_, argument, f"__name:=refused_{number}"]
    done = subprocess.run(command, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


class Refuses(unittest.TestCase):
    def refuses(self, type_: str, cases: dict) -> None:
        with ThreadPoolExecutor(2) as pool:
            numbers = [f"{type_[:3]}{number}" for number in range(len(cases))]
            outcomes = list(pool.map(outcome, [type_] * len(cases), cases, numbers))
        for (argument, reason), (code, output) in zip(cases.items(), outcomes):
            with self.subTest(argument):
                self.assertEqual(code, 2, output)
                fatal = [line for line in output.splitlines() if "FATAL" in line]
                self.assertEqual(len(fatal), 1, output)
                self.assertIn(reason, fatal[0])
                self.assertNotIn("Traceback", output)

    def test_the_protection_refuses_bad_settings(self) -> None:
        self.refuses("duck_protection_node.py", PROTECTION)

    def test_the_model_node_refuses_bad_settings(self) -> None:
        self.refuses("vlm_node.py", MODEL)

    def test_nothing_of_them_is_left_behind(self) -> None:
        publishers = rosgraph.Master(rospy.get_name()).getSystemState()[0]
        self.assertEqual([topic for topic, _ in publishers if "refused" in topic], [])


if __name__ == "__main__":
    BROKEN.write_text("a: [b\n", encoding="utf-8")
    rospy.init_node("check_protection_refuses")
    sys.exit(rostest.rosrun("duck_protection", "protection_refuses", Refuses))
