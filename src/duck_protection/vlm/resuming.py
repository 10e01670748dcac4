"""A model's large files, each taken up at the byte where an earlier command was ended, even by force.

Answers: how do 5 GB of one file get here over a line that somebody unplugs? The hub's client takes up a broken
connection only while its process lives: it writes to a file with a name of its own and throws it away
(huggingface_hub 2.4, _download_to_tmp_and_move). So what is large is fetched here, with the client's own http_get, into
`blobs/ETAG.part`, and put where the client looks for it. Promise: no byte is fetched twice but the last few megabytes;
nothing becomes part of the cache whose SHA-256 is not the hub's; two commands at once do not write into each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import sys
from pathlib import Path
from typing import BinaryIO, Iterable

from duck_protection.vlm.base import LoadError

SHA256 = re.compile(r"[0-9a-f]{64}")  # what the hub gives as a large file's etag; a small one's is git's own


def fetch_large(model: str, commit: str, names: Iterable[str], cache: Path) -> None:
    """These files of a model, into the client's cache; snapshot_download() then finds them there.

    Raises:
        LoadError: What came is not what the hub has. Anything of the client's; what has come stays.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    blobs = blobs_of(model, cache)
    blobs.mkdir(parents=True, exist_ok=True)
    for name in names:
        url = hf_hub_url(model, name, revision=commit)
        about = get_hf_file_metadata(url, headers=build_hf_headers())
        if not about.etag or not about.size:
            continue  # the client will say what is wrong with it
        blob, part = blobs / about.etag, blobs / f"{about.etag}.part"
        with part.open("ab") as file:
            _lock(file, name)
            if not blob.exists():
                here = _usable(file, about.size)
                http_get(url, file, resume_size=here, headers=build_hf_headers(), expected_size=about.size,
                         displayed_filename=name)  # fmt: skip
                file.flush()
                _check(part, about.etag, name)
                part.rename(blob)
        part.unlink(missing_ok=True)  # another command was quicker


def started_bytes(model: str, cache: Path) -> int:
    """How much of this model's files has come already, of those that are not whole."""
    return sum(part.stat().st_size for part in blobs_of(model, cache).glob("*.part"))


def blobs_of(model: str, cache: Path) -> Path:
    """Where the hub's client keeps a model's files, under their etags."""
    from huggingface_hub.file_download import repo_folder_name

    return cache / repo_folder_name(repo_id=model, repo_type="model") / "blobs"


def _lock(file: BinaryIO, name: str) -> None:
    """One command at a time; the lock goes with the process that holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{name} is being fetched by another command: waiting for it", file=sys.stderr)
        fcntl.flock(file, fcntl.LOCK_EX)


def _usable(file: BinaryIO, size: int) -> int:
    """How many bytes of the file are here; more than it has are none of it."""
    if file.seek(0, 2) > size:
        file.truncate(0)
    return file.seek(0, 2)


def _check(part: Path, etag: str, name: str) -> None:
    if not SHA256.fullmatch(etag):
        return
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != etag:
        part.unlink()
        raise LoadError(f"{name} came with another checksum than the hub's: run the same command again")
