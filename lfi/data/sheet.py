"""A contact sheet of scenes: to see at a glance what the models are trained on."""

from __future__ import annotations

import math
import textwrap

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lfi.data.scenes import Scenes


def contact_sheet(scenes: Scenes, columns: int = 6) -> Image.Image:
    """Scenes in rows, each with its caption below and the outlines of its visible masks."""
    columns = min(columns, len(scenes))
    rows = math.ceil(len(scenes) / columns)
    figure = Figure(figsize=(2.3 * columns, 2.9 * rows), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for index, axes in enumerate(np.atleast_1d(figure.subplots(rows, columns, squeeze=False).ravel())):
        axes.axis("off")
        if index >= len(scenes):
            continue
        scene = scenes[index]
        axes.imshow(scene.image, interpolation="nearest")
        for mask in scene.masks:
            axes.contour(mask, levels=[0.5], colors="white", linewidths=0.8, linestyles="dotted")
        axes.set_title("\n".join(textwrap.wrap(scene.caption, 34)), fontsize=6.5, y=-0.02, va="top")
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
