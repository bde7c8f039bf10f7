"""The load profile runs against the real service and counts no failure."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from bench.servers import Service

PROFILE = Path(__file__).parent / "locustfile.py"


@pytest.mark.slow
def test_a_few_users_are_answered_without_a_failure(trio_folder: Path, tmp_path: Path):
    environment = {"LFI_MODELS_DIR": str(trio_folder.parent), "LFI_TRIO": trio_folder.name}
    service = Service(environment | {"LFI_STUDY_FOLDER": str(tmp_path)}, tmp_path / "service.log")
    service.start()
    try:
        command = [sys.executable, "-m", "locust", "--locustfile", str(PROFILE), "--host", service.url, "--headless"]
        command += ["--users", "5", "--spawn-rate", "5", "--run-time", "6s", "--csv", str(tmp_path / "load")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    finally:
        service.kill()
    assert done.returncode == 0, done.stderr
    rows = {row["Name"]: row for row in csv.DictReader((tmp_path / "load_stats.csv").open())}
    total = rows["Aggregated"]
    assert (int(total["Request Count"]) > 0, total["Failure Count"]) == (True, "0")
