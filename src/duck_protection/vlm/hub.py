"""From a model's name on the hub to a folder in the local cache: `./run fetch-model apple/FastVLM-7B`.

Answers: where are this model's files, and which commit are they? Promise: a model that has been fetched is never
changed behind your back (loading by name takes what is in the cache before it asks anyone); weights are taken up at the
byte where a connection broke or a command was ended (vlm/resuming.py); no code is fetched; and whatever goes wrong is
one sentence that says what to do. The cache is the hub client's own, under HF_HOME; HF_TOKEN, HF_HUB_OFFLINE and
HF_ENDPOINT are honoured because the client does.
"""
from __future__ import annotations

import argparse
import errno
import os
import re
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Tuple

from duck_protection.vlm import resuming
from duck_protection.vlm.base import LoadError

FILES = ["*.json", "*.safetensors", "merges.txt", "LICENSE*", "ACKNOWLEDGEMENTS*"]  # no *.py, no pickle
WEIGHTS = ".safetensors"
NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?")
LICENCE = """Licence: the weights of FastVLM are Apple's ("apple-amlr"), for non-commercial scientific research only,
revocable; whatever is made from them (quantised or converted weights too) carries the same terms. This project ships
none of them. By using them you accept the LICENSE file that comes with them."""


@dataclass(frozen=True)
class Fetched:
    """A model in the cache."""

    folder: Path
    commit: str


def is_name(name: str) -> bool:
    """Whether this can be a hub's "owner/model" or "owner/model@revision"."""
    return NAME.fullmatch(name) is not None


def locate(name: str) -> Fetched:
    """The model from the cache, fetched when it is not there yet.

    Raises:
        LoadError: It is not to be had; the message says what to do.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    model, _, revision = name.partition("@")
    here: Any = {"allow_patterns": FILES, "local_files_only": True}
    try:
        return _fetched(snapshot_download(model, revision=revision or None, **here))
    except LocalEntryNotFoundError:
        return fetch(name)
    except Exception as err:
        raise LoadError(sentence(err, model, revision)) from err


def fetch(name: str) -> Fetched:
    """The model as the hub has it now (or at the revision after "@"), in the cache. Prints the licence before the
    first byte; what an earlier call fetched is not fetched again.

    Raises:
        LoadError: As locate().
    """
    from huggingface_hub import snapshot_download

    model, _, revision = name.partition("@")
    asked: Any = {"repo_id": model, "revision": revision or None, "allow_patterns": FILES}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a full disk, and goes on; we do not
            if not offline():
                files = snapshot_download(**asked, dry_run=True, tqdm_class=_silent())
                _check_room(files, model)
                missing = [file for file in files if file.will_download]
                if missing:
                    print(LICENCE, file=sys.stderr)
                weights = [file.filename for file in missing if file.filename.endswith(WEIGHTS)]
                resuming.fetch_large(model, files[0].commit_hash, weights, cache())
            return _fetched(snapshot_download(**asked))
    except LoadError:
        raise
    except Exception as err:  # the client raises its own, httpx's, and OSErrors
        raise LoadError(sentence(err, model, revision)) from err


def _check_room(files: Any, model: str) -> None:
    """Raises LoadError when more is to come than the disk has room for, or no model at all."""
    if not any(file.filename.endswith(WEIGHTS) for file in files):
        raise LoadError(f"{model} has no *.safetensors on the hub: it is no model that can be loaded here")
    missing = sum(file.file_size for file in files if file.will_download) - resuming.started_bytes(model, cache())
    free = shutil.disk_usage(_existing(cache())).free
    if missing > free:
        raise LoadError(f"{model} needs {missing / 1e9:.1f} GB more, {cache()} has {free / 1e9:.1f} GB free: make "
                        "room, or set HF_HOME to a larger disk")


def sentence(err: Exception, model: str, revision: str) -> str:
    """What to tell a person about this error of the hub's client."""
    from huggingface_hub import errors
    from huggingface_hub.constants import ENDPOINT

    chain = _chain(err)
    if any(isinstance(one, errors.GatedRepoError) for one in chain):
        return f"{model} is gated: accept its terms on {ENDPOINT}, and set HF_TOKEN"
    if any(isinstance(one, (errors.RepositoryNotFoundError, errors.HFValidationError)) for one in chain):
        return f"there is no model {model} on {ENDPOINT}: check the name, or set HF_TOKEN if it is private"
    if any(isinstance(one, errors.RevisionNotFoundError) for one in chain):
        return f"{model} has no revision {revision or 'main'} on {ENDPOINT}"
    if any(isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT) for one in chain):
        return f"no space left in {cache()}: make room, or set HF_HOME to a larger disk, and run the same command again"
    if offline():
        return f"HF_HUB_OFFLINE is set and {model} is not complete in {cache()}: fetch it with a network first"
    return (f"{model} cannot be fetched from {ENDPOINT} ({_short(chain[-1])}): check the network and run the same "
            "command again (what has come is kept), or copy the model's folder here and name that")


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    from huggingface_hub.constants import is_offline_mode

    return bool(is_offline_mode())


def cache() -> Path:
    """Where fetched models lie."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _fetched(folder: str) -> Fetched:
    return Fetched(Path(folder), Path(folder).name[:12])


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _chain(err: BaseException) -> Tuple[BaseException, ...]:
    """The error and what it arose from, the root last."""
    found: List[BaseException] = []
    cause: Optional[BaseException] = err
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return tuple(found)


def _short(err: BaseException) -> str:
    return (str(err).strip().splitlines() or [type(err).__name__])[0][:160]


def _silent() -> Any:
    from tqdm import tqdm

    class Silent(tqdm):  # type: ignore[misc,type-arg,unused-ignore]
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "disable": True})

    return Silent


def main(arguments: Optional[List[str]] = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="run fetch-model", description=__doc__.split("\n\n")[0])
    parser.add_argument("model", help="its name on the hub, such as apple/FastVLM-7B")
    parser.add_argument("--revision", help="branch, tag or commit; default: main as it is now")
    options = parser.parse_args(arguments)
    name = f"{options.model}@{options.revision}" if options.revision else options.model
    try:
        if not is_name(name):
            raise LoadError(f"{name!r} is no name on the hub: it must look like apple/FastVLM-7B")
        got = fetch(name)
    except LoadError as err:
        print(f"fetch-model: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fetch-model: interrupted; the same command goes on where this one was", file=sys.stderr)
        return 130
    size = sum(file.stat().st_size for file in got.folder.rglob("*") if file.is_file())
    print(f"{options.model} at {got.folder.name}: {size / 1e9:.2f} GB in {os.fspath(cache())}")
    print(f"use it: roslaunch duck_protection workstation.launch model:={options.model}@{got.folder.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
