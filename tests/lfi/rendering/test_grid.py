"""Many images in one figure: order, one scale, notes, and letters that can be read."""

from __future__ import annotations

import base64
import io
import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from lfi.errors import ConfigError
from lfi.rendering import GridRow, Paper, Scale, grid_figure, grid_scale, sheet, veil

EMBEDDED = re.compile(rb'<image [^>]*xlink:href="data:image/\w+;base64,([^"]+)"')
INCH = 200
RED, BLUE = (200, 40, 40), (40, 40, 200)


def point(row: int, column: int, height: float = 1.0, grid: int = 4) -> np.ndarray:
    """A map whose one patch gets `height` of what is not spread evenly."""
    weights = np.full((grid, grid), (1 - height) / grid**2, np.float32)
    weights[row, column] += height
    return weights


def row(colour=RED, size=(120, 80), name="a.jpg", word="cat", absent=(), **maps: np.ndarray) -> GridRow:
    maps = maps or {"teacher": point(0, 0), "lfi": point(3, 3)}
    return GridRow(Image.new("RGB", size, colour), name, word, maps, dict(absent))


def texts(svg: bytes) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("text")]


def test_rows_and_columns_stand_in_the_order_asked():
    rows = [row(RED, word="cat"), row(BLUE, word="dog")]
    drawn = np.asarray(Image.open(io.BytesIO(grid_figure(rows, "png", paper=Paper(17.5)))).convert("RGB")).astype(int)
    assert drawn.shape[1] == pytest.approx(17.5 / 2.54 * INCH, abs=1)
    cell = (17.5 / 2.54 - 0.08 + 0.08) / 3 - 0.08
    lefts = [round((0.04 + column * (cell + 0.08)) * INCH) for column in range(3)]
    wide, tall = round(cell * INCH), round(cell * 2 / 3 * INCH)
    tops = []
    for colour in (RED, BLUE):
        (found,) = np.nonzero(np.abs(drawn[:, lefts[0] + wide // 2] - colour).sum(-1) < 12)
        assert found[-1] - found[0] + 1 == pytest.approx(tall, abs=2)
        tops.append(found[0])
    assert tops[0] < tops[1]
    for top in tops:
        teacher, lfi = (drawn[top : top + tall, left : left + wide] for left in lefts[1:])
        for panel, at in ((teacher, (0.125, 0.125)), (lfi, (0.875, 0.875))):
            bright = panel.sum(-1).astype(float)
            y, x = np.unravel_index(bright.argmax(), bright.shape)
            assert (y / tall, x / wide) == pytest.approx(at, abs=0.13)


def test_every_map_is_drawn_on_the_one_scale_of_all_rows():
    rows = [row(teacher=point(0, 0), lfi=point(1, 1, 0.3)), row(BLUE, teacher=point(2, 2, 0.2), lfi=point(3, 0, 0.8))]
    scale = grid_scale(rows)
    assert (scale.low, scale.high) == (1, 16)
    svg = grid_figure(rows, "svg", paper=Paper(8.5))
    shown = [Image.open(io.BytesIO(base64.b64decode(each))) for each in EMBEDDED.findall(svg)]
    veils = {seen(each) for each in shown if each.mode == "RGBA" and each.getchannel("A").getextrema()[0] == 0}
    expected = {seen(veil(weights, scale, (120, 80))) for each in rows for weights in each.maps.values()}
    assert len(expected) == 4
    assert veils == expected


def seen(image: Image.Image) -> bytes:
    """As it looks: a file need not keep the colour of what is transparent."""
    return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).tobytes()


def test_maps_of_what_is_not_found_do_not_set_the_scale_unless_nothing_is():
    weak, strong = point(0, 0, 0.3), point(1, 1)
    absent = {"lfi": 0.03}
    assert grid_scale([row(teacher=weak, lfi=strong, absent=absent)]).high == pytest.approx(weak.max() * 16)
    assert grid_scale([row(lfi=strong, absent=absent)]).high == 16


def test_a_note_says_where_a_model_does_not_find_the_word_with_captions_and_without():
    rows = [row(absent={"lfi": 0.03}), row(BLUE, name="b.jpg", word="dog")]
    plain, said = (
        texts(grid_figure(rows, "svg", paper=Paper(17.5, captions=each), notes=["Teacher: CoCa"]))
        for each in (False, True)
    )
    assert [each for each in plain if "not found" in each] == ["not found (p = .03)"]
    assert [each for each in plain if "peak" in each or ".jpg" in each or "CoCa" in each] == []
    names = ["Image", "Teacher", "LFI student", "cat", "dog"]
    assert [each for each in plain if each in names] == names
    assert {"a.jpg", "b.jpg", "Teacher: CoCa", "peak 16×"} <= set(said)


@pytest.mark.parametrize(
    ("width", "points", "captions", "high"),
    [
        *(
            (width, points, captions, 9.1)
            for width in (8.5, 17.5)
            for points in (6, 8, 10)
            for captions in (False, True)
        ),
        *((8.5, points, False, high) for points in (6, 10) for high in (20.7, 28.1, 93)),
    ],
)
def test_letters_are_large_enough_and_nothing_overlaps_or_leaves_the_figure(width, points, captions, high, monkeypatch):
    drawn = []
    save = sheet.Figure.savefig
    monkeypatch.setattr(sheet.Figure, "savefig", lambda figure, *a, **b: (drawn.append(figure), save(figure, *a, **b)))
    maps = {"teacher": point(0, 0), "lfi": point(3, 3, 0.2), "baseline": point(1, 1, 0.4)}
    rows = [
        row(word="small wooden rocking chair", name="IMG 2024-05-11 (holidays, the third day) 0001.jpg", **maps),
        row(BLUE, (300, 60), "a.jpg", "cat", {"teacher": 0.001, "lfi": 0.23}, **maps),
        row(BLUE, (60, 300), "portraits/tall.png", "cat", {"baseline": 0.03}, **maps),
    ]
    notes = ["Teacher: photographs CoCa@b011af4a8b6f, cross-attention at decoder layer 1, 14 × 14 patches"]
    grid_figure(rows, "png", paper=Paper(width, points, captions), notes=notes, scale=Scale(1, high, clipped=True))
    (figure,) = drawn
    figure.canvas.draw()
    pictures = [axes.get_window_extent() for axes in figure.axes if axes.images]
    (bar,) = [axes for axes in figure.axes if not axes.images]
    labels = [each for each in [*figure.texts, *bar.get_xticklabels(), bar.xaxis.label] if each.get_text()]
    assert min(each.get_fontsize() for each in labels) >= 6
    boxes = [(each.get_text(), each.get_window_extent()) for each in labels]
    assert [text for text, box in boxes if box.x0 < -1 or box.x1 > figure.bbox.x1 + 1 or box.y0 < 0] == []
    crossing = [
        (one, other)
        for (one, a), (other, b) in combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]
    assert crossing == []
    assert len(pictures) == 12
    covered = [
        text
        for text, a in boxes
        for b in pictures
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]
    assert covered == []
    tallest = max(box.height for box in pictures) / max(box.width for box in pictures)
    assert tallest == pytest.approx(4 / 3, abs=0.02)


def test_a_grid_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="the figure has no rows"):
        grid_figure([], paper=Paper(8.5))
    with pytest.raises(ConfigError, match=r"13 columns do not fit into 8.5 cm"):
        grid_figure([row(**{f"model {n}": point(0, 0) for n in range(12)})], paper=Paper(8.5))
