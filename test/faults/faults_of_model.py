"""Faults of what answers for the model: a server that lies or breaks, a service that lies; and of the network."""
from __future__ import annotations

import json
import math
from random import Random
from typing import Any, Callable, Iterator, List

import rospy
from bench import answer
from fault import Cause, Evidence, Fault
from lying_server import MODELS, TRUTH, Answer, chat, dripping, endless, late, saying
from std_srvs.srv import SetBool, SetBoolResponse

LOST, UNSURE = Evidence.LOST, Evidence.UNSURE


def says(say: Callable[[Any], Any]) -> Cause:
    """The server, or the service, answers so."""

    def cause(bed: Any, _: Random) -> Iterator[None]:
        whole = bed.part.say
        yield
        bed.part.say = say
        try:
            yield
        finally:
            bed.part.say = whole

    return cause


def refusing(bed: Any, _: Random) -> Iterator[None]:
    yield
    bed.part.refuse()
    try:
        yield
    finally:
        bed.part.accept()


def another_model(bed: Any, _: Random) -> Iterator[None]:
    """Another model stands behind the same address."""
    yield
    bed.part.models = {"data": [{"id": "other", "meta": {"revision": "1", "dtype": "none"}}]}
    bed.part.say = saying(b"restarting", 500)
    bed.part.hang_up()
    try:
        yield
    finally:
        bed.part.models, bed.part.say = MODELS, saying(TRUTH)


def bends(**fields: Any) -> Cause:
    """The service's answer has these fields; functions get the request."""

    def say(request: Any) -> Any:
        changes = {name: value(request) if callable(value) else value for name, value in fields.items()}
        return answer(request, **changes)

    return says(say)


def wrong_type(bed: Any, _: Random) -> Iterator[None]:
    """Another service, of another type and md5 sum, under the same name."""
    name, whole = bed.part.service.resolved_name, bed.part.say
    yield
    bed.part.say = _gone  # rospy keeps the connections that are there: this ends them
    bed.part.service.shutdown()
    other = rospy.Service(name, SetBool, lambda _: SetBoolResponse(True, ""))
    try:
        yield
    finally:
        other.shutdown()
        bed.part.say = whole
        bed.part.serve()


def _gone(_: Any) -> Any:
    raise rospy.ServiceException("moved")


def network(**ways: Any) -> Cause:
    """What happens to packets to the workstation (to_work) and to the robot (to_robot)."""

    def cause(bed: Any, _: Random) -> Iterator[None]:
        yield
        bed.part.bend(**ways)
        try:
            yield
        finally:
            bed.part.bend()

    return cause


def _server(name: str, say: Answer, evidence: Evidence = LOST, **more: Any) -> Fault:
    return Fault(f"server: {name}", "server", "remote server", evidence, says(say), lies=True, **more)


def _service(name: str, cause: Cause, **more: Any) -> Fault:
    return Fault(f"model: {name}", "model's answers", "lying model", LOST, cause, lies=True, **more)


def _network(name: str, evidence: Evidence, hold_s: float = 1.5, quarter: bool = False, **ways: Any) -> Fault:
    return Fault(f"network: {name}", "network", "two machines", evidence, network(**ways), hold_s, quarter=quarter)


CUT = {"loss": 1.0}
NAN = chat({"Clear": math.nan, "Slow": math.nan, "Stop": math.nan})
FAULTS: List[Fault] = [
    Fault("server: refuses connections", "server", "remote server", LOST, refusing, quarter=True),
    Fault("server: another model in its place", "server", "remote server", LOST, another_model, lies=True),
    _server("answers after 0.6 s", late(0.6)),
    _server("answers after 30 s", late(30.0), quarter=True),
    _server("a byte every 0.2 s", dripping),
    _server("a body without end", endless, quarter=True),
    _server("status 500", saying({"error": {"message": "CUDA out of memory"}}, 500)),
    _server("status 503", saying({"error": {"message": "Loading model"}}, 503)),
    _server("HTML", saying(b"<html><body>502 Bad Gateway</body></html>"), quarter=True),
    _server("truncated JSON", saying(json.dumps(TRUTH).encode()[:60])),
    _server("ends in mid-answer", saying(json.dumps(TRUTH).encode()[:60], claims_bytes=5000)),
    _server("probabilities NaN", saying(NAN)),
    _server("no probabilities", saying({"choices": [{"message": {"content": "Clear"}}]})),
    _server("choices missing", saying(chat({"The": math.log(0.9), "A": math.log(0.1)})), quarter=True),
    _server("JSON a thousand deep", saying(b"[" * 100_000)),
    _service("about an old frame", bends(stamp=lambda q: q.image.header.stamp - rospy.Duration(1)), quarter=True),
    _service("choices missing", bends(choices=[])),
    _service("choices in another order", bends(choices=lambda q: list(q.choices)[::-1])),
    _service("probabilities NaN", bends(probabilities=[math.nan] * 3)),
    _service("probabilities that sum to two", bends(probabilities=[1.0, 0.5, 0.5])),
    _service("mass off the choices", bends(off_mass=0.9)),
    _service("out of memory", bends(status=6)),
    _service("a status nobody knows", bends(status=200)),
    _service("another model's answer", bends(revision="2")),
    _service("wrong md5 sum", wrong_type, quarter=True),
    _network("cut for 2 s", LOST, 2.0, to_work=CUT, to_robot=CUT),
    _network("cut for 12 s", LOST, 12.0, True, to_work=CUT, to_robot=CUT),
    Fault("network: cut for 12 s, pictures paced", "network", "paced", LOST, network(to_work=CUT, to_robot=CUT), 12.0),
    _network("half open, robot to workstation cut", LOST, 2.0, True, to_work=CUT),
    _network("half open, workstation to robot cut", LOST, 2.0, to_robot=CUT),
    _network("loses 5 % of packets", UNSURE, 3.0, to_work={"loss": 0.05}, to_robot={"loss": 0.05}),
    _network("loses 40 % of packets", UNSURE, 3.0, to_work={"loss": 0.4}, to_robot={"loss": 0.4}),
    _network("delays by 0.03 s each way", UNSURE, 2.0, to_work={"delay_s": 0.03}, to_robot={"delay_s": 0.03}),
    _network("delays by 0.5 s each way", LOST, 2.0, to_work={"delay_s": 0.5}, to_robot={"delay_s": 0.5}),
    _network("delays by 0 to 0.3 s at random", UNSURE, 2.0, to_work={"jitter_s": 0.3}, to_robot={"jitter_s": 0.3}),
]
