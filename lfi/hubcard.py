"""Model cards of the Hugging Face hub: what a folder holds, from what stands in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from safetensors import safe_open

_TAGS = ("lfi", "learning-from-interactions", "interpretability", "knowledge-distillation", "vision-language")
_PAPER = (
    "Made with LFI, an implementation of *Learning from Interactions* (Gao et al., "
    '"Knowledge Transfer from Interaction Learning", ICCV 2025, [arXiv 2509.18733](https://arxiv.org/abs/2509.18733)).'
)


def model_card(folder: Path, repository: str, license: str = "") -> str:
    """A card in Markdown with the front matter that the hub reads.

    Args:
        folder: of a trio, a teacher or a student.
        repository: `ORG/NAME`, for the examples.
        license: left out where empty.
    """
    front = ["---", "library_name: learning-from-interactions", *([f"license: {license}"] if license else []), "tags:"]
    front += [*(f"- {tag}" for tag in _TAGS), "---"]
    if (folder / "card.json").is_file():
        body = _trio(json.loads((folder / "card.json").read_text(encoding="utf-8")), repository)
    elif (folder / "open_clip_config.json").is_file():
        body = _teacher(json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8")), repository)
    else:
        body = _student(folder / "student.safetensors", repository)
    return "\n".join([*front, "", *body, "", _PAPER, ""])


def _trio(card: Mapping[str, Any], repository: str) -> list[str]:
    lines = [f"# {card['name']}", "", card.get("summary", ""), ""]
    lines += ["| | what it is | parameters |", "|---|---|---|"]
    models = {**card["models"], **card.get("peers", {})}
    for name, model in models.items():
        count = model.get("parameters")
        lines.append(
            f"| {name} | {model.get('title', name)}: {model.get('summary', model.get('kind', ''))} | "
            f"{f'{count:,}' if isinstance(count, int) else ''} |"
        )
    lines += ["", f"The baseline is explained by {card['explanation']}."]
    words = card.get("vocabulary") or []
    lines.append(f"It knows {len(words):,} words, such as {', '.join(words[:8])}." if words else "It takes any word.")
    notes = list(dict.fromkeys(note for model in models.values() for note in _notes(model)))
    if notes:
        lines += ["", "## Limits", "", *(f"- {note}" for note in notes)]
    use = f'trio = Trio.from_pretrained("{repository}")'
    return [*lines, "", "```python", "from lfi.trio import Trio", "", use, "```"]


def _notes(model: Mapping[str, Any]) -> list[str]:
    found = model.get("limits", model.get("notes", []))
    return [found] if isinstance(found, str) else [str(note) for note in found]


def _teacher(config: Mapping[str, Any], repository: str) -> list[str]:
    about, vision = config.get("lfi", {}), config["model_cfg"].get("vision_cfg", {})
    kind = "CoCa" if "multimodal_cfg" in config["model_cfg"] else "CLIP"
    words = about.get("vocabulary") or []
    lines = [f"# {about.get('name', repository.partition('/')[2])}", "", f"A {kind} that teaches where words look."]
    if size := vision.get("image_size"):
        lines.append(f"It reads images of {size} x {size} pixels.")
    if words:
        lines.append(f"It knows {len(words):,} words, such as {', '.join(words[:8])}.")
    use = f'teacher = load_teacher("hf-hub:{repository}")'
    return [*lines, "", "```python", "from lfi.teachers import load_teacher", "", use, "```"]


def _student(path: Path, repository: str) -> list[str]:
    with safe_open(path, framework="np") as file:
        config = json.loads((file.metadata() or {}).get("student", "{}"))
        count = sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 -- not a mapping
    queries = config.get("queries", 0)
    what = f"with {queries} Interaction Queries" if queries else "without Interaction Queries"
    lines = [f"# {repository.partition('/')[2]}", ""]
    lines.append(f"A student: {config.get('backbone', 'a vision transformer')} {what}, {count:,} parameters.")
    use = f'student = Student.from_pretrained("{repository}")'
    return [*lines, "", "```python", "from lfi.students import Student", "", use, "```"]
