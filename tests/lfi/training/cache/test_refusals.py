"""A teacher cache refuses what does not fit: other questions, other images, answers that cannot be kept."""

from dataclasses import replace

import pytest
from cached_answers import FIELDS, VOCABULARY, Teacher, make, settings

from lfi.errors import ConfigError, DataError
from lfi.training.cache import build, open_store


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"teacher": "coca@4567"}, "teacher is 'coca@0123' there and 'coca@4567' was asked for"),
        ({"maps": "captions"}, "maps is 'statements' there and 'captions' was asked for"),
        ({"layers": (1,)}, r"layers is \[0, 1\] there and \[1\] was asked for"),
        ({"tower_layers": (2, 6)}, r"tower_layers is \[2, 5\] there and \[2, 6\] was asked for"),
        ({"prompt": "{}"}, r"prompt is 'a photo of a \{\}' there and '\{\}' was asked for"),
        ({"classes": VOCABULARY[1:6]}, "classes is"),
        (
            {"vocabulary": (*VOCABULARY[:7], "dog", *VOCABULARY[8:])},
            "vocabulary has 20 entries there and 20 were asked for, of which number 8 is the first to differ: "
            "'thing 7' there, 'dog' here",
        ),
        ({"vocabulary": (*VOCABULARY, "dog")}, "number 21 is the first to differ: nothing there, 'dog' here"),
        ({"preprocessing": "32 px"}, "preprocessing is '64 px, squash, mean .5, std .5' there and '32 px'"),
        ({"precision": "uint8"}, "precision is 'float16' there and 'uint8' was asked for"),
        ({"fields": ("logits", "latents")}, "it holds maps, logits, but no latents"),
        ({"teacher": "a", "prompt": "b"}, "teacher is .*; prompt is "),
    ],
)
def test_answers_to_other_questions_are_refused_by_name(folder, data, changes, told):
    data = data.take(range(10))
    make(folder, data, fields=("maps", "logits"))
    for attempt in (open_store, make_again):
        with pytest.raises(ConfigError, match=told) as error:
            attempt(folder, data, settings(**({"fields": ("maps", "logits")} | changes)))
        assert "\n" not in str(error.value)


def make_again(folder, data, wanted):
    return build(folder, data, wanted, Teacher(data), shard=32)


def other_pixels(data):
    changed = data.images.copy()
    changed[4, 2, 2, 2] ^= 1
    return replace(data, images=changed)


def other(values, value):
    return (*values[:4], value, *values[5:])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (other_pixels, "class/0004.png has other pixels"),
        (lambda data: replace(data, captions=other(data.captions, "a dog")), "class/0004.png has other caption"),
        (lambda data: replace(data, words=other(data.words, ("dog",))), "class/0004.png has other words"),
        (
            lambda data: other_pixels(replace(data, words=other(data.words, ()))),
            "class/0004.png has other pixels and words",
        ),
        (lambda data: replace(data, ids=other(data.ids, "new.png")), "new.png is missing"),
    ],
)
def test_images_that_changed_are_refused_by_id_and_by_what_changed(folder, data, change, told):
    data = data.take(range(10))
    make(folder, data)
    for attempt in (open_store, make_again):
        with pytest.raises(DataError, match=rf"does not fit 1 of 10 images: {told}; build one"):
            attempt(folder, change(data), settings())


def test_many_images_that_changed_are_counted(folder, data):
    make(folder, data.take(range(10)))
    with pytest.raises(DataError, match=r"190 of 200 images: .*0010.png is missing; .*; .*, and 187 more; build"):
        open_store(folder, data, settings())


@pytest.mark.parametrize(
    ("field", "harm", "told"),
    [
        ("maps", lambda values: 2 * values, r"a teacher map of class/0000.png sums to 2; 1 was expected"),
        ("maps", lambda values: -values, r"maps of class/0000.png hold -.*; finite numbers, 0 or more, were expected"),
        ("logits", lambda values: values / 0, r"logits of class/0000.png hold -?inf; finite numbers were expected"),
        ("latents", lambda values: values[:, 0], r"latents are \(10,\) for 10 images; 2 axes were expected"),
        ("latents", lambda values: values[:-1], r"latents are \(9, 6\) for 10 images"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_answers_that_cannot_be_kept_are_refused(folder, data, field, harm, told):
    teacher = Teacher(data)

    def ask(rows):
        found = teacher(rows)
        return found | {field: harm(found[field])}

    with pytest.raises(DataError, match=told):
        make(folder, data, ask)


def test_a_teacher_that_leaves_a_field_out_or_changes_its_shape_is_refused(folder, data):
    teacher = Teacher(data)
    with pytest.raises(DataError, match="but not words, names"):
        make(folder, data, lambda rows: {name: teacher(rows)[name] for name in FIELDS})
    teacher = Teacher(data)

    def ask(rows):
        found = teacher(rows)
        return found | {"logits": found["logits"][:, : 5 if rows[0] < 50 else 4]}

    with pytest.raises(DataError, match=r"logits are \(4,\) an image now and were \(5,\) before"):
        make(folder, data, ask)
    assert make(folder, data).kept == 1


def test_unknown_fields_and_precisions_are_refused():
    with pytest.raises(ConfigError, match="precision is 'int4'; one of float16, uint8"):
        settings(precision="int4")
    with pytest.raises(ConfigError, match=r"fields are \['depth'\]"):
        settings(fields=("depth",))
