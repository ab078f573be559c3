# tfseg on CPUs.
#   docker build -t tfseg .
#   docker run --rm -v "$PWD:/work" tfseg segment --model=zoo:camvid_rnn_mobilenet_v2 photo.jpg
# With a GPU: --build-arg GPU=1, and docker run --gpus all; see docs/install.md.
FROM python:3.11-slim-bookworm

# OpenCV loads libGL and GLib.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/tfseg
COPY Makefile requirements*.txt ./
ARG GPU=""
RUN make setup VENV=/opt/venv GPU="$GPU"
COPY . .
RUN /opt/venv/bin/python -m pip install --no-cache-dir --no-deps --no-index --no-build-isolation .

ENV PATH=/opt/venv/bin:$PATH
# Caches and the list of what was exported lie in the home of whoever runs it.
RUN useradd --create-home --uid 1000 tfseg
USER 1000
WORKDIR /work
ENTRYPOINT ["tfseg"]
CMD ["--help"]
