"""Every code block of the documentation is run, or it stands in `ONLY_PARSED` with the reason and can be read."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from documentation import PAGES, ROOT, Block, all_blocks, blocks, commands, lines
from running import running
from typer.main import get_command

from app.cli import cli
from app.main import create_app
from app.settings import read_settings
from evaluation.metrics import METRICS, Metric
from lfi.training.config_file import load_config

SHELL = ("bash", "sh", "text", "console")
SERVICE = "http://127.0.0.1:7860"

ONLY_PARSED = {
    r"\b(CONFIG|DIR|TRIO|PACS|NAME)\b": "names the reader's own files",
    r"captions\.csv|ratings\.parquet|runs/(a|kd|lfi KD)\b": "names the reader's own files",
    r"^#!": "needs Slurm",
    r"^docker compose": "needs docker; tests/test_containers.py reads the files",
    r"^cp \.env\.example|^git pull": "changes the checkout",
    r"^lfi study restore study-1": "needs a backup; tests/app/study makes one",
    r"^make ": "installs, and runs the service or all tests",
    r"^schemathesis": "takes minutes; tests/app/test_openapi_fuzz.py is shorter",
    r"^locust": "takes minutes; tests/app/engine/test_load.py is shorter",
    r"lfi serve$": "runs until it is stopped; tests/app/test_cli.py stops it",
    r"^lfi (benchmark|evaluate scenes|study coverage)\b": "takes hours; tests/evaluation has small ones",
    r"^lfi train lfi/training/recipes/detection": "takes hours; tests/app/test_detection_commands.py is shorter",
    r"^lfi train lfi/training/recipes/teacher-scenes": "takes an hour; test_teacher_training.py has small ones",
    r"^lfi export|^python -m lfi.exporting": "needs the extra onnx; tests/lfi/exporting runs both",
    r"^lfi report": "needs runs; tests/evaluation/test_page.py has small ones",
    r"^lfi evaluate maps static": "extending.md runs it",
    r"^lfi study demo": "takes half a minute; tests/app/test_study_analysis.py has a small one",
    r"^lfi study (export|analyse) pilot": "nobody has answered; tests/app/study answers",
    r"^lfi study plan": "tests/app/test_study_analysis.py runs it",
}
"""Patterns of command lines that are not run here, and why."""

TINY = ("data.count=64", "data.validation=32", "loop.epochs=1", "loop.tensorboard=false")
SMALLER = {
    ("train",): [
        *(part for value in TINY for part in ("--set", value)),
        *("--set", "student.overrides={img_size=64, patch_size=8, embed_dim=24, depth=2, num_heads=2}"),
    ],
    ("trio",): ["--scenes", "2"],
    ("evaluate", "maps"): ["--scenes", "3"],
    ("scenes", "write"): ["--count", "16"],
    ("distil",): ["--student", "least", "--epochs", "1"],
}
"""What is added to a command that would take long as it stands; the last of two equal options counts."""


def test_every_page_is_in_the_navigation_and_the_pages_build():
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", "build/site-of-a-test"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == ""
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert [page.name for page in PAGES if page.name != "README.md" and f": {page.name}" not in navigation] == []


def test_no_block_of_a_page_is_overlooked():
    fences = [line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines() if "```" in line]
    tested = all_blocks(*SHELL, "python", "toml", "json")
    assert len(fences) == 2 * len(tested)


@pytest.mark.parametrize("block", all_blocks(*SHELL), ids=str)
def test_every_command_exists_with_these_options(block: Block):
    for words in commands(block):
        parse(words)


def parse(words: list[str]) -> None:
    """Read a command line as `lfi` would, without running it; typer raises where it cannot be read."""
    command, name = get_command(cli), "lfi"
    while hasattr(command, "commands"):
        context = command.make_context(name, list(words), resilient_parsing="--help" in words)
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
        if "--help" in words:
            return
    command.make_context(name, list(words))


def test_a_wrong_option_or_command_would_be_found():
    for words in (["maps", "picture.jpg", "--wrod", "dog"], ["evaluate", "mpas"]):
        with pytest.raises(Exception, match=r"wrod|mpas"):
            parse(words)


@pytest.mark.parametrize(
    "block", [b for b in all_blocks("python") if b.page not in ("extending.md", "api.md")], ids=str
)
def test_python_runs_as_it_stands(block: Block):
    exec(compile(block.content, str(block), "exec"), {"__name__": "documentation"})


@pytest.mark.parametrize("block", all_blocks("toml"), ids=str)
def test_toml_can_be_read(block: Block):
    assert tomllib.loads(block.content)


@pytest.mark.parametrize("block", all_blocks("json"), ids=str)
def test_json_can_be_read(block: Block):
    assert json.loads(block.content)


def reasons(line: str) -> list[str]:
    """Why a command line is only parsed; empty for one that is run."""
    return [pattern for pattern in ONLY_PARSED if re.search(pattern, line)]


def test_every_reason_not_to_run_is_needed():
    every = [line for block in all_blocks(*SHELL) for line in lines(block)]
    assert set(ONLY_PARSED) == {pattern for line in every for pattern in reasons(line)}


CHEAP = {
    page.name: [line for block in blocks(page) if block.language in SHELL for line in lines(block) if not reasons(line)]
    for page in PAGES
}
"""The command lines of every page that are run."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A service with the models that ship."""
    with running(create_app(read_settings())) as url:
        yield url


