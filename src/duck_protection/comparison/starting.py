"""How long a contender takes to start, measured from nothing: a new process until its first answer about a picture.

A model that runs in process is started once in a process of its own, which also tells what it takes of the machine.
A server is started only when its command is given; one that runs already keeps its start-up time to itself. Promise:
what was started here is ended here, its children too.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Optional

from duck_protection.comparison.meters import Taken, listener
from duck_protection.vlm.base import BusyError, LateError, LoadError, NotReadyError
from duck_protection.vlm.remote import RemoteSettings, RemoteVlm

LIMIT_S = 900.0  # 15 GB of weights from a slow disk
END_S = 20.0
NOT_YET = (LateError, NotReadyError, BusyError)  # what a server says, or does, while it loads


@dataclass(frozen=True)
class Started:
    """A start-up.

    Args:
        start_s: From a new process to its first answer; None when it was not started here.
        taken: What it took by then; None for servers, which are measured when they have worked.
        pid: The process to measure later; None when it has ended, or is not here.
    """

    start_s: Optional[float]
    taken: Optional[Taken] = None
    pid: Optional[int] = None
    why: str = ""


def start_model(where: str, device: str, dtype: str) -> Started:
    """One start of a model in a process of its own.

    Raises:
        LoadError: It cannot be loaded; the message is the child's.
    """
    command = [sys.executable, "-m", "duck_protection.comparison.first_answer", where, device, dtype]
    begun_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    took_s = time.monotonic() - begun_s
    if done.returncode != 0:
        raise LoadError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"{where} cannot be started")
    told: Dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    took_s -= told["leaving_s"]
    return Started(took_s, Taken(told["resident_mib"], told["card_mib"], told["why"]))


@contextmanager
def started_server(url: str, key: str, command: str, pid: Optional[int]) -> Iterator[Started]:
    """The server, started by its command (when there is one) and ended afterwards.

    Args:
        pid: Its process, where it cannot be found by its port (a container's: docker inspect -f '{{.State.Pid}}').

    Raises:
        LoadError: It ended, or gave no answer within LIMIT_S.
    """
    if not command:
        yield Started(None, None, pid or listener(url), "it was running already: give its command to measure this")
        return
    begun_s = time.monotonic()
    process = subprocess.Popen(shlex.split(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)  # fmt: skip
    try:
        _wait_for_answer(process, url, key, begun_s + LIMIT_S)
        yield Started(time.monotonic() - begun_s, None, pid or process.pid)
    finally:
        _end(process)


def _wait_for_answer(process: subprocess.Popen[bytes], url: str, key: str, ends_s: float) -> None:
    """Until it answers a question about a picture, which RemoteVlm asks at its start."""
    while True:
        if process.poll() is not None:
            raise LoadError(f"the command for {url} ended with status {process.returncode}")
        try:
            RemoteVlm(RemoteSettings(url, key)).close()
            return
        except LoadError as err:
            if not isinstance(err.__cause__, NOT_YET) or time.monotonic() > ends_s:
                raise
            time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
