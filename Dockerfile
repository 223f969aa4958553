# syntax=docker/dockerfile:1
# keeper's image: nothing in it but Python, keeper with hash-checked dependencies, and anvil for dry runs.
#   docker build -t keeper --build-arg VERSION=$(git describe --tags --always) .

ARG PYTHON=3.12

# ---- anvil, for `keeper run --dry-run` on a fork (pinned and hash-checked by package-lock.json; no install scripts run)
FROM node:22-bookworm-slim AS anvil
WORKDIR /npm
COPY keeper/devnet/npm/package.json keeper/devnet/npm/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund \
    && mkdir /anvil \
    && if [ -x node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil ]; then \
         cp node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil /anvil/anvil; \
       else echo "no anvil for this architecture: --dry-run=simulate works, --dry-run needs a fork elsewhere"; fi

# ---- the virtual environment, with bytecode compiled once instead of at each start
FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /src
COPY requirements/run.lock requirements/
RUN python -m venv /opt/keeper \
    && /opt/keeper/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-compile \
         --require-hashes -r requirements/run.lock
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY keeper keeper
RUN /opt/keeper/bin/python -m pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation \
         --wheel-dir /dist . \
    && /opt/keeper/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-compile --no-deps \
         /dist/keeper-*.whl \
    && /opt/keeper/bin/python -m pip check --disable-pip-version-check \
    && /opt/keeper/bin/python -m pip uninstall --quiet --yes hatchling trove-classifiers pathspec pluggy setuptools pip \
    && /opt/keeper/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/keeper/lib

# ---- what runs
FROM python:${PYTHON}-slim-bookworm
ARG PYTHON
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="keeper" \
      org.opencontainers.image.description="Compounds DeFi positions on EVM chains when, and only when, it pays." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The base image ships the standard library without bytecode.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
         -x '/(test|tests|idlelib|tkinter|turtledemo|lib2to3|ensurepip|site-packages)/' "/usr/local/lib/python${PYTHON}"
RUN groupadd --gid 10001 keeper \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin keeper \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=anvil /anvil/ /usr/local/bin/
COPY --from=build /opt/keeper /opt/keeper
# Bytecode is in the image; the root file system may be read-only, so nothing is compiled at run time.
ENV PATH=/opt/keeper/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    KEEPER_CONTAINER=1
# The config is looked for in ./config/keeper.toml, which here is /config/keeper.toml.
WORKDIR /
USER 10001:10001
VOLUME /data
# Health and metrics, when the config says [web] listen = "0.0.0.0:9464"; nothing needs the port by default.
EXPOSE 9464
STOPSIGNAL SIGTERM
# Looks at the age of a file (13 ms of CPU); it must not become the thing that makes a busy machine restart keeper.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["/opt/keeper/bin/python", "-I", "-S", "-c", "import os, sys, time; sys.exit(time.time() - os.stat('/data/heartbeat').st_mtime > 120)"]
ENTRYPOINT ["keeper"]
CMD ["run"]
