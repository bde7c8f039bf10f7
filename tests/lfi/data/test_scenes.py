"""Generated scenes: what is drawn is what is said, labelled and masked."""

import numpy as np
import pytest

from lfi.data.objects import COLOURS
from lfi.data.scenes import CLASSES, DOMAINS, Scenes, relation
from lfi.data.shapes import SHAPES, distance
from lfi.errors import ConfigError


def test_a_scene_depends_on_its_seed_and_index_alone():
    one, other = Scenes(5, seed=3)[4], Scenes(500, seed=3)[4]
    assert np.array_equal(one.image, other.image)
    assert one.caption == other.caption
    assert not np.array_equal(one.image, Scenes(5, seed=4)[4].image)


def test_caption_labels_masks_and_boxes_tell_the_same_story():
    for scene in Scenes(40, seed=0, objects=(1, 5)):
        assert scene.image.shape == (64, 64, 3)
        assert scene.caption.startswith(f"a {scene.domain} of a {scene.objects[0].phrase}")
        assert all(thing.phrase in scene.caption for thing in scene.objects)
        assert [CLASSES[c] for c in np.flatnonzero(scene.labels)] == sorted(
            (thing.name for thing in scene.objects), key=CLASSES.index
        )
        assert scene.masks.any((1, 2)).all(), "every object is visible"
        assert scene.masks.sum(0).max() == 1, "a pixel belongs to one object"
        for mask, (left, top, right, bottom) in zip(scene.masks, scene.boxes.astype(int), strict=True):
            inside = np.zeros_like(mask)
            inside[top:bottom, left:right] = True
            assert not (mask & ~inside).any()


def test_objects_are_named_in_reading_order_with_true_relations():
    for scene in Scenes(40, seed=1):
        rows = [int(thing.y * 3) for thing in scene.objects]
        assert rows == sorted(rows)
        for one, other in zip(scene.objects, scene.objects[1:], strict=False):
            said = relation(one, other)
            gap = {
                "left of": other.x - one.x,
                "right of": one.x - other.x,
                "above": other.y - one.y,
                "below": one.y - other.y,
            }
            assert gap[said] == max(gap.values())


@pytest.mark.parametrize("colour", COLOURS)
def test_a_mask_covers_pixels_of_its_colour(colour):
    wanted = np.array(COLOURS[colour], float)
    for scene in Scenes(1500, seed=2, domains=("cartoon",)):
        for thing, mask in zip(scene.objects, scene.masks, strict=True):
            bulky = thing.shape in ("circle", "square") and thing.size == "large" and not thing.texture
            if thing.colour == colour and bulky:
                median = np.median(scene.image[mask], 0)
                nearest = min(COLOURS, key=lambda name: np.abs(median - np.array(COLOURS[name])).sum())
                assert nearest == colour, (median, wanted)
                return
    pytest.fail(f"no large plain {colour} circle or square in 1,500 scenes")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_has_an_inside_and_an_outside_and_stays_within_its_radius(shape):
    x, y = np.meshgrid(np.linspace(-1.5, 1.5, 121), np.linspace(-1.5, 1.5, 121))
    field = distance(shape, x, y)
    inside = field < 0
    assert 0.04 < inside.mean() < 0.5
    assert np.hypot(x, y)[inside].max() < 1.2


def test_ten_shapes_eight_colours_four_domains():
    assert (len(SHAPES), len(COLOURS), len(DOMAINS), len(CLASSES)) == (10, 8, 4, 80)


def test_masks_scale_with_the_image():
    small, large = Scenes(3, seed=5, size=64)[1], Scenes(3, seed=5, size=192)[1]
    assert small.caption == large.caption
    for one, other in zip(small.masks, large.masks, strict=True):
        assert one.mean() == pytest.approx(other.mean(), abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 8}, "8 px"),
        ({"domains": ("photograph",)}, "photograph"),
        ({"objects": (0, 3)}, "1 to 5"),
        ({"objects": (3, 6)}, "1 to 5"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Scenes(1, 0, **arguments)


def test_loading_in_two_processes_gives_the_same_scenes():
    one, two = Scenes(600, seed=9).load(), Scenes(600, seed=9).load(processes=2)
    assert np.array_equal(one.images, two.images)
    assert np.array_equal(one.attributes, two.attributes)
    assert one.captions == two.captions
