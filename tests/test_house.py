"""How the house stands: what a package hands on, what a clone may hold, how it starts."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("lfi", "evaluation", "app", "bench")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock"]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked_files() -> list[Path]:
    """What git holds or would take: everything that is not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=name_of)
def test_a_package_hands_on_its_names_and_nothing_else(path):
    def hands_on(statement: ast.stmt) -> bool:
        if isinstance(statement, ast.Assign):
            return [ast.unparse(target) for target in statement.targets] == ["__all__"]
        if isinstance(statement, ast.Expr):
            return isinstance(statement.value, ast.Constant)
        return isinstance(statement, ast.Import | ast.ImportFrom)

    assert [ast.unparse(each) for each in ast.parse(path.read_text()).body if not hands_on(each)] == []


def test_relative_imports_are_not_used():
    relative = [
        name_of(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_a_page_is_waited_for_by_functions():
    """An expression is evaluated at every poll, which the pages' Content-Security-Policy forbids from the second on."""
    calls = [
        (f"{name_of(path)}:{node.lineno}", node.args[0])
        for path in sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "docs").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "wait_for_function"
    ]
    assert calls
    function = re.compile(r"""f?["']+(\(\)|\w+) =>""")
    assert [where for where, awaited in calls if not function.match(ast.unparse(awaited))] == []


@pytest.mark.parametrize("lock", LOCKS, ids=name_of)
def test_a_lock_names_no_host_and_hashes_every_package(lock):
    text = lock.read_text()
    assert re.findall(r"://|^--?(?:index-url|extra-index-url|find-links|i|f)\b.*", text, re.MULTILINE) == []
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lock_of_the_script_checker_names_no_host_and_hashes_every_package():
    text = (ROOT / "package-lock.json").read_text()
    assert "://" not in text
    packages = {name: each for name, each in json.loads(text)["packages"].items() if name}
    assert packages
    assert [name for name, each in packages.items() if not each["integrity"].startswith("sha512-")] == []
    pinned = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    assert pinned == {name: packages[f"node_modules/{name}"]["version"] for name in pinned}


def test_the_locks_hold_every_dependency_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        "requirements.lock": project["project"]["dependencies"],
        "requirements-dev.lock": project["dependency-groups"]["dev"],
    }
    for lock, requirements in wanted.items():
        locked = set(re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / lock).read_text(), re.MULTILINE))
        names = {re.split(r"[\[<>=~!; ]", each)[0].lower().replace("_", "-") for each in requirements}
        assert names - locked == set(), lock


def test_both_locks_agree_on_every_version():
    runtime, development = (
        dict(re.findall(r"^([A-Za-z0-9._-]+==[^ ]+)( ;[^\\\n]*)?", lock.read_text(), re.MULTILINE)) for lock in LOCKS
    )
    names = {pin.split("==")[0] for pin in runtime} & {pin.split("==")[0] for pin in development}
    assert {pin for pin in development if pin.split("==")[0] in names} <= set(runtime)


def test_no_file_names_a_folder_of_somebodys_machine():
    personal = re.compile(rb"(?<![\w./-])/(?:work|root|home|Users)/[\w.]+")
    found = {name_of(path): personal.findall(path.read_bytes()) for path in tracked_files()}
    assert {name: paths for name, paths in found.items() if paths} == {}


def test_the_readme_starts_with_the_command_that_runs_it_and_names_those_that_test_it():
    readme = (ROOT / "README.md").read_text()
    found = re.findall(r"^```\w*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    commands = [[line.split("#")[0].strip() for line in block.splitlines() if line.strip()] for block in found]
    assert commands[0] == ["make run"]
    assert ["make test", "make test-slow"] in commands
    assert "\nCI=true make --keep-going test test-slow\n" in (ROOT / ".ci/run").read_text()


def test_the_makefile_and_the_dockerfile_install_with_the_same_uv():
    makefile = re.search(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    dockerfile = re.search(r"uv==(\S+)", (ROOT / "Dockerfile").read_text())
    assert makefile is not None
    assert dockerfile is not None
    assert makefile[1] == dockerfile[1]


def test_modules_that_tests_share_are_found_under_names_of_their_own():
    """Test modules may have any name (`--import-mode=importlib`); what they import must be the one module meant."""
    shared = [path for path in sorted((ROOT / "tests").rglob("*.py")) if not re.match(r"test_|conftest", path.name)]
    searched = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["pythonpath"]
    shared = [path for path in shared if path.name != "locustfile.py"]  # a script of its own
    assert sorted({name_of(path.parent) for path in shared} | {"."}) == sorted(searched)
    assert {path.stem: find_spec(path.stem).origin for path in shared} == {path.stem: str(path) for path in shared}
    assert len({path.stem for path in shared}) == len(shared)
