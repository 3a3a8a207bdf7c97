# The workflow with its packages, as requirements.lock has them: docs/installation.md.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++
COPY requirements.lock /opt/unblend/
RUN python -m venv /opt/unblend/.venv \
    && /opt/unblend/.venv/bin/pip install --no-cache-dir --no-deps --requirement /opt/unblend/requirements.lock
COPY . /opt/unblend
RUN /opt/unblend/.venv/bin/python /opt/unblend/scripts/build_one_core.py

FROM python:3.11-slim-bookworm
# of pyimfit
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/unblend /opt/unblend
RUN ln -s /opt/unblend/unblend /usr/local/bin/unblend
# Snakemake and matplotlib write below HOME, and the user of a container may have none.
ENV PATH="/opt/unblend/.venv/bin:$PATH" HOME=/tmp
ENTRYPOINT ["unblend"]