@pytest.fixture(scope="module")
def ran(address: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`ran(page)`: a folder in which the cheap commands of a page were run, one after the other."""

    @cache
    def run_page(page: str) -> Path:
        folder = tmp_path_factory.mktemp(page.partition(".")[0])
        for name in ("static", "docs", "lfi/training/recipes"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(ROOT / name)
        for block in blocks(next(each for each in PAGES if each.name == page)):
            if block.title and "/" not in block.title:
                (folder / block.title).write_text(block.content)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            for line in CHEAP[page]:
                run(line, address)
        return folder

    return run_page


def run(line: str, address: str) -> None:
    """Run a command line, made smaller, against the service at this address; fails unless it ends well."""
    program, *words = shlex.split(line)
    if program == "lfi":
        more = [option for start, option in SMALLER.items() if tuple(words[: len(start)]) == start]
        assert lfi([*words, *(more[0] if more else [])]) == 0, line
    else:
        assert program == "curl", f"{line} is neither run nor in ONLY_PARSED"
        command = ["curl", "--silent", "--show-error", "--fail", *(word.replace(SERVICE, address) for word in words)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, found in CHEAP.items() if found])
def test_cheap_commands_run(page: str, ran):
    assert ran(page).is_dir()


def test_an_objective_and_a_teacher_of_ones_own_train(ran):
    folder = ran("extending.md")
    for run in ("cka", "sharper"):
        assert '"cka.py:loss"' in (folder / "runs" / run / "metrics.jsonl").read_text()
        assert (folder / "runs" / run / "student.safetensors").is_file()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert load_config(Path("cka.toml")).objective.fields == ("maps", "latents")


def test_a_metric_of_ones_own_is_found_by_being_there(tmp_path, monkeypatch):
    (block,) = [b for b in blocks(ROOT / "docs" / "extending.md") if b.title.startswith("evaluation/metrics/")]
    for file in (ROOT / "evaluation" / "metrics").glob("*.py"):
        (tmp_path / file.name).symlink_to(file)
    own = tmp_path / Path(block.title).name
    own.write_text(block.content)
    monkeypatch.setattr("evaluation.metrics.__path__", [str(tmp_path)])
    monkeypatch.setitem(sys.modules, f"evaluation.metrics.{own.stem}", None)  # taken out again afterwards
    del sys.modules[f"evaluation.metrics.{own.stem}"]

    found = runpy.run_path(str(tmp_path / "registry.py"))

    (name,) = found["METRICS"].keys() - METRICS.keys()
    metric = found["METRICS"][name]
    assert isinstance(metric, Metric)
    assert metric in found["of_category"](metric.category)
    even, point = torch.full((1, 4, 4), 1 / 16), torch.zeros(1, 4, 4)
    point[0, 1, 2] = 1
    scored = metric(torch.cat([even, point]), torch.ones(2, 8, 8, dtype=torch.bool))
    assert scored.tolist() == pytest.approx([1, 0], abs=1e-6)


def test_the_quick_start_leaves_its_files(ran):
    folder = ran("index.md")
    assert {path.name for path in (folder / "maps").iterdir()} >= {"figure.svg", "maps.npz"}
    assert (folder / "scenes.png").is_file()


def lfi(words: list[str]) -> int:
    """Run a command in this process, which has what takes long to import."""
    try:
        get_command(cli)(args=words, prog_name="lfi", standalone_mode=True)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.parametrize(
    ("reference", "wrong"),
    [
        ("nowhere.py:loss", "nowhere.py cannot be imported: FileNotFoundError"),
        ("lfi.maps:loss", "lfi.maps has no loss"),
        ("loss", "'loss' does not name any code; FILE.py:NAME or package.module:NAME was expected"),
    ],
)
def test_an_objective_that_is_not_there_is_named(reference: str, wrong: str, tmp_path: Path, monkeypatch, capsys):
    from app.cli import main

    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(f'[objective.extra]\n"{reference}" = 1.0\n')
    with pytest.raises(SystemExit) as stop:
        main(["train", "own.toml"])
    assert stop.value.code == 2
    assert wrong in capsys.readouterr().err
