"""A service that is told to stop answers what it has accepted, and accepts nothing more."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from uploads import as_bytes, scene

from bench.servers import Service


@pytest.mark.slow
def test_a_stop_in_the_middle_loses_no_request(trio_folder: Path, tmp_path: Path):
    environment = {
        "LFI_MODELS_DIR": str(trio_folder.parent),
        "LFI_TRIO": trio_folder.name,
        "LFI_STUDY_FOLDER": str(tmp_path / "study"),
        "LFI_JOBS": "1",  # so that requests wait, whatever the machine
    }
    service = Service(environment, tmp_path / "log")
    service.start()

    photos = [as_bytes(scene(2000 + number, 1500)) for number in range(8)]

    def ask(photo: bytes) -> int:
        files, data = {"image": ("photo.png", photo)}, {"words": "star"}
        return httpx.post(f"{service.url}/v1/maps", files=files, data=data, timeout=60).status_code

    def in_progress() -> int:
        text = httpx.get(f"{service.url}/metrics", timeout=60).text
        return int(float(re.search(r"^lfi_requests_in_progress (\S+)", text, re.M)[1])) - 1  # without this one

    try:
        with ThreadPoolExecutor(9) as people:
            answers = [people.submit(ask, photo) for photo in photos]
            while sum(answer.done() for answer in answers) + in_progress() < len(answers):  # until all are let in
                time.sleep(0.005)
            assert not all(answer.done() for answer in answers), "there must be something to wait for"
            stopping = people.submit(service.stop)
            statuses = [answer.exception() or answer.result() for answer in answers]
            stopping.result(30)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.url}/healthz")
        assert statuses == [200] * len(photos)
    finally:
        service.kill()
