# docker build -t zapwire . && docker run -p 127.0.0.1:8080:8080 -v zapwire:/data zapwire
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/zapwire
COPY requirements.lock .
RUN /opt/zapwire/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/zapwire/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 zapwire && install -d -o zapwire -m 0700 /data
COPY --from=build /opt/zapwire /opt/zapwire
USER zapwire
# inside a container the loopback address reaches nobody; publish the port to 127.0.0.1 of the host as above
ENV ZAPWIRE_LISTEN=0.0.0.0:8080 ZAPWIRE_SESSIONS_DIR=/data PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["/opt/zapwire/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/livez', timeout=3)"]
ENTRYPOINT ["/opt/zapwire/bin/zapwire"]
CMD ["serve"]
