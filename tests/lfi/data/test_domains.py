"""Domains stay apart: what is trained on, what is selected on, what is reported."""

import os
from pathlib import Path

import numpy as np
import pytest

from lfi.data.domains import domain_folders, leave_one_out
from lfi.data.imageset import ImageSet
from lfi.errors import DataError


@pytest.fixture
def pacs(tmp_path, picture):
    root = tmp_path / "PACS"
    for index, domain in enumerate(("sketch", "photo", "cartoon", "art_painting")):
        for label, name in enumerate(("elephant", "dog")):
            for number in range(3):
                picture(root / domain / name / f"{number}.png", 60 * index + 10 * label + number)
    return root


def of_domains(**counts: int) -> ImageSet:
    domains = tuple(domain for domain, count in counts.items() for _ in range(count))
    return ImageSet(
        images=np.zeros((len(domains), 2, 2, 3), np.uint8),
        ids=tuple(str(row) for row in range(len(domains))),
        classes=("cat",),
        labels=np.zeros(len(domains), np.int64),
        captions=("",) * len(domains),
        words=((),) * len(domains),
        domains=domains,
    )


def test_images_are_ordered_by_domain_class_and_file(pacs):
    images = domain_folders(pacs, size=16)
    assert images.classes == ("dog", "elephant")
    assert images.domains == ("art_painting",) * 6 + ("cartoon",) * 6 + ("photo",) * 6 + ("sketch",) * 6
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1] * 4
    assert images.images[:8, 0, 0, 0].tolist() == [190, 191, 192, 180, 181, 182, 130, 131]
    assert images.ids[0] == "art_painting/dog/0.png"
    assert images.words[3] == ("elephant",)


def test_a_class_and_a_domain_without_images_are_named(pacs):
    (pacs / "photo" / "giraffe").mkdir()
    (pacs / "engraving").mkdir()
    noted = {note.what: [name for name, _ in note.names] for note in domain_folders(pacs, size=16).notes}
    assert noted == {"class folders without images": ["photo/giraffe"], "domains without images": ["engraving"]}


def test_a_domain_whose_name_is_not_utf_8_is_refused(pacs, picture):
    picture(Path(os.fsdecode(os.fsencode(pacs) + b"/caf\xe9/dog/1.png")))
    with pytest.raises(DataError, match=r"the domain folder .* has a name that is not UTF-8; rename it"):
        domain_folders(pacs, size=16)


def test_a_damaged_image_is_named_and_left_out_with_all_that_belongs_to_it(pacs):
    (pacs / "cartoon/dog/1.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"cartoon/dog/1.png"):
        domain_folders(pacs, size=16)
    images = domain_folders(pacs, size=16, limit=0.1)
    assert len(images.skipped) == 1
    assert images.ids[6:9] == ("cartoon/dog/0.png", "cartoon/dog/2.png", "cartoon/elephant/0.png")
    assert images.domains[6:11] == ("cartoon",) * 5
    assert images.labels[6:11].tolist() == [0, 0, 1, 1, 1]


def test_captions_say_what_kind_of_picture_it_is(pacs):
    captions = domain_folders(pacs, size=16).captions
    assert captions[0] == "an art painting of a dog"
    assert captions[3] == "an art painting of an elephant"
    assert captions[6] == "a cartoon of a dog"
    assert captions[12] == "a photo of a dog"
    assert captions[18] == "a sketch of a dog"


def test_vlcs_is_all_photographs_and_its_split_folders_are_looked_through(tmp_path, picture):
    for number, place in enumerate(("Caltech101/bird", "SUN09/train/bird", "SUN09/test/bird", "SUN09/test/car")):
        picture(tmp_path / place / "0.png", number)
    picture(tmp_path / "LabelMe/full/car/0.png", 7)
    picture(tmp_path / "LabelMe/train/car/0.png", 8)
    images = domain_folders(tmp_path, size=16)
    assert images.domains == ("Caltech101", "LabelMe", "SUN09", "SUN09", "SUN09")
    assert images.labels.tolist() == [0, 1, 0, 0, 1]
    assert images.images[:, 0, 0, 0].tolist() == [0, 7, 2, 1, 3]  # of LabelMe full alone
    assert set(images.captions) == {"a photo of a bird", "a photo of a car"}


def test_a_folder_that_holds_no_domains_is_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere as a folder"):
        domain_folders(tmp_path / "nowhere", size=16)
    with pytest.raises(DataError, match=r"DOMAIN/CLASS/\* was expected"):
        domain_folders(tmp_path, size=16)


def test_the_domain_held_out_is_all_of_the_test_and_none_of_the_rest():
    images = of_domains(a=50, b=30, c=20)
    split = leave_one_out(images, "b", seed=0)
    assert set(split.test.domains) == {"b"}
    assert len(split.test) == 30
    assert set(split.train.domains) | set(split.validation.domains) == {"a", "c"}
    assert sorted(split.train.ids + split.validation.ids + split.test.ids) == sorted(images.ids)


def test_a_fifth_of_every_source_domain_is_for_validation_rounded_down():
    split = leave_one_out(of_domains(a=50, b=30, c=24), "b", seed=0)
    assert (split.validation.domains.count("a"), split.validation.domains.count("c")) == (10, 4)


def test_the_split_is_domainbeds():
    """Its recipe spelt out: MD5 of "(trial_seed, environment)", modulo 2^31, seeds NumPy's legacy shuffle."""
    split = leave_one_out(of_domains(a=10, b=5, c=15), "a", seed=2)
    # Environment 1 is shuffled by seed 181139023 to 4 1 3 0 2, environment 2 by 248334461 to 3 9 14 5 6 12 ...
    assert split.validation.ids == ("14", "18", "24", "29")
    assert split.validation.domains == ("b", "c", "c", "c")


def test_a_source_domain_is_split_alike_whichever_other_is_held_out():
    images = of_domains(a=20, b=20, c=20)
    held_a, held_b = leave_one_out(images, "a", seed=1), leave_one_out(images, "b", seed=1)
    of_c = [
        [each for each, name in zip(s.validation.ids, s.validation.domains, strict=True) if name == "c"]
        for s in (held_a, held_b)
    ]
    assert of_c[0] == of_c[1]


def test_seeds_split_differently():
    images = of_domains(a=50, b=50)
    assert leave_one_out(images, "a", seed=0).validation.ids != leave_one_out(images, "a", seed=1).validation.ids


def test_a_domain_that_is_not_there_is_named():
    with pytest.raises(DataError, match="unknown domain 'photos'; one of photo, sketch"):
        leave_one_out(of_domains(photo=2, sketch=2), "photos", seed=0)
    with pytest.raises(DataError, match="at least 2 domains; this set has 1"):
        leave_one_out(of_domains(photo=2), "photo", seed=0)
