"""What every figure for a paper has in common: its choices, its caption in LaTeX, and the zip that holds both."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lfi.rendering import Paper

WIDTHS = (8.5, 17.5)
"""One column and two, in centimetres."""
READING = (
    "Colours are attention in multiples of uniform attention on one scale, on which each doubling is an equal step; at "
    "1× or below nothing is drawn. "
    "Rings mark the strongest patch."
)
"""How a map is read, for a caption."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: "\\" + letter for letter in "&%$#_{}"},
    "×": r"$\times$",
    "−": "--",
    "“": "``",
    "”": "''",
}


class PaperChoice(BaseModel):
    """How a figure for a paper is wanted."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["pdf", "svg", "png"] = "pdf"
    width: float = Field(default=17.5, description="8.5 or 17.5 cm: a column, or a page.")
    points: int = Field(default=8, ge=6, le=10, description="Size of its letters.")
    captions: bool = Field(default=False, description="Whether notes and the caption stand on the figure itself.")

    @field_validator("width")
    @classmethod
    def _is_known(cls, width: float) -> float:
        if width not in WIDTHS:
            raise ValueError(f"one of {', '.join(map(str, WIDTHS))} was expected")
        return width

    @property
    def paper(self) -> Paper:
        """The same for `lfi.rendering`."""
        return Paper(self.width, self.points, self.captions)


def caption_tex(sentences: Sequence[str], notes: Sequence[str] = ()) -> bytes:
    """A caption to be adapted; notes are comments above it."""
    commented = "".join(f"% {' '.join(note.split())}\n" for note in notes)
    return f"{commented}\\caption{{{latex(' '.join(sentences))}}}\n".encode()


def latex(text: str) -> str:
    """Plain text as LaTeX writes it."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def looking(models: Sequence[str]) -> str:
    """`the a looks`; `a, b and c look`."""
    return f"the {models[0]} looks" if len(models) == 1 else f"{listed(models)} look"


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files, with a fixed date: equal figures are equal files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
