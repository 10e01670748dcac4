# The robot's half, for a Duckiebot's own container host: guard and watchdog, Python 3.8, no torch. docs/robot.md.
# Built with `dts devel build -f -H ROBOT.local`, or plain docker. NOT BUILT BY US YET: its base image is not to be had where
# this project is tested; hadolint checks it, test/unit/test_containers.py checks what it copies and starts.
ARG DOCKER_REGISTRY=docker.io
ARG ARCH=arm64v8
ARG DISTRO=daffy
ARG BASE_TAG=${DISTRO}-${ARCH}
FROM ${DOCKER_REGISTRY}/duckietown/dt-ros-commons:${BASE_TAG}

ARG REPO_NAME=duck_protection
ARG LAUNCHER=default
ENV DT_MODULE_TYPE="${REPO_NAME}" \
    DT_REPO_PATH="${CATKIN_WS_DIR}/src/${REPO_NAME}" \
    DT_LAUNCH_PATH="${LAUNCH_DIR}/${REPO_NAME}" \
    DT_LAUNCHER="${LAUNCHER}"
WORKDIR ${DT_REPO_PATH}

COPY dependencies-apt.txt dependencies-py3.txt ./
RUN dt-apt-install dependencies-apt.txt && pip3 install --no-cache-dir -r dependencies-py3.txt

# The repository's root is the catkin package; .dockerignore leaves models, tests and pictures at home.
COPY . ./
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN source "/opt/ros/${ROS_DISTRO}/setup.bash" && catkin build --workspace "${CATKIN_WS_DIR}" duck_protection

COPY launchers/. "${DT_LAUNCH_PATH}/"
RUN dt-install-launchers "${DT_LAUNCH_PATH}"
CMD ["bash", "-c", "dt-launcher-${DT_LAUNCHER}"]

LABEL org.duckietown.label.module.type="${REPO_NAME}" \
      org.duckietown.label.module.description="Keeps a Duckiebot from running over ducks: the guard on the robot" \
      org.duckietown.label.code.location="${DT_REPO_PATH}"
