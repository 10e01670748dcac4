#!/usr/bin/env python
"""A plain rospy service, to be frozen and killed: ~flag (SetBool). True answers at once, False after HOLD_S."""
from __future__ import annotations

import time

import rospy
from std_srvs.srv import SetBool, SetBoolRequest, SetBoolResponse

HOLD_S = 10.0


def answer(request: SetBoolRequest) -> SetBoolResponse:
    if not request.data:
        time.sleep(HOLD_S)
    return SetBoolResponse(True, "set")


rospy.init_node("flag_service")
rospy.Service("~flag", SetBool, answer)
rospy.spin()
