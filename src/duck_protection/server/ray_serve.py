"""The same application as a Ray Serve deployment: more than one GPU or machine behind one address.

    serve run duck_protection.server.ray_serve:app model=apple/FastVLM-7B replicas=2 gpus=1 key_file=FILE

Each replica is a whole server: own weights, batcher, queue and limits. Serve spreads requests, replaces replicas
that die and asks each for its health. It does not ask again what a dying replica had in its hands: RemoteVlm does,
once, within its deadline. Clients reach a replica through Serve's proxy, so use keys, not addresses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from ray import serve

from duck_protection.server.app import make_app
from duck_protection.server.guard import Guard
from duck_protection.server.loading import ModelChoice, load
from duck_protection.server.service import Service
from duck_protection.server.settings import ServerSettings

ONGOING = 64  # requests that Serve lets into one replica; beyond its slots and queue the replica answers 503 itself


@serve.deployment(max_ongoing_requests=ONGOING, health_check_period_s=2, graceful_shutdown_timeout_s=10)
@serve.ingress()
class Replica:
    """One model in one process."""

    def __init__(self, choice: ModelChoice, settings: ServerSettings) -> None:
        self._service = Service(settings)
        model = load(choice, settings)
        model.batcher.when_lost(lambda _: self._service.drain())  # its health check raises from then on
        self._service.ready(model)

    def __serve_build_asgi_app__(self) -> Guard:
        return make_app(self._service)

    def check_health(self) -> None:
        """Serve replaces a replica whose health check raises."""
        self._service.check_health()


def app(args: Dict[str, str]) -> Any:
    """The application that `serve run` starts.

    Args:
        args: model, backend, device, dtype, script as the command line's; key_file; replicas, or most_replicas to let
            Serve choose between 1 and that by load; gpus for each replica.
    """
    named = ("backend", "model", "device", "dtype", "script")
    choice = ModelChoice(**{name: args[name] for name in named if name in args})
    keys = tuple(Path(args["key_file"]).read_text(encoding="ascii").split()) if "key_file" in args else ()
    options: Dict[str, Any] = {"ray_actor_options": {"num_gpus": float(args.get("gpus", 0)), "num_cpus": 1}}
    if "most_replicas" in args:
        most = int(args["most_replicas"])
        options["autoscaling_config"] = {"min_replicas": 1, "max_replicas": most, "target_ongoing_requests": 8}
    else:
        options["num_replicas"] = int(args.get("replicas", 1))
    return Replica.options(**options).bind(choice, ServerSettings(keys=keys))
