"""Captions read as people write them."""

import pytest

from lfi.data.prompts import article, article_varies, fill, listed
from lfi.errors import DataError


@pytest.mark.parametrize(
    "right",
    [
        *("a dog", "a house", "a yak", "a Chihuahua", "an ox", "an oboe", "an alp", "an umbrella", "an orangutan"),
        *("a unicorn", "a European fire salamander", "a one-way street", "a useful tool", "a ukulele", "an hourglass"),
        *("an uninhabited island", "an Egyptian cat", "an ice lolly", "an espresso", "an iPod"),
        *("a CD player", "an X-ray", "a T-shirt", "an LCD screen", "an MP3 player", "a UFO"),
    ],
)
def test_the_article_is_the_one_that_is_spoken(right):
    expected, name = right.split(" ", 1)
    assert article(name) == expected


def test_an_article_before_the_name_is_made_right_and_no_other_is():
    assert fill("a photo of a {}", "umbrella") == "a photo of an umbrella"
    assert fill("a photo of an {}", "dog") == "a photo of a dog"
    assert fill("A {}", "ox") == "An ox"
    assert fill("a photo of the {}", "ox") == "a photo of the ox"
    assert fill("banana {}", "ox") == "banana ox"
    assert fill("{domain} of a {}", "ox", "an art painting") == "an art painting of an ox"


def test_whether_an_article_is_made_right():
    assert article_varies("a photo of a {}")
    assert not any(article_varies(prompt) for prompt in ("{}", "the {}", "a photo of {}", "banana {}"))


def test_a_prompt_without_a_place_for_the_name_is_refused():
    with pytest.raises(DataError, match=r"has no \{\}"):
        fill("a photo of a dog", "cat")


def test_names_are_listed():
    assert listed(["cat"]) == "a cat"
    assert listed(["cat", "apple"]) == "a cat and an apple"
    assert listed(["cat", "apple", "dog"]) == "a cat, an apple and a dog"
    assert listed([]) == ""
