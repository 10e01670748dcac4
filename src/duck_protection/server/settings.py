"""How the server is started: what it listens to, whom it lets in, how much it takes. Refuses what is unsafe or absurd.

Promise: settings that exist are usable, and listening beyond this machine without a key needs an explicit list of
client addresses.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import ClassVar, Tuple, Union

from duck_protection.frames import FrameLimits
from duck_protection.server.listening import loopback
from duck_protection.settings import RangeTable, SettingsError, check_ranges

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class ServerSettings:
    """Each number's range is in RANGES, its reason beside it.

    Args:
        host: An address of this machine; loopback unless there is a key or an allow-list.
        keys: Any of them opens; none: nobody needs one (loopback only).
        keyless_from: Clients that need no key, as networks ("192.168.1.0/24").
        origins: Web pages that may ask; browsers send their origin, robots do not.
        alias: The model's name in replies; empty: its own.
    """

    host: str = "127.0.0.1"
    port: int = 8080  # where today's robots ask
    keys: Tuple[str, ...] = field(default=(), repr=False)
    keyless_from: Tuple[str, ...] = ()
    origins: Tuple[str, ...] = ()
    alias: str = ""
    slots: int = 4  # answers in the making at once; llama.cpp's default
    together: int = 4  # prompts read in one pass; each waits for the whole pass, a robot's verdict over ROS too
    max_batch: int = 0  # pictures of decisions in one pass; 0: what is measured best at start (vlm/sizing.py)
    context_tokens: int = 4096  # per slot: 230 MB of keys and values for the 7B at bfloat16
    queue: int = 32  # answers that may wait: a few for each robot of a class
    deadline_s: float = 60.0  # the longest that one request may take
    drain_s: float = 8.0  # for what has begun when SIGTERM comes; containers kill after 10 s
    body_s: float = 20.0  # for a request's body to arrive
    body_bytes: int = 32 * 1024 * 1024  # three pictures of the largest size
    image_bytes: int = 8 * 1024 * 1024
    image_pixels: int = 4_200_000
    images: int = 4
    connections: int = 256
    fetch: bool = False
    metrics: bool = True

    RANGES: ClassVar[RangeTable] = {
        "port": (0, 65535), "slots": (1, 256), "together": (1, 64), "max_batch": (0, 64),
        "context_tokens": (64, 1_000_000), "queue": (0, 4096),
        "deadline_s": (0.1, 3600.0), "drain_s": (0.0, 600.0), "body_s": (1.0, 600.0), "body_bytes": (1024, 2**30),
        "image_bytes": (1000, 10**8), "image_pixels": (1000, 10**8), "images": (0, 64), "connections": (4, 65536),
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_ranges(self)
        if any(len(key) < 8 or not key.isascii() or not key.isprintable() or " " in key for key in self.keys):
            raise SettingsError("an API key must have 8 or more printable ASCII characters and no space")
        self.networks  # noqa: B018  refuse bad ones now
        if not self.keys and not self.keyless_from and not loopback(self.host):
            raise SettingsError(
                f"listening on {self.host} needs an API key (--api-key-file, or the variable DUCK_PROTECTION_API_KEY), "
                "or the clients' addresses (--allow-keyless-from 192.168.1.0/24, vlm_node's http_keyless) when they "
                "cannot send one"
            )

    @property
    def networks(self) -> Tuple[Network, ...]:
        """keyless_from, read."""
        try:
            return tuple(ipaddress.ip_network(text) for text in self.keyless_from)
        except ValueError as err:
            raise SettingsError(f"allow-keyless-from must be addresses or networks: {err}") from err

    @property
    def frames(self) -> FrameLimits:
        """What a picture may be."""
        return FrameLimits(self.image_bytes, self.image_pixels)
