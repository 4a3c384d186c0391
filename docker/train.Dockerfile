# Training: `partway train mnist`, as the tutorials do it. linux/amd64, on the CPU.
#   docker build -f docker/train.Dockerfile -t partway-train .
#   docker run --rm --read-only -v mnist:/data:ro -v trained:/out partway-train
# TORCH_INDEX is where pip finds torch's CPU build; leave it empty where pip is told already.
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

FROM build AS train-files
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH=1767225600
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY docker/requirements-train.txt docker/
RUN PIP_EXTRA_INDEX_URL="$TORCH_INDEX" \
    /venv/bin/python docker/steps/python_root.py "$TARGETARCH" /image /wheel/*.whl docker/requirements-train.txt --sources \
 && /venv/bin/python docker/steps/finish.py "$TARGETARCH" /image partway-train

FROM scratch
ENV PATH=/usr/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 XDG_CACHE_HOME=/cache TORCHINDUCTOR_CACHE_DIR=/cache TMPDIR=/out
COPY --from=train-files /image /
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK NONE
ENTRYPOINT ["partway", "train", "mnist"]
CMD ["--data", "/data", "--out", "/out"]
