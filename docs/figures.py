"""Draws the figures of docs/concepts.md from the trio that ships: `python docs/figures.py`."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from lfi.rendering import figure, film_strip
from lfi.trio import Trio

ROOT = Path(__file__).resolve().parents[1]
SAMPLE, WORDS, FOLLOWED = "static/samples/paper.jpg", ["red circle", "star", "blue"], "star"


def main() -> None:
    trio = Trio.load(ROOT / "static/models/scenes")
    image = Image.open(ROOT / SAMPLE).convert("RGB")
    comparison = trio.compare(image, WORDS)
    kept = {model: comparison.maps[model] for model in ("teacher", "lfi")}
    for name, drawn in (
        ("interactions", figure(comparison, image, format="png")),
        ("persistence", film_strip(kept, image, FOLLOWED, format="png")),
    ):
        picture = Image.open(io.BytesIO(drawn)).convert("RGB")
        picture.thumbnail((1400, 1400))
        picture.save(ROOT / "docs/images" / f"{name}.webp", quality=80)


if __name__ == "__main__":
    main()
