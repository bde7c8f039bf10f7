"""The figure of right and wrong maps is drawn from students that the benchmark keeps, and says which one is missing."""

import pytest
import torch
from PIL import Image

from evaluation.transfer import name_of
from evaluation.wrong_maps import ASKED, STUDENTS, TITLES, draw, picture
from lfi.errors import DataError
from lfi.students import Student, StudentConfig
from lfi.teachers import load_teacher

PART = "TinyImageNet 10% of labels"
OVERRIDES = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


@pytest.fixture
def runs(tmp_path):
    torch.manual_seed(0)
    dim = load_teacher("photographs").embed_texts(["cat"]).shape[1]
    for method in STUDENTS.values():
        student = Student(StudentConfig(classes=5, queries=4, text_dim=dim, patch_words=True, overrides=OVERRIDES))
        student.save(tmp_path / f"{name_of(PART, method, 0)}.safetensors")
    return tmp_path


def test_every_picture_is_drawn_with_the_teacher_and_all_students(runs):
    draw(runs, runs / "maps.webp")
    drawn = Image.open(runs / "maps.webp")
    assert drawn.format == "WEBP"
    rows, columns = len(ASKED), 1 + len(TITLES)
    assert 0.7 < (drawn.width / columns) / (drawn.height / rows) < 1.2, "square pictures, a caption and a scale"
    missing = runs / f"{name_of(PART, STUDENTS['wrong'], 0)}.safetensors"
    missing.unlink()
    with pytest.raises(DataError, match=r"shuffled maps.* trains it"):
        draw(runs, runs / "maps.webp")


def test_two_samples_share_a_picture_half_and_half():
    both, one = picture("cat", "coffee"), picture("cat", "")
    assert both.size == one.size
    left, right = both.crop((0, 0, both.width // 2, both.height)), both.crop((both.width // 2, 0, *both.size))
    assert left.tobytes() != right.tobytes()
    assert isinstance(one, Image.Image)
