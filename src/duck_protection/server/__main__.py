"""python -m duck_protection.server: serves a model over HTTP until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Sequence

from duck_protection.server.loading import ModelChoice, load
from duck_protection.server.settings import ServerSettings
from duck_protection.settings import SettingsError
from duck_protection.vlm.base import VlmError

if TYPE_CHECKING:
    from duck_protection.server.service import Model
    from duck_protection.server.serving import HttpServer

LOG = logging.getLogger("duck_protection.server")
KEY_VARIABLE = "DUCK_PROTECTION_API_KEY"
LISTS = {"allow_keyless_from": "keyless_from", "cors_origin": "origins"}


def main(argv: Optional[Sequence[str]] = None) -> int:
    """The exit code: 0 after a clean stop, 1 when it cannot start or its device is lost, 2 for wrong arguments."""
    given = sys.argv[1:] if argv is None else argv
    # roslaunch adds __name:=... and __log:=... to whatever it starts
    args = _parser().parse_args([word for word in given if ":=" not in word])
    logging.basicConfig(level=args.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    choice = ModelChoice(args.backend, args.model, args.device, args.dtype, args.script)
    try:
        settings = _settings(args)
        from duck_protection.server.serving import HttpServer

        _warn(settings)
        server = HttpServer(settings, lambda: _loaded(choice, settings, server))
        server.run()
    except (SettingsError, VlmError, OSError, ValueError) as err:
        LOG.critical("cannot serve: %s", err)
        return 1
    return 0


def _loaded(choice: ModelChoice, settings: ServerSettings, server: HttpServer) -> Model:
    model = load(choice, settings)
    model.batcher.when_lost(server.end)  # whoever supervises this process starts the next one
    return model


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m duck_protection.server", description=__doc__)
    own = ServerSettings()
    parser.add_argument("--model", default="", help="folder of a checkpoint or its name; empty: models/duckling")
    parser.add_argument("--backend", default="fastvlm", choices=("fastvlm", "scripted"))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16, float16, 8bit, 4bit, fp8")
    parser.add_argument("--script", default="", help="YAML file for backend scripted")
    parser.add_argument("--api-key-file", default="", help=f"a key per line; or the variable {KEY_VARIABLE}")
    parser.add_argument("--allow-keyless-from", action="append", default=[], metavar="NETWORK")
    parser.add_argument("--cors-origin", action="append", default=[], metavar="ORIGIN")
    parser.add_argument("--fetch", action="store_true", help="fetch http(s) image URLs (any host this machine reaches)")
    parser.add_argument("--no-metrics", action="store_true")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--host", default=own.host)
    parser.add_argument("--alias", default=own.alias, help="the model's name in replies")
    for name, (low, high) in own.RANGES.items():
        kind = type(getattr(own, name))
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=kind, default=getattr(own, name), help=f"{low:g} to {high:g}, %(default)s")
    return parser


def _settings(args: argparse.Namespace) -> ServerSettings:
    numbers = {name: getattr(args, name) for name in ServerSettings.RANGES}
    return ServerSettings(
        host=args.host,
        alias=args.alias,
        keys=tuple(_keys(args.api_key_file)),
        keyless_from=tuple(args.allow_keyless_from),
        origins=tuple(args.cors_origin),
        fetch=args.fetch,
        metrics=not args.no_metrics,
        **numbers,
    )


def _keys(file: str) -> List[str]:
    text = Path(file).read_text(encoding="ascii") if file else os.environ.get(KEY_VARIABLE, "")
    keys = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if file and not keys:
        raise SettingsError(f"{file} has no key in it")
    return keys


def _warn(settings: ServerSettings) -> None:
    if settings.keyless_from:
        LOG.warning("these clients need no key: %s", ", ".join(settings.keyless_from))
    if settings.fetch:
        LOG.warning("image URLs are fetched from wherever a client says")


def run() -> None:
    """The command fastvlm-server."""
    sys.exit(main())


if __name__ == "__main__":
    run()
