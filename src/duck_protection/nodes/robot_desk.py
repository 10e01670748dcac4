"""Passes a person's question from the page on to a robot's ~ask and ~check, within deadlines.

Promise: a robot that does not answer costs the asking person his deadline and nobody else anything.
"""
from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping

from duck_protection.dashboard.app import AskError
from duck_protection.nodes.bounded_service import BoundedService, ServiceError
from duck_protection.srv import AskCamera, AskCameraRequest, CheckRoad, CheckRoadRequest

ASK_S = 32.0  # duck_protection_node's ask_deadline_s of 30 and the way
CHECK_S = 4.0  # its check_deadline_s of 2, twice: the model may have been restarted


class RobotDesk:
    """The questions a person may ask. Any thread."""

    def __init__(self, robots: Iterable[str], node: str) -> None:
        names = {robot: f"/{robot}/{node}" for robot in robots}
        self._ask: Dict[str, BoundedService] = {
            robot: BoundedService(f"{name}/ask", AskCamera) for robot, name in names.items()
        }
        self._check: Dict[str, BoundedService] = {
            robot: BoundedService(f"{name}/check", CheckRoad) for robot, name in names.items()
        }

    def ask(self, robot: str, question: str) -> Mapping[str, Any]:
        """The answer to a free question about the newest frame."""
        answer = _called(self._ask[robot], AskCameraRequest(question=question), ASK_S)
        return {"ok": answer.ok, "text": answer.text, "age_s": answer.age_s, "seconds": answer.seconds}

    def check(self, robot: str) -> Mapping[str, Any]:
        """A verdict on the newest frame, now."""
        verdict = _called(self._check[robot], CheckRoadRequest(), CHECK_S).verdict
        return {"level": verdict.level, "reason": verdict.reason, "choices": list(verdict.choices),
                "probabilities": list(verdict.probabilities), "age_ms": verdict.age_ms}  # fmt: skip


def _called(service: BoundedService, request: Any, deadline_s: float) -> Any:
    try:
        return service.call(request, deadline_s)
    except ServiceError as err:
        raise AskError(str(err)) from err
