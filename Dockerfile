# One image for every node: torch's wheels bring the CUDA libraries, the host brings the driver, and a node
# without a GPU uses the same torch on its processor. It holds the extras of [all], Ray's dashboard for clusters too.
#
#   docker build -t hsmix-gen .
#   docker run --rm --init --shm-size=8g --gpus all -v "$PWD:/data" -u "$(id -u):$(id -g)" hsmix-gen run SOURCE OUTPUT
#
# Ray keeps its objects in /dev/shm, of which a container gets 64 MB unless --shm-size says more; --init reaps
# what its processes leave behind. Without a GPU drop --gpus.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS wheel
# For the kernels; the image itself needs no compiler.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
# The requirements apart from the package: their layer, by far the largest, is kept until they change.
RUN python -c "import re, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = project['optional-dependencies']; names = re.findall('[a-z0-9]+', extras['all'][0].split('[')[1]); \
print(*project['dependencies'], *(text for name in names for text in extras[name]), sep='\n')" > requirements.txt
COPY schemas schemas
COPY stages stages
COPY pipeline pipeline
# Kernels are optional when the package is built; here they have to be there.
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python -m zipfile --list /wheels/*.whl | grep --quiet _native.abi3.so

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="hsmix-gen" \
      org.opencontainers.image.description="Offline HSMix: mixed medical images and masks as sharded datasets" \
      org.opencontainers.image.licenses="Apache-2.0"

# KubeRay asks a node for its health with wget. Debian takes older versions away, so none is named.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/*

# Kept in the image: what is built on it should install under the same constraints.
COPY constraints.txt /opt/hsmix-gen/constraints.txt
COPY --from=wheel /src/requirements.txt /opt/hsmix-gen/requirements.txt
RUN pip install --no-cache-dir --root-user-action=ignore --prefer-binary -c /opt/hsmix-gen/constraints.txt \
    torch -r /opt/hsmix-gen/requirements.txt
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --root-user-action=ignore --no-index --no-deps /wheels/*.whl \
    && pip check

# A numeric user, so that Kubernetes can see that it is not root. Any other works too (-u, OpenShift, Apptainer):
# nothing is written outside /data and /tmp.
RUN useradd --uid 10001 --gid 0 --create-home hsmix \
    && install --directory --owner=10001 --group=0 --mode=0775 /data
USER 10001:0
WORKDIR /data

# The driver's libraries for computing, and no others. Which GPUs are seen is for the one who starts it to say.
ENV PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    MPLCONFIGDIR=/tmp/matplotlib \
    RAY_USAGE_STATS_ENABLED=0

HEALTHCHECK NONE
ENTRYPOINT ["hsmix-gen"]
CMD ["--help"]
