"""An answerer that knows three colours."""

import torch

from lfi.answerers import Answer
from lfi.images import MEAN, STD, pixels
from lfi.maps import InteractionMaps

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


class ColourSeer:
    """An answerer that looks for a colour in the second of its two layers, and nowhere in the first."""

    name, layers, image_size, judges = "seer", ("1", "2"), (64, 64), False

    def check(self, words, heads=False):
        assert set(words) <= set(COLOURS)

    def preprocess(self, pictures):
        return pixels(pictures, self.image_size)

    def encode(self, pixels):
        return list(pixels * STD + MEAN)

    def answer(self, images, words, heads=False):
        return [self.look(image, own) for image, own in zip(images, words, strict=True)]

    def look(self, image, words):
        patches = torch.nn.functional.avg_pool2d(image, 8)
        maps = torch.stack([(patches * torch.tensor(COLOURS[word])[:, None, None] / 255).sum(0) for word in words])
        seen = maps.flatten(-2) ** 8 + 1e-9
        weights = torch.stack([torch.ones_like(seen), seen])[None]
        return Answer(
            InteractionMaps.from_scores(
                weights, grid=(8, 8), queries=[words], layers=self.layers, kind="cross-attention", model="x"
            )
        )
