# The app in one image:  docker compose up
#
# The base is an argument, so that a mirror or another Debian with Python 3.11 to 3.13 can stand in.
# Size: 7 GB. PyTorch's ordinary Linux wheels bring the CUDA libraries; they are most of the image, and they
# are loaded even where there is no GPU. The same image therefore runs with and without one.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
# uv lives beside the environment it fills, and stays behind in this stage.
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir uv==0.13.9 \
    && python3 -m venv --without-pip /opt/lfi
COPY requirements.lock /src/
RUN /opt/uv/bin/uv pip install --python /opt/lfi/bin/python --no-cache --compile-bytecode \
    --require-hashes -r /src/requirements.lock

FROM ${BASE}
# Letters of figures and films in all scripts (48 MB); the fonts are drawn with, so their newest version will do.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends fonts-noto-core fonts-wqy-microhei \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 lfi \
    && useradd --uid 10001 --gid lfi --no-create-home --home-dir /tmp lfi \
    && install -d -o lfi -g lfi /data
# The large layer comes before the code, so that a changed line of code does not make it anew.
COPY --from=dependencies /opt/lfi /opt/lfi
# The project runs from its own folder, where static/ lies beside the code, as it does in a clone.
WORKDIR /srv/lfi
COPY pyproject.toml LICENSE README.md ./
COPY lfi lfi
COPY evaluation evaluation
COPY app app
COPY bench bench
COPY static static
RUN --mount=type=bind,from=dependencies,source=/opt/uv,target=/opt/uv \
    /opt/uv/bin/uv pip install --python /opt/lfi/bin/python --no-cache --no-deps -e . \
    && python3 -m compileall -q lfi evaluation app bench
# /data keeps what must outlive the container; everything else that is written goes to /tmp.
ENV PATH=/opt/lfi/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LFI_HOST=0.0.0.0 \
    LFI_PORT=7860 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    GRADIO_TEMP_DIR=/tmp/gradio \
    HF_HOME=/data/huggingface \
    LFI_STUDY_FOLDER=/data/study \
    LFI_KEPT_FOLDER=/data/kept
USER 10001:10001
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['LFI_PORT'] + '/healthz', timeout=4)"]
CMD ["lfi", "serve"]
