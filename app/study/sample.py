"""A study of generated scenes, for demonstrations and load tests: pictures and `study.toml`, written into a folder."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from lfi.data import Scene, Scenes

_SIDE = 256


def write_sample(
    folder: Path,
    name: str,
    items: int,
    overlap: int,
    trials: int,
    *,
    pair_overlap: int = 0,
    pair_trials: int = 4,
    lease_minutes: float = 30.0,
    claim: float = 2.7,
    seed: int = 0,
) -> Path:
    """Write the plan of a study with one practice and two catch trials; where it is.

    Args:
        items: scenes, one word each.
        overlap, trials, pair_overlap, pair_trials: as in `app.study.plan`.
        claim: of the analysis.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scenes = Scenes(items + 3, seed, _SIDE)
    for number, scene in enumerate(scenes):
        Image.fromarray(scene.image).save(folder / f"scene{number:03}.png")
    parts = [
        f'name = {json.dumps(name)}\nlanguages = ["en"]\nside = 320\nseed = {seed}\n',
        f"[rating]\noverlap = {overlap}\ntrials = {trials}\n",
        f"[pair]\noverlap = {pair_overlap}\ntrials = {pair_trials}\n",
        f"[rules]\nlease_minutes = {lease_minutes:g}\n",
        f"[analysis]\nclaim = {claim:g}\nmax_failed_catch = 1\n",
        "[texts.en]\n" + "".join(f"{key} = {json.dumps(text)}\n" for key, text in _TEXTS.items()),
    ]
    parts += [_item(number, scenes[number]) for number in range(items)]
    parts.append(_known("practice", items, scenes[items], right=True))
    parts += [_known("catch", number, scenes[number], right=False) for number in (items + 1, items + 2)]
    path = folder / "study.toml"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


_TEXTS = {
    "title": "Maps and words",
    "consent": "This study of generated scenes shows how the tool works.",
    "instructions": "Look at the highlighted region. How well does it match the word?",
    "thanks": "Thank you.",
}


def _item(number: int, scene: Scene) -> str:
    return f"[[items]]\nimage = {_file(number)}\nword = {_word(scene)}\n"


def _known(kind: str, number: int, scene: Scene, right: bool) -> str:
    """A trial whose box lies on its object, or in the corner that is farthest from it."""
    left, top, far, bottom = (float(edge) / _SIDE for edge in scene.boxes[0])
    if not right:
        left = 0.0 if (left + far) / 2 > 0.5 else 0.8
        top = 0.0 if (top + bottom) / 2 > 0.5 else 0.8
        far, bottom = left + 0.2, top + 0.2
    box = ", ".join(f"{edge:.3f}" for edge in (left, top, far, bottom))
    expected = "[4, 5]" if right else "[1, 2]"
    return f"[[{kind}]]\nimage = {_file(number)}\nword = {_word(scene)}\nbox = [{box}]\nexpected = {expected}\n"


def _file(number: int) -> str:
    return json.dumps(f"scene{number:03}.png")


def _word(scene: Scene) -> str:
    return json.dumps(scene.objects[0].name)
