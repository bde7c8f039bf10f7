"""What comes with LFI, wherever it is installed: the trios' weights, samples, recipes, and what pages are made of.

A clone keeps `static/` next to the packages, a wheel inside this one (see `pyproject.toml`).
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "static"
STATIC = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "static"
MODELS = STATIC / "models"
RECIPES = _PACKAGE / "training" / "recipes"


def shipped_teacher(name: str) -> Path | None:
    """Folder of the teacher that comes with LFI under this name, such as `scenes`; None where there is none."""
    known = {folder.name for folder in MODELS.iterdir()} if MODELS.is_dir() else set()
    folder = MODELS / name / "teacher"
    return folder if name in known and folder.is_dir() else None


def recipe(path: Path) -> Path:
    """`path`, or the recipe that comes with LFI where `path` is not a file but a recipe's name, such as `lfi`."""
    named = RECIPES / f"{path.name.removesuffix('.toml')}.toml"
    return named if len(path.parts) == 1 and not path.is_file() and named.is_file() else path
