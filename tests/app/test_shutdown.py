"""A service that is told to stop answers what it has accepted, and accepts nothing more."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from uploads import as_bytes, scene

from app.study.servers import Service


def test_a_stop_in_the_middle_loses_no_request(trio_folder: Path, tmp_path: Path):
    environment = {
        "LFI_MODELS_DIR": str(trio_folder.parent),
        "LFI_TRIO": trio_folder.name,
        "LFI_STUDY_FOLDER": str(tmp_path / "study"),
        "LFI_JOBS": "1",  # so that requests wait, whatever the machine
    }
    service = Service(environment, tmp_path / "log")
    service.start()

    def ask(number: int) -> int:
        image = as_bytes(scene(2000 + number, 1500))
        files, data = {"image": ("photo.png", image)}, {"words": "star"}
        return httpx.post(f"{service.url}/v1/maps", files=files, data=data, timeout=60).status_code

    def in_progress() -> int:
        text = httpx.get(f"{service.url}/metrics", timeout=60).text
        return int(float(re.search(r"^lfi_requests_in_progress (\S+)", text, re.M)[1])) - 1  # without this one

    try:
        with ThreadPoolExecutor(9) as people:
            answers = [people.submit(ask, number) for number in range(8)]
            while in_progress() < 2:
                time.sleep(0.005)
            stopping = people.submit(service.stop)
            statuses = [answer.exception() or answer.result() for answer in answers]
            stopping.result(30)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.url}/healthz")
        # a connection that came after the stop is refused; none that was accepted is left without an answer
        assert statuses.count(200) >= 2
        assert all(status == 200 or isinstance(status, httpx.ConnectError) for status in statuses)
    finally:
        service.kill()
