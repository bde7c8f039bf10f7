"""The revision that records and run folders carry."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from evaluation.results import Results
from lfi.revision import revision


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "--message", "One")
    git(tmp_path, "tag", "v1")
    return tmp_path


def test_a_clean_checkout_is_its_commit(checkout):
    head = git(checkout, "rev-parse", "HEAD")
    assert (revision(checkout), revision(checkout, digits=7)) == (head, head[:7])


def test_a_changed_file_makes_it_dirty(checkout):
    (checkout / "code.py").write_text("a = 2\n")
    assert revision(checkout) == git(checkout, "rev-parse", "HEAD") + "-dirty"


def test_what_git_does_not_track_has_no_revision(checkout, tmp_path_factory):
    installed = checkout / "environment" / "lfi"
    installed.mkdir(parents=True)
    (installed / "code.py").write_text("a = 1\n")
    assert revision(installed) == "unknown"
    assert revision(tmp_path_factory.mktemp("elsewhere")) == "unknown"


def test_a_record_carries_the_revision_of_the_code_and_not_of_where_one_stands(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    assert Results("test", [0], {"x": 1}).record()["commit"] == revision(digits=7)
