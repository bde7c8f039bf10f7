"""`lfi evaluate photographs`: does a teacher know photographs, and do its words point in them?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from evaluation.results import Figure, Goal, Results, over_clusters
from lfi.data.canvases import compose
from lfi.data.domains import domain_folders
from lfi.data.imageset import ImageSet
from lfi.data.tinyimagenet import tiny_imagenet
from lfi.teachers.openclip import OpenClipTeacher

CANVASES, SEED = 400, 5
BATCH = 100
SMALL = {"any size": np.inf, "under half of the image": 0.5, "under a quarter of the image": 0.25}


@torch.inference_mode()
def evaluate_photographs(teacher: OpenClipTeacher, tiny: Path, pacs: Path | None, most: int = 10_000) -> Results:
    """Zero-shot accuracy and the pointing game on images that the teacher was not trained on.

    A word's map hits where its largest patch has its centre in the box of the object that the image is named after; on
    canvases, in the photograph of that class. The floor is the centre of the image, the ceiling 100 %.

    Args:
        tiny: TinyImageNet, of which the validation images are used; pacs: of which every second image is used.
        most: validation images at most, evenly taken.
    """
    images = tiny_imagenet(tiny, "val")
    images = images.take(np.arange(0, len(images), max(1, len(images) // most)))
    results = Results(command="lfi evaluate photographs", seeds=[SEED], n={"validation images": len(images)})
    ranks, peaks, dense = answers(teacher, images)
    report(results, "zero-shot top-1, TinyImageNet", ranks == 0)
    report(results, "zero-shot top-5, TinyImageNet", ranks < 5)
    assert images.boxes is not None
    inside = np.stack([hits(peaks[:, layer], images.boxes, 64) for layer in range(peaks.shape[1])])
    close = hits(dense, images.boxes, 64)
    centre = hits(np.full((len(images), 2), 32.0), images.boxes, 64)
    area = (images.boxes[:, 2:] - images.boxes[:, :2]).prod(1) / 64**2
    layer = teacher.default_layers[0]
    for size, below in SMALL.items():
        some = area < below
        results.n[f"boxes {size}"] = int(some.sum())
        for name, found in (
            (teacher.layers[layer], inside[layer]),
            ("dense similarity", close),
            ("the centre", centre),
        ):
            report(results, f"pointing, boxes of {size}: {name}", found[some])
        ratio = float(max(inside[layer][some].mean(), close[some].mean()) / centre[some].mean())
        results.goals[f"pointing over the centre's rate, boxes of {size}"] = Goal(ratio, 1.3, ratio >= 1.3)
    on_canvases(teacher, images, results)
    if pacs:
        drawn = domain_folders(pacs, size=64)
        drawn = drawn.take(np.arange(1, len(drawn), 2))
        ranks, _, _ = answers(teacher, drawn, maps=False)
        for domain in sorted(set(drawn.domains)):
            report(results, f"zero-shot top-1, PACS {domain}", ranks[np.array(drawn.domains) == domain] == 0)
    return results


def answers(teacher: OpenClipTeacher, images: ImageSet, maps: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ranks of the right classes `[n]`, peaks in pixels of the first words' maps `[n, layer, 2]` and dense ones."""
    ranks, peaks, dense = [], [], []
    for start in tqdm(range(0, len(images), BATCH), desc="asking the teacher", unit="batch", dynamic_ncols=True):
        rows = np.arange(start, min(start + BATCH, len(images)))
        pixels = torch.from_numpy(np.ascontiguousarray(images.images[rows])).permute(0, 3, 1, 2).float() / 255
        encoded = teacher.encode(teacher.from_pixels(pixels))
        logits = teacher.classify(encoded, list(images.classes))
        own = logits.gather(1, torch.from_numpy(images.labels[rows])[:, None])
        ranks.append((logits > own).sum(1).numpy())
        if maps:
            words = [images.words[row][:1] for row in rows]
            peaks.append(peak(teacher.interactions_for(encoded, words).weights[:, :, 0]))
            texts = teacher.embed_texts([word for (word,) in words])
            dense.append(peak((encoded.dense @ texts[..., None]).view(len(rows), *teacher.grid)))
    nothing = np.zeros((0, 2))
    return np.concatenate(ranks), np.concatenate(peaks or [nothing]), np.concatenate(dense or [nothing])


def peak(maps: torch.Tensor) -> np.ndarray:
    """Centre of the largest patch of maps `[..., height, width]` in pixels of a 64 px image, `[..., 2]`: x, y."""
    height, width = maps.shape[-2:]
    best = maps.flatten(-2).argmax(-1).numpy()
    return np.stack([(best % width + 0.5) * 64 / width, (best // width + 0.5) * 64 / height], -1)


def hits(points: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """Whether points `[n, 2]` lie in boxes `[n, 4]`."""
    assert points.max(initial=0) <= size
    inside: np.ndarray = (points >= boxes[:, :2]) & (points < boxes[:, 2:])
    return np.asarray(inside.all(axis=1))


def on_canvases(teacher: OpenClipTeacher, images: ImageSet, results: Results) -> None:
    """Does the map of every class on a canvas of several photographs peak in its photograph? Insets are left out."""
    rng = np.random.default_rng(SEED)
    canvases = compose(np.asarray(images.images), rng.integers(len(images), size=(CANVASES, 4)), rng)
    found, clusters, share = [], [], []
    for start in range(0, CANVASES, BATCH):
        rows = canvases.rows[start : start + BATCH]
        words = [[images.words[row][0] for row in own if row >= 0] for own in rows]
        pixels = torch.from_numpy(canvases.images[start : start + BATCH]).permute(0, 3, 1, 2).float() / 255
        maps = teacher.interactions_for(teacher.encode(teacher.from_pixels(pixels)), words).weights
        points = peak(maps[:, teacher.default_layers[0]])
        for index, own in enumerate(words):
            regions = canvases.regions[start + index]
            whole = tuple(regions[0]) == (0, 0, 64, 64)
            for place, word in enumerate(own):
                if own.count(word) == 1 and not whole:
                    found.append(hits(points[index, place][None], regions[place][None], 64)[0])
                    share.append((regions[place][2:] - regions[place][:2]).prod() / 64**2)
                    clusters.append(start + index)
    order = np.unique(clusters, return_inverse=True)[1]
    results.n["words on canvases"] = len(found)
    report(results, "pointing on canvases", np.array(found), order)
    results.add("pointing on canvases: share of the canvas that is right", 100 * float(np.mean(share)), "%")


def report(results: Results, name: str, right: np.ndarray, clusters: np.ndarray | None = None) -> None:
    """A share in percent with its bootstrap interval over images."""
    figure = over_clusters(right.astype(float), np.arange(len(right)) if clusters is None else clusters, "%")
    results.figures[name] = Figure(100 * figure.value, 100 * figure.low, 100 * figure.high, "%")
