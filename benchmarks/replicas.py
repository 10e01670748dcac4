"""Two Ray Serve replicas, one killed under load: `./run bench replicas`, with ray[serve]==2.60.0 in .venv.

Answers: how many requests does the dying replica lose, how many does RemoteVlm lose, and what does Serve cost a request
against plain uvicorn? Everything on 127.0.0.1. Asserts nothing; test/server/test_ray.py does.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

from fleet import model_folder
from pictures import ROAD, noisy
from ros_processes import free_port

from duck_protection.frames import decode
from duck_protection.recording.results import envelope, write_json
from duck_protection.server.loading import ModelChoice, load
from duck_protection.server.serving import HttpServer
from duck_protection.server.settings import ServerSettings
from duck_protection.tally import quantile
from duck_protection.vlm.base import VlmError
from duck_protection.vlm.bounded_http import BoundedHttp, HttpError
from duck_protection.vlm.remote import RemoteSettings, RemoteVlm

(JPEG,) = noisy(1, 1)
FRAME = decode(JPEG)
SETTLE_S = 90.0
ROWS = ("uvicorn_one_at_a_time", "ray_one_at_a_time", "killed_without_second_try", "killed_through_remote_vlm")
LINE = "{name:26s}: {asked:4d} requests, {failed} lost, p50 {p50_ms:4.0f} ms, p99 {p99_ms:5.0f} ms"


def load_up(ask: Callable[[], bool], askers: int, seconds: float, kill: Callable[[], None]) -> Dict[str, Any]:
    """Failures and times of so many askers in a row of questions each; kill() comes in the middle."""
    failures, times = [0], []
    ends_s = time.monotonic() + seconds

    def work() -> None:
        while time.monotonic() < ends_s:
            begun_s = time.monotonic()
            good = ask()
            times.append(1e3 * (time.monotonic() - begun_s))
            failures[0] += not good

    threads = [threading.Thread(target=work, daemon=True) for _ in range(askers)]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 2)
    kill()
    for thread in threads:
        thread.join()
    return {"asked": len(times), "failed": failures[0], "p50_ms": quantile(times, 0.5), "p99_ms": quantile(times, 0.99)}


def plain(url: str) -> Callable[[], bool]:
    """Asks without a second try."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()}}
    message = {"role": "user", "content": [picture, {"type": "text", "text": ROAD.prompt}]}
    body = json.dumps({"messages": [message], "max_tokens": 1, "logprobs": True, "top_logprobs": 20}).encode()
    http = BoundedHttp(url, {"Content-Type": "application/json"})

    def ask() -> bool:
        try:
            return http.request("POST", "/v1/chat/completions", body, time.monotonic() + 10).status == 200
        except HttpError:
            return False

    return ask


def through_remote(url: str) -> Callable[[], bool]:
    """Asks as vlm_node does."""
    remote = RemoteVlm(RemoteSettings(url, choose_s=10.0))

    def ask() -> bool:
        try:
            return bool(remote.choose([FRAME], [ROAD]))
        except VlmError as err:
            print("RemoteVlm failed:", type(err).__name__, err, flush=True)
            return False

    return ask


def replica_pids() -> List[int]:
    """Processes of the replicas, as Ray names them."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(b"ray::ServeReplica:duck"):
                pids.append(int(folder.name))
        except OSError:
            continue
    return sorted(pids)


def measure(options: argparse.Namespace) -> Dict[str, Any]:
    """The plain server first, then Ray; rows by name."""
    with model_folder(options.model) as folder:
        return {"uvicorn_one_at_a_time": _plain_server(folder, options.seconds / 2), **_on_ray(folder, options)}


def _plain_server(folder: str, seconds: float) -> Dict[str, Any]:
    settings = ServerSettings(port=0)
    server = HttpServer(settings, lambda: load(ModelChoice(model=folder, device="cpu"), settings))
    server.start()
    while BoundedHttp(server.url, {}).request("GET", "/health", None, time.monotonic() + 10).status != 200:
        time.sleep(0.1)
    row = load_up(plain(server.url), 1, seconds, lambda: None)
    server.stop()
    return row


def _on_ray(folder: str, options: argparse.Namespace) -> Dict[str, Any]:
    import ray
    from ray import serve

    from duck_protection.server.ray_serve import app

    port = free_port()
    ray.init(_node_ip_address="127.0.0.1", num_cpus=4, include_dashboard=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(app({"model": folder, "device": "cpu", "replicas": "2"}), name="duck", route_prefix="/")
    url = f"http://127.0.0.1:{port}"
    first = set(replica_pids())

    def kill() -> None:
        os.kill(replica_pids()[0], signal.SIGKILL)

    rows = {"ray_one_at_a_time": load_up(plain(url), 1, options.seconds / 2, lambda: None)}
    rows["killed_without_second_try"] = load_up(plain(url), options.askers, options.seconds, kill)
    _settle(serve)
    rows["killed_through_remote_vlm"] = load_up(through_remote(url), options.askers, options.seconds, kill)
    _settle(serve)
    rows["replaced"] = len(set(replica_pids()) - first)
    serve.shutdown()
    ray.shutdown()
    return rows


def _settle(serve: Any) -> None:
    """Until two replicas serve again, and their health has been asked for."""
    ends_s = time.monotonic() + SETTLE_S
    while time.monotonic() < ends_s:
        (deployment,) = serve.status().applications["duck"].deployments.values()
        if deployment.replica_states.get("RUNNING") == len(replica_pids()) == 2:
            return
        time.sleep(0.2)
    raise TimeoutError(f"two replicas have not come back within {SETTLE_S:g} s")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers into this file too")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each row; half of it where nothing is killed")
    parser.add_argument("--askers", type=int, default=8)
    parser.add_argument("--model", default="")
    options = parser.parse_args()
    rows = measure(options)
    for name in ROWS:
        print(LINE.format(name=name.replace("_", " "), **rows[name]))
    print(f"replicas that Serve started anew: {rows['replaced']}")
    if options.json:
        write_json(options.json, envelope("replicas/1", **rows))


if __name__ == "__main__":
    main()
