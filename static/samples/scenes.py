"""Draws the samples that are generated scenes, which no model was trained on: `python static/samples/scenes.py`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from lfi.data.scenes import Scenes

CHOSEN = {"scene-photo": ("photo", 3), "scene-painting": ("painting", 1), "scene-sketch": ("sketch", 2)}
SEED = 77


def main() -> None:
    for name, (domain, index) in CHOSEN.items():
        scene = Scenes(index + 1, SEED, size=512, domains=(domain,), objects=(3, 4))[index]
        Image.fromarray(scene.image).save(Path(__file__).parent / f"{name}.jpg", quality=88)
        print(f"{name}.jpg: {scene.caption}")


if __name__ == "__main__":
    main()
