"""The container files: valid, linted, and closed where they can be."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from app.settings import Settings

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


COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_the_demo_alone_starts_without_a_profile():
    profiles = {name: service.get("profiles", []) for name, service in COMPOSE["services"].items()}
    assert profiles == {
        "app": [],
        "gpu": ["gpu"],
        "database": ["lab", "restore"],
        "backup": ["lab"],
        "restore": ["restore"],
    }
    assert COMPOSE["services"]["app"]["depends_on"]["database"]["required"] is False


def test_no_service_has_rights_it_does_not_need_or_a_port_to_the_world():
    for name, service in COMPOSE["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert any(place.startswith("/tmp") for place in service["tmpfs"]), f"{name} has no place for temporary files"
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        networks = ["outer", "inner"] if name in ("app", "gpu") else ["inner"]
        assert service["networks"] == networks, name
    assert COMPOSE["networks"]["inner"] == {"internal": True}


def test_the_gpu_is_reserved_and_used():
    gpu, app = (COMPOSE["services"][name] for name in ("gpu", "app"))
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert gpu["environment"] == app["environment"] | {"LFI_DEVICE": "cuda"}


def test_secrets_stand_in_a_file_that_git_ignores_and_whose_example_holds_none():
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"PASSWORD: (.*)", text)) == {'"${POSTGRES_PASSWORD:-}"'}
    example = (ROOT / ".env.example").read_text()
    assigned = dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", example, re.MULTILINE))
    assert {assigned[name] for name in ("POSTGRES_PASSWORD", "LFI_ADMIN_TOKEN", "LFI_API_KEYS")} == {""}


def test_the_example_names_settings_that_exist():
    example = (ROOT / ".env.example").read_text()
    known = {f"LFI_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"^(?:# )?(LFI_[A-Z_]+)=", example, re.MULTILINE)) - known == set()


def test_what_outlives_the_container_lies_in_its_volume():
    last_stage = (ROOT / "Dockerfile").read_text().split("\nFROM ")[-1]
    assert re.search(r"LFI_STUDY_FOLDER=/data/", last_stage)
    assert re.findall(r"^VOLUME (.*)$", last_stage, re.MULTILINE) == ["/data"]


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
