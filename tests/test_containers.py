"""The container files: valid, linted, and closed where they can be."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent


def complaints(*command: str) -> str:
    """What a linter from the development lock has to say; empty when it is content."""
    done = subprocess.run([str(TOOLS / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_compose_file_is_valid():
    assert complaints("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml") == ""


def test_the_dockerfile_passes_its_linter():
    assert complaints("hadolint", "Dockerfile") == ""


def test_compose_serves_this_machine_only_and_grants_the_app_nothing():
    app = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["app"]
    assert app["ports"] == ["127.0.0.1:${LFI_PORT:-7860}:7860"]
    assert app["environment"]["LFI_AUTH"] == "${LFI_AUTH:-off}"  # because of the line above, and only with it
    assert {key: app[key] for key in ("cap_drop", "read_only", "security_opt", "volumes")} == {
        "cap_drop": ["ALL"],
        "read_only": True,
        "security_opt": ["no-new-privileges:true"],
        "volumes": ["data:/data"],
    }
    assert "mem_limit" in app
    assert "privileged" not in app


def test_the_image_runs_as_a_numbered_user_and_reports_its_health():
    last_stage = (ROOT / "Dockerfile").read_text().split("\nFROM ")[-1]
    assert re.findall(r"^USER (.*)$", last_stage, re.MULTILINE) == ["10001:10001"]
    assert re.search(r"^HEALTHCHECK .*\n.*/healthz", last_stage, re.MULTILINE)


def test_everything_the_dockerfile_copies_is_sent_to_the_builder():
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    wanted = {source for line in copies for source in line.split()}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == wanted
    assert [source for source in sorted(wanted) if not (ROOT / source).exists()] == []
