"""The wheel as a stranger gets it: installed as a tool, in an environment of its own, used in an empty folder.

The versions are those of `requirements.lock`, which uv's cache holds once the project was installed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PACKAGES = ("lfi", "evaluation", "app", "bench")
SAMPLE = ROOT / "static/samples/coffee.jpg"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def environment(**more: object) -> dict[str, str]:
    """That of this process without what could lead to the checkout, or set the service."""
    told = {name: value for name, value in os.environ.items() if not name.startswith(("LFI_", "PYTHON", "VIRTUAL_ENV"))}
    return told | {name: str(value) for name, value in more.items()}


@dataclass(frozen=True)
class Installed:
    """The installed tool: where it lies, and the empty folder that it is run in."""

    tool: Path
    folder: Path

    def run(self, command: str, *words: object) -> str:
        """What a program of the environment prints."""
        done = subprocess.run(
            [self.tool / "bin" / command, *map(str, words)],
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, which is built from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([BIN / "uv", "build", "--quiet", "--out-dir", folder], cwd=ROOT, env=environment(), check=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """As `uvx --from WHEEL` installs it, but in a folder that goes away."""
    tools, folder = tmp_path_factory.mktemp("tools"), tmp_path_factory.mktemp("empty")
    given = environment(UV_TOOL_DIR=tools, UV_TOOL_BIN_DIR=tools / "bin", UV_PYTHON=sys.executable)
    constraints = ("--constraints", ROOT / "requirements.lock")
    subprocess.run([BIN / "uv", "tool", "install", "--quiet", *constraints, wheel], env=given, check=True)
    return Installed(tools / "learning-from-interactions", folder)


@pytest.fixture(scope="module")
def url(installed: Installed) -> Iterator[str]:
    """Where `lfi serve` listens that was started in the empty folder."""
    process = subprocess.Popen(
        [installed.tool / "bin" / "lfi", "serve", "--port", "0"],
        cwd=installed.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.match(r"LFI is served at (\S+)", process.stdout.readline())
        assert found
        wait_until_ready(found[1])
        yield found[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()


def wait_until_ready(url: str, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz", timeout=60).status_code == 200:
                return
        except httpx.TransportError:  # it does not listen yet
            pass
        time.sleep(0.2)
    raise AssertionError(f"{url} was not ready after {seconds} s")


def test_a_wheel_holds_all_files_of_the_packages_and_of_static(wheel: Path):
    listing = subprocess.run(["git", "ls-files", *PACKAGES, "static"], cwd=ROOT, capture_output=True, text=True)
    tracked = {re.sub("^static/", "lfi/static/", name) for name in listing.stdout.splitlines()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert tracked - held == set()
    assert {name.split("/")[0] for name in held} == set(PACKAGES)


def test_every_module_is_imported_from_the_wheel_with_what_the_wheel_asks_for(installed: Installed):
    program = """
import importlib, json, pkgutil, sys
for package in sys.argv[1:]:
    for module in pkgutil.walk_packages([importlib.import_module(package).__path__[0]], f"{package}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
files = [str(module.__file__) for module in sys.modules.values() if getattr(module, "__file__", None)]
print(json.dumps({"files": files, "path": sys.path}))
"""
    found = json.loads(installed.run("python", "-c", program, *PACKAGES).splitlines()[-1])
    inside = f"{installed.tool}/"
    ours = [path for path in found["files"] if re.search(rf"/({'|'.join(PACKAGES)})/", path.removeprefix(inside))]
    assert len(ours) > 300
    assert [path for path in ours if not path.startswith(inside)] == []
    assert [path for path in (*found["files"], *found["path"]) if Path(path).is_relative_to(ROOT)] == []


def test_the_page_opens(url: str):
    with httpx.Client(base_url=url, follow_redirects=True, timeout=60) as client:
        page = client.get("/")
        assert (page.status_code, page.url.path) == (200, "/ui/")
        assert client.get("/ui").status_code == 200
        for path in ("/readyz", "/static/css/tokens.css", "/static/samples/coffee.jpg", "/favicon.ico", "/batch"):
            assert client.get(path).status_code == 200, path


def test_maps_are_answered(url: str):
    form = {"files": {"image": ("coffee.jpg", SAMPLE.read_bytes())}, "data": {"words": "cup"}}
    answer = httpx.post(f"{url}/v1/maps", **form, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["words"] == ["cup"]
    problem = httpx.get(f"{url}/nothing", headers={"Accept": "text/html"}, timeout=60)
    assert (problem.status_code, problem.text.lstrip()[:9].lower()) == (404, "<!doctype")


def test_the_command_writes_maps(installed: Installed):
    installed.run("lfi", "maps", SAMPLE, "--word", "cup", "--out", "maps")
    assert {"figure.svg", "maps.npz", "lfi-01-cup.webp"} <= {
        path.name for path in (installed.folder / "maps").iterdir()
    }


def test_teachers_recipes_and_migrations_are_found(installed: Installed):
    program = """
from pathlib import Path
from app.database.schema import HEAD, revision_of
from app.settings import read_settings
from app.study.service import Studies
from lfi.teachers import load_teacher
from lfi.training.config import TrainConfig
from lfi.training.config_file import load_config
for config in (TrainConfig(), load_config(Path("lfi")), load_config(Path("logit-kd.toml"))):
    print(load_teacher(config.teacher.model).name, config.objective.logit_kd > 0)
print(revision_of(Studies(read_settings()).open(create=True)) == HEAD)
"""
    found = installed.run("python", "-c", program).splitlines()
    assert found == ["scenes CoCa False", "scenes CoCa False", "scenes CoCa True", "True"]
    assert (installed.folder / "data/study/study.db").is_file()
