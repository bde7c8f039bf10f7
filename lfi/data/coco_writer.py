"""Generated scenes as files in COCO's format: images, instances with masks, captions.

Training and test data for detectors and segmenters where nothing can be downloaded; exact to the pixel.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as run_lengths
from PIL import Image
from tqdm import tqdm

from lfi.data.objects import COLOURS
from lfi.data.scenes import CLASSES, Scene, Scenes
from lfi.data.shapes import SHAPES
from lfi.errors import ConfigError, DataError, reason
from lfi.writing import whole

CATEGORIES = {"name": CLASSES, "colour": tuple(COLOURS), "shape": tuple(SHAPES)}
"""What objects are told apart by, an attribute of `SceneObject`: its 80 classes, 8 colours or 10 shapes."""
INSTANCES, CAPTIONS, IMAGES = "instances.json", "captions.json", "images"


def write_coco(scenes: Scenes, folder: Path, by: str = "name") -> Path:
    """Write `images/*.png`, `instances.json` and `captions.json`; the JSON comes last, so a folder with it is whole.

    Categories are numbered from 1; masks are what is visible, as compressed run lengths; boxes enclose
    them.

    Args:
        by: what the categories are; see `CATEGORIES`.

    Returns:
        The path of the instances.

    Raises:
        ConfigError: for an unknown `by`.
        DataError: the folder holds such a set already, or cannot be written.
    """
    if by not in CATEGORIES:
        raise ConfigError(f"objects cannot be told apart by {by!r}; one of {', '.join(CATEGORIES)} was expected")
    target = folder / INSTANCES
    if target.exists():
        raise DataError(f"{folder} already holds a set; choose another folder")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    try:
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
        for number, scene in enumerate(tqdm(scenes, desc="scenes", unit="scene", dynamic_ncols=True), start=1):
            name = f"{number:06d}.png"
            Image.fromarray(scene.image).save(folder / IMAGES / name)
            images.append({"id": number, "file_name": name, "width": scenes.size, "height": scenes.size})
            captions.append({"id": number, "image_id": number, "caption": scene.caption})
            annotations += _instances(scene, number, len(annotations) + 1, by)
        categories = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES[by], start=1)]
        info = {"description": f"Generated scenes, seed {scenes.seed}, {', '.join(scenes.domains)}"}
        _write(folder / CAPTIONS, {"info": info, "images": images, "annotations": captions})
        content = {"info": info, "images": images, "annotations": annotations, "categories": categories}
        _write(target, content)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {reason(error)}") from error
    return target


def _instances(scene: Scene, image: int, first: int, by: str) -> list[dict[str, Any]]:
    """Annotations of one scene's objects, numbered from `first`."""
    found = []
    for number, (thing, mask, box) in enumerate(zip(scene.objects, scene.masks, scene.boxes.tolist(), strict=True)):
        encoded = run_lengths.encode(np.asfortranarray(mask.astype(np.uint8)))
        left, top, right, bottom = box
        found.append(
            {
                "id": first + number,
                "image_id": image,
                "category_id": CATEGORIES[by].index(getattr(thing, by)) + 1,
                "segmentation": {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")},
                "bbox": [left, top, right - left, bottom - top],
                "area": int(mask.sum()),
                "iscrowd": 0,
            }
        )
    return found


def _write(path: Path, content: dict[str, Any]) -> None:
    with whole(path) as part:
        part.write_text(json.dumps(content), encoding="utf-8")
