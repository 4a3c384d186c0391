# The cloud half on the CPU: cloud-serve with the shipped models. From the root of the repository:
#   docker build -f docker/cloud.Dockerfile -t partway-cloud .
#   docker run --rm --read-only --tmpfs /tmp -p 8001:8001 partway-cloud
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv
WORKDIR /src
COPY . .
RUN python3 -m venv /opt/partway \
 && /opt/partway/bin/pip install --no-cache-dir --no-compile -c constraints.txt . \
 && /opt/partway/bin/pip uninstall -y pip setuptools \
 && find /opt/partway -name tests -type d -prune -exec rm -rf {} + \
 && find /opt/partway -name include -type d -prune -exec rm -rf {} + \
 && find /opt/partway -name '*.pyi' -delete

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-minimal libpython3-stdlib \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home --shell /usr/sbin/nologin partway
COPY --from=build /opt/partway /opt/partway
ENV PATH=/opt/partway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1 XDG_CACHE_HOME=/tmp
USER 10001
EXPOSE 8001
STOPSIGNAL SIGTERM
ENTRYPOINT ["cloud-serve", "--host", "0.0.0.0"]
