"""Hears again at once when the network is back. TCP itself waits longer the longer a cut lasted.

Packets that are not acknowledged are sent again after 0.2, 0.4, 0.8 s and so on: after a cut of 12 s the next attempt
may be 12 s away. Promise: a subscription whose publisher was out of reach is connected anew within about a second of
its return; one that is only silent is left alone.
"""
from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any, Dict, Set, Tuple

import rospy

from duck_protection.nodes.master import FAILURES, proxy

SILENT_S = 1.0  # ten verdicts or thirty pictures: then it is time to ask whether the publisher is there
POLL_S = 0.25
CALL_S = 0.5  # for the publisher's answer
GONE_S = 1.0  # for rospy to take down a connection that was shut


class LinkWatch(threading.Thread):
    """Watches one subscription to a topic that is never silent for long.

    Args:
        subscriber: Whose connections are watched, until the node ends.
    """

    def __init__(self, subscriber: rospy.Subscriber) -> None:
        super().__init__(name=f"link watch {subscriber.resolved_name}", daemon=True)
        self._subscriber = subscriber
        self._heard: Dict[int, Tuple[int, float]] = {}  # by connection: messages so far, and since when
        self._lost: Set[str] = set()  # publishers that did not answer in this silence

    def run(self) -> None:
        """Looks every POLL_S."""
        while not rospy.is_shutdown():
            for connection in self._connections():
                self._look(connection)
            time.sleep(POLL_S)

    def _connections(self) -> list:
        impl = self._subscriber.impl
        links = list(impl.connections) if impl is not None else []
        there = {link.id for link in links}
        self._heard = {key: value for key, value in self._heard.items() if key in there}
        return links

    def _look(self, connection: Any) -> None:
        now_s, count, publisher = time.monotonic(), connection.stat_num_msg, connection.endpoint_id
        before, since_s = self._heard.setdefault(connection.id, (count, now_s))
        if count != before:
            self._heard[connection.id] = (count, now_s)
            self._lost.discard(publisher)
        elif now_s - since_s >= SILENT_S:
            if not _answers(publisher):
                self._lost.add(publisher)
            elif publisher in self._lost:
                self._lost.discard(publisher)
                self._connect_again(connection)

    def _connect_again(self, connection: Any) -> None:
        topic = self._subscriber.resolved_name
        publishers = [link.endpoint_id for link in self._connections()]
        rospy.logwarn("%s: the network is back, connecting again to %s", topic, connection.endpoint_id)
        with suppress(OSError, AttributeError):  # it ended by itself meanwhile
            connection.socket.shutdown(socket.SHUT_RDWR)
        ends_s = time.monotonic() + GONE_S
        while connection in self._subscriber.impl.connections and time.monotonic() < ends_s:
            time.sleep(0.01)
        with suppress(*FAILURES), proxy(rospy.get_node_uri()) as own:
            own.publisherUpdate(rospy.get_name(), topic, publishers)  # connects to whom we do not hear


def _answers(publisher: str) -> bool:
    try:
        with proxy(publisher, CALL_S) as node:
            return int(node.getPid(rospy.get_name())[0]) == 1
    except (*FAILURES, ValueError, TypeError, IndexError):
        return False
