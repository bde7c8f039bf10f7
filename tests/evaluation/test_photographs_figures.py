"""Pointing in photographs: peaks, hits, canvases."""

import numpy as np
import torch

from evaluation.photographs import hits, on_canvases, peak
from evaluation.results import Results
from lfi.data.imageset import ImageSet
from lfi.maps import InteractionMaps
from lfi.teachers import load_teacher


def test_a_peak_is_the_centre_of_the_largest_patch_in_pixels():
    maps = torch.zeros(1, 2, 8, 8)
    maps[0, 0, 2, 5] = 1
    maps[0, 1, 7, 0] = 1
    assert peak(maps).tolist() == [[[44.0, 20.0], [4.0, 60.0]]]


def test_a_point_on_the_open_side_of_a_box_is_outside():
    boxes = np.array([[0, 0, 32, 32]] * 3, float)
    assert hits(np.array([[31.0, 31.0], [32.0, 5.0], [0.0, 0.0]]), boxes, 64).tolist() == [True, False, True]


def test_a_teacher_that_points_at_the_right_photograph_hits_every_time(monkeypatch):
    """Photographs are one colour each, and the stand-in for the teacher's maps looks for the colour."""
    teacher = load_teacher("static/models/scenes/teacher")
    colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
    images = ImageSet(
        images=np.stack([np.full((64, 64, 3), colour, np.uint8) for colour in colours.values()]),
        ids=tuple(colours),
        classes=tuple(colours),
        labels=np.arange(3),
        captions=("",) * 3,
        words=tuple((name,) for name in colours),
    )
    seen = {}

    def encode(pixels):
        seen["pixels"] = pixels * 0.25 + 0.5
        return pixels

    def find(encoded, words):
        pixels = torch.nn.functional.avg_pool2d(seen["pixels"], 8)
        maps = torch.stack(
            [
                torch.stack([(pixels[row] * torch.tensor(colours[word])[:, None, None] / 255).sum(0) for word in own])
                if len(own) == 4
                else torch.cat(
                    [
                        torch.stack(
                            [(pixels[row] * torch.tensor(colours[w])[:, None, None] / 255).sum(0) for w in own]
                        ),
                        torch.ones(4 - len(own), 8, 8),
                    ]
                )
                for row, own in enumerate(words)
            ]
        )
        names = [[*own, *[""] * (4 - len(own))] for own in words]
        return InteractionMaps.from_scores(
            maps.flatten(-2)[:, None].repeat(1, 2, 1, 1) ** 8 + 1e-9,
            grid=(8, 8),
            queries=names,
            layers=("1", "2"),
            kind="cross-attention",
            model="x",
        )

    monkeypatch.setattr(teacher, "encode", encode)
    monkeypatch.setattr(teacher, "interactions_for", find)
    results = Results("c", [0], {})
    on_canvases(teacher, images, results)
    assert results.figures["pointing on canvases"].value > 95
    share = results.figures["pointing on canvases: share of the canvas that is right"].value
    assert 25 < share < 50
