# The command line in an image, without root inside.
#
#   docker build -t cvgl-bench .
#   docker run --rm --user "$(id -u):$(id -g)" --ipc host -v "$PWD:/work" -v cvgl-bench:/cache \
#       cvgl-bench demo
#
# For NVIDIA GPUs, and then `docker run --gpus all ...`:
#
#   docker build -t cvgl-bench:cuda \
#       --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04 \
#       --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
#
# /work is where commands read and write; /cache keeps compiled functions from one run to the next.
ARG BASE=ubuntu:24.04

FROM ${BASE} AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

FROM python AS wheel
RUN python3 -m venv /build && /build/bin/pip install --no-cache-dir build
COPY . /source
RUN /build/bin/python -m build --wheel --outdir /dist /source

FROM python
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Before the wheel, so that another wheel does not fetch torch again.
RUN python3 -m venv /opt/cvgl-bench \
    && /opt/cvgl-bench/bin/pip install --no-cache-dir --index-url "${TORCH_INDEX}" \
        "torch>=2.6" "torchvision>=0.21"
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    for wheel in /dist/*.whl; do \
        /opt/cvgl-bench/bin/pip install --no-cache-dir "${wheel}[pretrained,published]"; \
    done
# Whoever runs the image, by any number, can write here; the code itself stays read-only.
RUN useradd --uid 10001 --create-home cvgl \
    && install --directory --mode 1777 /cache /work
# USER as a name: what asks for the user's name finds none for a number that the image lacks.
ENV PATH=/opt/cvgl-bench/bin:$PATH \
    HF_HOME=/cache/huggingface \
    MPLCONFIGDIR=/cache/matplotlib \
    NUMBA_CACHE_DIR=/cache/numba \
    PYTHONUNBUFFERED=1 \
    USER=cvgl
USER 10001
WORKDIR /work
ENTRYPOINT ["cvgl-bench"]
CMD ["--help"]
