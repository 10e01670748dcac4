"""The bounded service client against real local servers that answer, lie, trickle, hang and die.

A real rospy service, frozen and killed, is asked in test/rostest/check_bounded_service.py.
"""
from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
import time
from typing import Callable, Iterator, List, Optional, Tuple

import pytest

pytest.importorskip("rospy", reason="the nodes' side needs ROS")

import rosgraph.network
from std_srvs.srv import SetBool, SetBoolRequest, SetBoolResponse

from duck_protection.nodes.bounded_service import (
    BoundedService,
    ServiceError,
    ServiceFailed,
    ServiceGone,
    ServiceLate,
    ServiceRefused,
)

DEADLINE_S = 0.3
SLACK_S = 1.0  # for a busy machine; a client without deadline would wait for ever
Script = Callable[[socket.socket], None]


class Known:
    """The address, known without a master."""

    def __init__(self, place: Optional[Tuple[str, int]]) -> None:
        self._place = place

    def get(self, _: float) -> Optional[Tuple[str, int]]:
        return self._place


class Server:
    """Listens on a local port; the n-th connection is served by the n-th script, the last script serves the rest."""

    def __init__(self, scripts: List[Script]) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self._clients: List[BoundedService] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def client(self, **options: int) -> BoundedService:
        place = self._listener.getsockname()[:2]
        self._clients.append(BoundedService("/flag", SetBool, Known(place), **options))  # type: ignore[arg-type]
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            threading.Thread(target=self._serve, args=(script, connection), daemon=True).start()

    @staticmethod
    def _serve(script: Script, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, struct.error, rosgraph.network.ROSHandshakeException):
            script(connection)  # until the client has gone


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: List[Server] = []

    def start(*scripts: Script) -> Server:
        servers.append(Server(list(scripts)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def shake_hands(connection: socket.socket, **fields: str) -> None:
    rosgraph.network.read_ros_handshake_header(connection, io.BytesIO(), 4096)
    rosgraph.network.write_ros_handshake_header(connection, {"md5sum": SetBool._md5sum, **fields})


def read_request(connection: socket.socket) -> bool:
    size = struct.unpack("<I", connection.recv(4, socket.MSG_WAITALL))[0]
    return SetBoolRequest().deserialize(connection.recv(size, socket.MSG_WAITALL)).data


def reply(text: str) -> bytes:
    content = io.BytesIO()
    SetBoolResponse(True, text).serialize(content)
    return struct.pack("<BI", 1, content.tell()) + content.getvalue()


def answering(connection: socket.socket) -> None:
    shake_hands(connection)
    while True:
        connection.sendall(reply(f"set to {read_request(connection)}"))


def answers_with(data: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        shake_hands(connection)
        read_request(connection)
        connection.sendall(data)
        connection.recv(1)  # until the client goes

    return script


def silent(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def silent_after_handshake(connection: socket.socket) -> None:
    shake_hands(connection)
    silent(connection)


def trickling(connection: socket.socket) -> None:
    """A byte now and then: a timeout per receive would never end."""
    shake_hands(connection)
    for byte in reply("x" * 4000):
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def closing(connection: socket.socket) -> None:
    shake_hands(connection)
    read_request(connection)


def no_ros_service(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    silent(connection)


def refusing(connection: socket.socket) -> None:
    shake_hands(connection, error="md5sums do not match")


def of_another_type(connection: socket.socket) -> None:
    shake_hands(connection, md5sum="0" * 32)
    silent(connection)


def call(client: BoundedService, data: bool = True) -> str:
    return client.call(SetBoolRequest(data), DEADLINE_S).message


def test_it_calls_again_and_again_over_one_connection(serve: Callable[..., Server]) -> None:
    server = serve(answering)
    client = server.client()
    assert [call(client, data) for data in (True, False)] == ["set to True", "set to False"]
    assert server.connections == 1


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (silent, ServiceLate),  # a frozen server: the kernel accepts, nobody shakes hands
        (silent_after_handshake, ServiceLate),
        (trickling, ServiceLate),
        (closing, ServiceGone),  # killed in mid-call
        (refusing, ServiceRefused),
        (of_another_type, ServiceRefused),
        (no_ros_service, ServiceFailed),
        (answers_with(struct.pack("<BI", 0, 4) + b"oops"), ServiceFailed),
        (answers_with(struct.pack("<BI", 1, 2**32 - 1)), ServiceFailed),  # refused before a byte of it is read
        (answers_with(struct.pack("<BI", 1, 3) + b"\x01\xff\xff"), ServiceFailed),  # too short for its fields
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_failure_has_its_name_within_the_deadline(
    serve: Callable[..., Server], script: Script, error: type
) -> None:
    client = serve(script, answering).client()
    start_s = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        call(client)
    assert type(caught.value) is error
    assert time.monotonic() - start_s < DEADLINE_S + SLACK_S
    assert call(client) == "set to True", "the next call starts on a new connection"


def test_an_answer_that_comes_too_late_is_never_taken_for_the_next_one(serve: Callable[..., Server]) -> None:
    late = threading.Event()

    def answers_late(connection: socket.socket) -> None:
        shake_hands(connection)
        read_request(connection)
        late.wait(5)
        connection.sendall(reply("the first question's answer"))

    client = serve(answers_late, answering).client()
    with pytest.raises(ServiceLate):
        call(client)
    late.set()
    assert call(client, False) == "set to False"


def test_a_reply_larger_than_the_limit_is_refused(serve: Callable[..., Server]) -> None:
    client = serve(answers_with(reply("x" * 100))).client(max_reply_bytes=50)
    with pytest.raises(ServiceFailed, match="at most 50"):
        call(client)


def test_the_servers_own_error_is_told(serve: Callable[..., Server]) -> None:
    client = serve(answers_with(struct.pack("<BI", 0, 4) + b"oops")).client()
    with pytest.raises(ServiceFailed, match="oops"):
        call(client)


def test_a_refusal_says_what_does_not_match(serve: Callable[..., Server]) -> None:
    with pytest.raises(ServiceRefused, match="md5sums do not match"):
        call(serve(refusing).client())


def test_nobody_there_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        place = probe.getsockname()[:2]
    with pytest.raises(ServiceGone):
        call(BoundedService("/flag", SetBool, Known(place)))  # type: ignore[arg-type]


def test_without_an_address_it_is_gone() -> None:
    with pytest.raises(ServiceGone, match="the master knows no such service"):
        call(BoundedService("/flag", SetBool, Known(None)))  # type: ignore[arg-type]


def test_waiting_for_another_call_has_a_deadline_too(serve: Callable[..., Server]) -> None:
    server = serve(silent)
    client = server.client()
    other = threading.Thread(target=_late, args=(client, 2.0))
    other.start()
    while not server.connections:
        time.sleep(0.001)
    start_s = time.monotonic()
    with pytest.raises(ServiceLate, match="another call"):
        client.call(SetBoolRequest(), 0.05)
    assert time.monotonic() - start_s < 1.0
    other.join()


def _late(client: BoundedService, deadline_s: float) -> None:
    with contextlib.suppress(ServiceLate):
        client.call(SetBoolRequest(), deadline_s)


def test_a_deadline_in_the_past_is_late(serve: Callable[..., Server]) -> None:
    with pytest.raises(ServiceLate):
        serve(answering).client().call(SetBoolRequest(), -1.0)
