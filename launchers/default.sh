#!/bin/bash
# What the robot's container starts: guard and watchdog under the robot's name. Arguments of robot.launch go through
# DUCK_PROTECTION_ARGS, for one "mode:=reading distribution:=ente".
source /environment.sh
dt-launchfile-init
# shellcheck disable=SC2086
dt-exec roslaunch --wait duck_protection robot.launch veh:="${VEHICLE_NAME}" ${DUCK_PROTECTION_ARGS:-}
dt-launchfile-join
