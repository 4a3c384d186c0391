# The device half: edge-run on one engine, nothing else; no shell, no pip, no compiler. linux/amd64 and linux/arm64.
#   docker build -f docker/edge.Dockerfile --target onnx -t partway-edge .
#   docker run --rm --read-only partway-edge --model mnist --cloud HOST:8001
# Targets: onnx, litert. Nothing of the target machine's is run while building, so no emulation is needed.
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

FROM build AS onnx-files
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH=1767225600
COPY docker/requirements-edge-onnx.txt docker/
RUN /venv/bin/python docker/steps/python_root.py "$TARGETARCH" /image /wheel/*.whl docker/requirements-edge-onnx.txt \
 && /venv/bin/python docker/steps/finish.py "$TARGETARCH" /image partway-edge-onnx

FROM build AS litert-files
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH=1767225600
COPY docker/requirements-edge-litert.txt docker/
RUN /venv/bin/python docker/steps/python_root.py "$TARGETARCH" /image /wheel/*.whl docker/requirements-edge-litert.txt \
 && /venv/bin/python docker/steps/finish.py "$TARGETARCH" /image partway-edge-litert

FROM scratch AS edge
ENV PATH=/usr/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 XDG_CACHE_HOME=/cache PARTWAY_HEALTH=1
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["edge-run", "--health"]
ENTRYPOINT ["edge-run"]
CMD ["--model", "mnist"]

FROM edge AS litert
COPY --from=litert-files /image /

FROM edge AS onnx
COPY --from=onnx-files /image /
