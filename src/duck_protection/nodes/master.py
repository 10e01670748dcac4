"""Talks to the ROS master with deadlines, and makes a master that was restarted know this node again.

rospy registers once. After a roscore restart its connections keep flowing, but nobody new finds them. Promise: the
watch notices a new master within a poll (0.5 s) of its return and registers every topic and service of this
process in place, with its private parameters; connections that exist are not touched.
"""
from __future__ import annotations

import http.client
import threading
import time
import xmlrpc.client
from typing import Any, Dict, Optional, Tuple
from xml.parsers.expat import ExpatError

import rosgraph
import rospy
from rospy.impl.registration import get_service_manager

FAILURES = (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError)  # what an XML-RPC call ends with
CALL_S = 1.0  # for one call of a live master: it answers within milliseconds
POLL_S = 0.5


class _Transport(xmlrpc.client.Transport):
    """HTTP whose every wait ends after timeout_s."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = self._timeout_s
        return connection


def proxy(uri: str, timeout_s: float = CALL_S) -> Any:
    """An XML-RPC proxy of a master or node; its calls raise one of FAILURES, a silent peer's after timeout_s."""
    return xmlrpc.client.ServerProxy(uri, transport=_Transport(timeout_s))


class MasterError(Exception):
    """The master refused a registration."""


class MasterWatch(threading.Thread):
    """Polls the master and registers again whatever this process offers, when it is not known any more.

    Args:
        parameters: This node's private parameters; a restarted master has lost them, a respawn would miss them.
    """

    def __init__(self, parameters: Dict[str, Any]) -> None:
        super().__init__(name="master watch", daemon=True)
        self._parameters = parameters
        self._uri = rosgraph.get_master_uri()
        self._pid: Optional[int] = None  # of the master that knows us
        self._away = False

    def run(self) -> None:
        """Looks every POLL_S until the node ends."""
        while not rospy.is_shutdown():
            try:
                self._look()
                self._away = False
            except (MasterError, *FAILURES) as err:
                if not self._away:
                    rospy.logwarn("the master is away or refuses us; what is connected goes on: %s", err)
                self._away = True
            time.sleep(POLL_S)

    def _look(self) -> None:
        caller, here = rospy.get_name(), rospy.get_node_uri()
        with proxy(self._uri) as master:
            code, _, known = master.lookupNode(caller, caller)
            pid = master.getPid(caller)[2]
            if code == 1 and known != here:
                rospy.logfatal("another node has taken the name %s: this one ends", caller)
                rospy.signal_shutdown("another node has taken the name")
            elif code != 1 or self._away or pid != (self._pid or pid):
                self._register(master, caller, here)
            self._pid = pid

    def _register(self, master: Any, caller: str, here: str) -> None:
        """The calls of rospy's own RegManager.start(), on a node that runs."""
        with proxy(here) as own:
            for topic, kind in own.getPublications(caller)[2]:
                _demand(master.registerPublisher(caller, topic, kind, here))
            for topic, kind in own.getSubscriptions(caller)[2]:
                publishers = _demand(master.registerSubscriber(caller, topic, kind, here))
                own.publisherUpdate(caller, topic, publishers)  # connects to whom we do not hear yet
        for service, address in get_service_manager().get_services():
            _demand(master.registerService(caller, service, address, here))
        if self._parameters:
            _demand(master.setParam(caller, caller, self._parameters))
        rospy.logwarn("registered again: the master did not know %s any more", caller)


def _demand(answer: Tuple[int, str, Any]) -> Any:
    code, text, value = answer
    if code != 1:
        raise MasterError(text)
    return value
