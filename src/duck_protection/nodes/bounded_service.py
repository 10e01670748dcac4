"""A ROS service client whose call ends when it must. rospy's own hangs for as long as a server is frozen.

Promise: call() returns or raises one of the tree below within its deadline, whatever server, network and master
do; connecting, handshake, sending and receiving share that one deadline. After any failure the next call starts
on a new connection; while the master is away the last known address serves.

    ServiceError
    ├── ServiceLate      the deadline passed; the server may be frozen, busy or far
    ├── ServiceGone      nobody there: no address, connection refused or broken
    ├── ServiceRefused   the server does not serve this: another service type (md5 sums differ)
    └── ServiceFailed    it answered with an error of its own, or with something unreadable or too large
"""
from __future__ import annotations

import io
import socket
import struct
import threading
import time
from typing import Any, Optional, Tuple

import genpy
import rosgraph.network
import rospy

from duck_protection.nodes.service_address import ServiceAddress

MAX_HEADER_BYTES = 64 * 1024  # handshake or error text; real ones have some hundred
MAX_REPLY_BYTES = 4 * 1024 * 1024


class ServiceError(Exception):
    """Any way in which a call can fail."""


class ServiceLate(ServiceError):
    """The deadline passed."""


class ServiceGone(ServiceError):
    """Nobody answers at the service's address, or it has none."""


class ServiceRefused(ServiceError):
    """The server refused the handshake: its service has another type or another definition."""


class ServiceFailed(ServiceError):
    """The server answered, but with an error or with something that cannot be used."""


class BoundedService:
    """Calls one service over one persistent connection. Any thread may call; one call at a time.

    Args:
        name: The service's name, resolved and remapped as rospy does.
        service_class: The generated class, InferImage for one.
        address: Where to look the service up.
        role: Tells this client from others of the same node: the server hears it after the node's name.
    """

    def __init__(
        self, name: str, service_class: Any, address: Optional[ServiceAddress] = None,
        max_reply_bytes: int = MAX_REPLY_BYTES, role: str = "",
    ) -> None:
        self._role = role
        self.name = rospy.resolve_name(name)
        self._class = service_class
        self._address = address or ServiceAddress(self.name)
        self._max_reply_bytes = max_reply_bytes
        self._lock = threading.Lock()
        self._wire: Optional[_Wire] = None

    def call(self, request: Any, deadline_s: float) -> Any:
        """The server's response to this request.

        Raises:
            ServiceError: see the module's tree. The caller may call again at once.
        """
        ends_s = time.monotonic() + deadline_s
        if not self._lock.acquire(timeout=max(0.0, deadline_s)):
            raise ServiceLate(f"{self.name}: another call took longer than {deadline_s:g} s")
        try:
            return self._call(request, ends_s)
        except ServiceError:
            self._drop()
            raise
        except socket.timeout as err:
            self._drop()
            raise ServiceLate(f"{self.name}: no answer within {deadline_s:g} s") from err
        except OSError as err:
            self._drop()
            raise ServiceGone(f"{self.name}: {err}") from err
        finally:
            self._lock.release()

    def close(self) -> None:
        """Ends the connection; the next call makes a new one."""
        with self._lock:
            self._drop()

    def _call(self, request: Any, ends_s: float) -> Any:
        content = io.BytesIO()
        request.serialize(content)
        if self._wire is None:
            self._wire = self._connected(ends_s)
        wire = self._wire
        wire.send(struct.pack("<I", content.tell()) + content.getvalue(), ends_s)
        ok, size = struct.unpack("<BI", wire.take(5, ends_s))
        if not ok:
            text = wire.take(min(size, MAX_HEADER_BYTES), ends_s).decode(errors="replace")
            raise ServiceFailed(f"{self.name}: the server reports {text}")
        if size > self._max_reply_bytes:
            raise ServiceFailed(f"{self.name}: a reply of {size} bytes, at most {self._max_reply_bytes} are read")
        response = self._class._response_class()
        try:
            return response.deserialize(wire.take(size, ends_s))
        except (genpy.DeserializationError, ValueError, struct.error) as err:
            raise ServiceFailed(f"{self.name}: the reply is unreadable: {err}") from err

    def _connected(self, ends_s: float) -> _Wire:
        place = self._address.get((ends_s - time.monotonic()) / 2)
        if place is None:
            raise ServiceGone(f"{self.name}: the master knows no such service, or is away")
        wire = _Wire(place, ends_s)
        try:
            self._shake_hands(wire, ends_s)
        except BaseException:
            wire.close()
            raise
        return wire

    def _shake_hands(self, wire: _Wire, ends_s: float) -> None:
        caller = f"{rospy.get_name()}/{self._role}" if self._role else rospy.get_name()
        fields = {"service": self.name, "md5sum": self._class._md5sum, "type": self._class._type,
                  "callerid": caller, "persistent": "1"}  # fmt: skip
        wire.send(rosgraph.network.encode_ros_handshake_header(fields), ends_s)
        length = wire.take(4, ends_s)
        if struct.unpack("<I", length)[0] > MAX_HEADER_BYTES:
            raise ServiceFailed(f"{self.name}: this is no ROS service")
        try:
            header = rosgraph.network.decode_ros_handshake_header(
                length + wire.take(struct.unpack("<I", length)[0], ends_s)
            )
        except (rosgraph.network.ROSHandshakeException, struct.error, UnicodeDecodeError) as err:
            raise ServiceFailed(f"{self.name}: this is no ROS service: {err}") from err
        if "error" in header:
            raise ServiceRefused(f"{self.name}: refused, {header['error']}")
        if header.get("md5sum", self._class._md5sum) not in ("*", self._class._md5sum):
            raise ServiceRefused(f"{self.name}: md5sums do not match, the server's is {header['md5sum']}")

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class _Wire:
    """A TCP connection whose every step ends at a given time of the monotonic clock."""

    def __init__(self, place: Tuple[Any, ...], ends_s: float) -> None:
        self._socket = socket.create_connection(place[:2], timeout=_left_s(ends_s))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes, ends_s: float) -> None:
        self._socket.settimeout(_left_s(ends_s))
        self._socket.sendall(data)  # its timeout is one for all pieces

    def take(self, count: int, ends_s: float) -> bytes:
        """Exactly count bytes."""
        data = bytearray()
        while len(data) < count:
            self._socket.settimeout(_left_s(ends_s))
            piece = self._socket.recv(min(count - len(data), 1 << 20))
            if not piece:
                raise ConnectionResetError("the server closed the connection")
            data += piece
        return bytes(data)

    def close(self) -> None:
        self._socket.close()


def _left_s(ends_s: float) -> float:
    left_s = ends_s - time.monotonic()
    if left_s <= 0:
        raise socket.timeout("the deadline has passed")
    return left_s
