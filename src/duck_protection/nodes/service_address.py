"""Where does a service listen? Asked of the master in the background, so that nobody waits longer than he wants.

A look-up can hang for seconds: a name that does not resolve, a master behind a dead network. Promise: get() returns
within its wait; while the master is away, or does not know the service yet, the last known address stays.
"""
from __future__ import annotations

import socket
import threading
from typing import Optional, Tuple
from urllib.parse import urlparse

import rosgraph
import rospy

from duck_protection.nodes.master import FAILURES, proxy

Place = Tuple[str, int]  # numeric host and port: connecting needs no further look-up


class ServiceAddress:
    """The address of one service. One thread at a time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._place: Optional[Place] = None
        self._asking: Optional[threading.Thread] = None

    def get(self, wait_s: float) -> Optional[Place]:
        """The newest address known after at most wait_s; None when there never was one."""
        if self._asking is None or not self._asking.is_alive():
            self._asking = threading.Thread(target=self._ask, name=f"where is {self._name}", daemon=True)
            self._asking.start()
        self._asking.join(max(0.0, wait_s))
        return self._place

    def _ask(self) -> None:
        try:
            with proxy(rosgraph.get_master_uri()) as master:
                code, _, uri = master.lookupService(rospy.get_name(), self._name)
            if code == 1:
                parts = urlparse(uri)  # rosrpc://host:port
                family = socket.AF_UNSPEC if rosgraph.network.use_ipv6() else socket.AF_INET
                found = socket.getaddrinfo(parts.hostname, parts.port, family, socket.SOCK_STREAM)
                host, port = found[0][4][:2]
                self._place = (str(host), int(port))
        except (*FAILURES, ValueError):
            pass  # away, or nonsense: what was known before stays
