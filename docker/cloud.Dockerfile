# The cloud half: cloud-serve, on the CPU or on an NVIDIA GPU; no shell, no pip, no compiler. linux/amd64 and linux/arm64.
#   docker build -f docker/cloud.Dockerfile --target cpu -t partway-cloud .
#   docker run --rm --read-only -p 8001:8001 -e PARTWAY_TOKEN partway-cloud
# Targets: cpu, gpu (CUDA's runtime libraries come as wheels; the host brings the driver).
FROM --platform=$BUILDPLATFORM debian:bookworm-slim AS build
RUN apt-get update -q && apt-get install -q -y --no-install-recommends python3 python3-venv binutils-multiarch >/dev/null
WORKDIR /src
COPY docker/requirements-build.txt docker/
RUN python3 -m venv /venv && /venv/bin/pip install --quiet --require-hashes -r docker/requirements-build.txt
COPY docker/steps docker/steps
ARG TARGETARCH
RUN python3 docker/steps/debian_root.py "$TARGETARCH" /image
COPY pyproject.toml LICENSE ./
COPY scripts/hatch_build.py scripts/
COPY src src
COPY proto proto
COPY engines engines
COPY partitioner partitioner
COPY edge edge
COPY cloud cloud
ARG SOURCE_DATE_EPOCH=1767225600
RUN touch README.md && /venv/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel .

FROM build AS gpu-files
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH=1767225600
COPY docker/requirements-cloud-gpu.txt docker/
RUN /venv/bin/python docker/steps/python_root.py "$TARGETARCH" /image /wheel/*.whl docker/requirements-cloud-gpu.txt \
 && /venv/bin/python docker/steps/finish.py "$TARGETARCH" /image partway-cloud-gpu

FROM build AS cpu-files
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH=1767225600
COPY docker/requirements-cloud-cpu.txt docker/
RUN /venv/bin/python docker/steps/python_root.py "$TARGETARCH" /image /wheel/*.whl docker/requirements-cloud-cpu.txt \
 && /venv/bin/python docker/steps/finish.py "$TARGETARCH" /image partway-cloud-cpu

FROM scratch AS cloud
ENV PATH=/usr/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 XDG_CACHE_HOME=/cache PARTWAY_HEALTH=1
USER 10001:10001
EXPOSE 8001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["cloud-serve", "--health"]
ENTRYPOINT ["cloud-serve", "--host", "0.0.0.0"]

FROM cloud AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-files /image /

FROM cloud AS cpu
COPY --from=cpu-files /image /
