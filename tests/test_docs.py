"""Every code block of the documentation is run, or where it would take hours or a cluster, checked to be runnable."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from documentation import PAGES, ROOT, Block, all_blocks, blocks, commands
from typer.main import get_command

from app.cli import cli
from evaluation.metrics import Metric
from lfi.training.config import load_config

SHELL = ("bash", "sh", "text", "console")


def test_every_page_is_in_the_navigation_and_the_pages_build():
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", "build/site-of-a-test"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == ""
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert [page.name for page in PAGES if page.name != "README.md" and f": {page.name}" not in navigation] == []


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


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of extending.md, beside the models that ship."""
    folder = tmp_path_factory.mktemp("extending")
    (folder / "static").symlink_to(ROOT / "static")
    for block in blocks(ROOT / "docs" / "extending.md"):
        if block.title and "/" not in block.title:
            (folder / block.title).write_text(block.content)
    return folder


@pytest.mark.parametrize("block", [b for b in all_blocks("bash") if b.page == "extending.md"][:2], ids=str)
def test_an_objective_and_a_teacher_of_ones_own_train(block: Block, written: Path, monkeypatch):
    monkeypatch.chdir(written)
    for words in commands(block):
        assert lfi(words) == 0
        run = written / words[words.index("--out") + 1]
        records = (run / "metrics.jsonl").read_text()
        assert '"cka.py:loss"' in records
        assert (run / "student.safetensors").is_file()
    assert load_config(written / "cka.toml").objective.fields == ("maps", "latents")


def test_a_metric_of_ones_own_is_one_file(monkeypatch):
    (block,) = [b for b in blocks(ROOT / "docs" / "extending.md") if b.title.startswith("evaluation/metrics/")]
    space: dict[str, object] = {}
    exec(compile(block.content, block.title, "exec"), space)
    metric = space["METRIC"]
    assert isinstance(metric, Metric)
    even, point = torch.full((1, 4, 4), 1 / 16), torch.zeros(1, 4, 4)
    point[0, 1, 2] = 1
    found = metric(torch.cat([even, point]), torch.ones(2, 8, 8, dtype=torch.bool))
    assert found.tolist() == pytest.approx([1, 0], abs=1e-6)


def test_the_quick_start_runs(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "static").symlink_to(ROOT / "static")
    for block in blocks(ROOT / "docs" / "index.md"):
        if block.language == "bash":
            for words in commands(block):
                assert lfi(words) == 0, words
    assert {path.name for path in (tmp_path / "maps").iterdir()} >= {"figure.svg", "maps.npz"}
    assert (tmp_path / "scenes.png").is_file()


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
        ("lfi.maps:loss", "lfi.maps holds no loss"),
        ("loss", "'loss' names no code; FILE.py:NAME or package.module:NAME was expected"),
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
