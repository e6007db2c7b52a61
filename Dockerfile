# docker build -t zapwire . && docker run ... : the whole command, and how to pin the base, are in docs/operating.md
ARG BASE=python:3.11.14-slim-bookworm
FROM ${BASE} AS build
WORKDIR /src
RUN python -m venv /opt/zapwire
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
    && /opt/zapwire/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/build/bin/pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /tmp . \
    && /opt/zapwire/bin/pip install --no-cache-dir --no-index --no-deps /tmp/zapwire-*.whl

FROM ${BASE}
RUN useradd --system --uid 10001 --no-create-home zapwire && install -d -o zapwire -m 0700 /data
COPY --from=build /opt/zapwire /opt/zapwire
COPY --chmod=0755 tools/health /opt/zapwire/bin/health
USER zapwire
# Inside a container the loopback address reaches nobody: publish the port to 127.0.0.1 of the host. A web page that
# renames itself to that address (DNS rebinding) is refused by its Host header: name your own host here, too.
ENV ZAPWIRE_LISTEN=0.0.0.0:8080 ZAPWIRE_ALLOWED_HOSTS=localhost,127.0.0.1 ZAPWIRE_SESSIONS_DIR=/data
# secrets come as files that everybody in the container can read, and nobody else is there
ENV ZAPWIRE_MASTER_KEY_FILE_SHARED=true
# read by the engine at the exec: else every message is marked as written by a machine
ENV NEONIZE_BOT_TAG=off
ENV PATH=/opt/zapwire/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["/opt/zapwire/bin/health"]
ENTRYPOINT ["zapwire"]
CMD ["serve"]
