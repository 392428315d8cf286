# Two stages: the first installs from the lock, the second has what runs and nothing to install with.
# Reasons beside the lines; README says how to run it, tests/test_container.py does what can be done without an engine.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/weir
# The dependencies before the sources, so that a change of these does not install those again.
COPY runtime.lock ./
RUN /opt/weir/bin/python -m pip install --only-binary :all: --require-hashes --requirement runtime.lock
COPY LICENSE NOTICE README.md pyproject.toml ./
COPY proxy proxy
COPY plugins plugins
COPY config config
RUN /opt/weir/bin/python -m pip install --no-deps --no-build-isolation . \
    && /opt/weir/bin/python -m pip uninstall --yes setuptools pip

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="Weir" \
      org.opencontainers.image.description="A sidecar proxy for LLM traffic" \
      org.opencontainers.image.licenses="Apache-2.0"
# The file system may be read-only: no bytecode is written, and all that is kept is kept in /data.
ENV PATH=/opt/weir/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN groupadd --gid 10001 weir \
    && useradd --uid 10001 --gid weir --no-create-home --home-dir /data --shell /usr/sbin/nologin weir \
    && install --directory --owner weir --group weir --mode 0700 /data
COPY --from=build /opt/weir /opt/weir
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('WEIR_PORT', '8080')}/livez\", timeout=2)"]
ENTRYPOINT ["weir"]
CMD ["serve", "--host", "0.0.0.0", "--data", "/data"]
