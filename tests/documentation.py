"""The code blocks of README.md and docs/*.md, and what a command line in them says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, first line, language (`text` where none is given), title and content."""

    page: str
    line: int
    language: str
    title: str
    content: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "fence":
            language, _, rest = token.info.partition(" ")
            title = re.search(r'title="([^"]+)"', rest)
            line = token.map[0] + 1 if token.map else 0
            found.append(Block(page.name, line, language or "text", title[1] if title else "", token.content))
    return found


def all_blocks(*languages: str) -> list[Block]:
    """Of every page."""
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


def lines(block: Block) -> list[str]:
    """The command lines of a block of shell, without comments and continuation; a script is one."""
    if block.content.startswith("#!"):
        return [block.content]
    joined = re.sub(r"\\\n\s*", " ", block.content).splitlines()
    return [shlex.join(words) for line in joined if (words := shlex.split(line, comments=True))]


def commands(block: Block) -> Iterator[list[str]]:
    """The words of every call of `lfi` in a block of shell, whatever starts it (torchrun, variables, srun)."""
    for line in block.content.replace("\\\n", " ").splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a here-document, or another language
            continue
        for part in split(words, {"&&", "|", ";", "&"}):
            for place, word in enumerate(part):
                if word == "lfi" and (place == 0 or part[place - 1] in ("-m", "run") or "=" in part[place - 1]):
                    yield [each for each in part[place + 1 :] if each not in (">", "<")]
                    break


def split(words: list[str], at: set[str]) -> Iterator[list[str]]:
    """Runs of words between separators."""
    run: list[str] = []
    for word in words:
        if word in at:
            yield run
            run = []
        else:
            run.append(word)
    yield run
