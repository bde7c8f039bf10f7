"""TinyImageNet as it is unpacked: labels, names and boxes are those of its own tables."""

import numpy as np
import pytest

from lfi.data.tinyimagenet import tiny_imagenet
from lfi.errors import DataError


@pytest.fixture
def root(tmp_path, picture):
    """Three classes in the stock layout, two training images of each and three for validation."""
    root = tmp_path / "tiny"
    wnids = {"n3": "crane", "n1": "crane, wading bird", "n2": "ant, emmet"}
    root.mkdir()
    (root / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in wnids))
    (root / "words.txt").write_text(
        "n0\tentity\n" + "".join(f"{each}\t{name}\n" for each, name in sorted(wnids.items()))
    )
    for label, wnid in enumerate(wnids):
        for number in range(2):
            picture(root / f"train/{wnid}/images/{wnid}_{number}.JPEG", 40 * label + 10 * number, (64, 64))
        (root / f"train/{wnid}/{wnid}_boxes.txt").write_text(
            f"{wnid}_0.JPEG\t0\t10\t63\t{label}\n{wnid}_1.JPEG\t1\t2\t3\t4\n"
        )
    rows = []
    for number, wnid in enumerate(["n2", "n3", "n2"]):
        picture(root / f"val/images/val_{number}.JPEG", number, (64, 64))
        rows.append(f"val_{number}.JPEG\t{wnid}\t0\t32\t44\t{62 + number % 2}\n")
    (root / "val/val_annotations.txt").write_text("".join(rows))
    return root


def test_labels_count_in_the_order_of_wnids_and_names_are_unique(root):
    images = tiny_imagenet(root, "train")
    assert images.classes == ("crane", "wading bird", "ant")
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images.images[:, 0, 0, 0].tolist() == [0, 10, 40, 50, 80, 90]
    assert images.ids[2] == "train/n1/images/n1_0.JPEG"
    assert images.captions[4] == "a photo of an ant"
    assert images.words[4] == ("ant",)


def test_a_name_that_is_taken_and_has_no_synonym_is_told_by_its_wnid(root):
    (root / "words.txt").write_text("n1\tcrane\nn2\tant\nn3\tcrane\n")
    assert tiny_imagenet(root, "val").classes == ("crane", "crane (n1)", "ant")


def test_validation_labels_come_from_its_table(root):
    images = tiny_imagenet(root, "val", prompt="one {}")
    assert images.labels.tolist() == [2, 0, 2]
    assert images.captions == ("one ant", "one crane", "one ant")


def test_boxes_are_open_to_the_right_and_scale_with_the_image(root):
    """The files count the last pixel in: 0 to 63 is all of 64 pixels."""
    assert tiny_imagenet(root, "train").boxes[0].tolist() == [0, 10, 64, 1]
    assert tiny_imagenet(root, "train", size=32).boxes[0].tolist() == [0, 5, 32, 0.5]
    assert tiny_imagenet(root, "val").boxes[1].tolist() == [0, 32, 45, 64]


def test_a_training_image_without_a_box_has_none(root):
    (root / "train/n3/n3_boxes.txt").write_text("n3_1.JPEG\t1\t2\t3\t4\n")
    boxes = tiny_imagenet(root, "train").boxes
    assert np.isnan(boxes).all(1).tolist() == [True] + [False] * 5


def test_labels_and_boxes_stay_with_their_images_where_one_is_damaged(root):
    (root / "val/images/val_0.JPEG").write_bytes(b"")
    images = tiny_imagenet(root, "val", limit=0.5)
    assert images.labels.tolist() == [0, 2]
    assert images.boxes[0].tolist() == [0, 32, 45, 64]
    assert [line.endswith("val_0.JPEG: the file is empty") for line in images.skipped] == [True]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("wnids.txt", None, r"wnids\.txt is missing"),
        ("words.txt", "n1\tcrane\n", "does not name class n3"),
        ("val/val_annotations.txt", "val_0.JPEG\tn9\t0\t1\t2\t3\n", "val_0.JPEG the class 'n9'"),
        ("val/val_annotations.txt", "val_0.JPEG\tn1\t0\t1\t2\n", "a box of four numbers"),
        ("val/val_annotations.txt", "val_0.JPEG\n", "the class ''"),
    ],
)
def test_a_damaged_layout_is_named(root, file, content, message):
    (root / file).unlink()
    if content is not None:
        (root / file).write_text(content)
    with pytest.raises(DataError, match=message):
        tiny_imagenet(root, "val")


def test_a_class_without_images_and_an_unlabelled_split_are_refused(root):
    for file in (root / "train/n1/images").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="n1/images holds no images"):
        tiny_imagenet(root, "train")
    with pytest.raises(DataError, match="no labelled split 'test'; one of train, val"):
        tiny_imagenet(root, "test")
