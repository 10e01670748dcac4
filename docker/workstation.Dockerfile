# The workstation's half: the model, the protection, the operator's page. Build from the repository's root:
#   docker build -f docker/workstation.Dockerfile -t duck_protection .
#   docker run --gpus all --network host -v /models:/models:ro -e ROS_MASTER_URI -e ROS_IP duck_protection \
#     roslaunch duck_protection workstation.launch veh:=duckie model:=/models/FastVLM-7B dashboard:=true
# No CUDA base image: PyPI's torch brings its CUDA libraries, the host its driver (NVIDIA's container toolkit).
# NOT BUILT BY US YET: there is no container host where this project is tested. `./run setup` in it is what runs there.
FROM debian:12-slim

ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics \
    ROS_HOME=/var/lib/duck_protection
WORKDIR /opt/duck_protection
COPY run requirements.txt requirements-dev.txt ./
RUN ./run setup && rm -rf /var/lib/apt/lists/* /root/.cache
COPY . ./
RUN ./run build
ENTRYPOINT ["./run", "shell"]
CMD ["roslaunch", "duck_protection", "workstation.launch"]
