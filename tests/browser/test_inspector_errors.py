"""What goes wrong is said where it went wrong, and the page goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from app.settings import Settings
from lfi.data.scenes import Scenes

LONG = " ".join(["red circle"] * 150)


@pytest.fixture
def text_named_png(tmp_path: Path) -> Path:
    path = tmp_path / "notes.png"
    path.write_text("this is no picture")
    return path


def test_an_unknown_word_is_explained_in_place_with_the_nearest_words(open_page):
    page = open_page()
    page.choose_sample()
    words, maps = page.chips(), page.maps()
    page.type_word("red cirle")
    message = page.find("#lfi-words-message.lfi-wrong")
    message.wait_for()
    assert "do not know “cirle”" in message.inner_text()
    assert page.find("#lfi-word").input_value() == "red cirle"
    assert page.chips() == words
    assert page.maps() == maps
    message.get_by_role("button", name="red circle", exact=True).click()
    page.wait_for_maps("red circle")
    assert "red circle" in page.chips()
    assert page.find(".lfi-wrong").count() == 0


def test_an_unknown_word_is_explained_before_there_is_a_picture(open_page):
    page = open_page()
    page.type_word("zebra")
    page.find("#lfi-words-message.lfi-wrong").wait_for()
    assert page.chips() == []


@pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)>", "${alert(1)} `x`", "{{value}}", '"><b>red</b>'])
def test_markup_in_a_word_stays_text(open_page, text):
    page = open_page()
    page.page.on("dialog", lambda dialog: pytest.fail(f"the page ran {dialog.message}"))
    page.choose_sample()
    page.type_word(text)
    page.find("#lfi-words-message.lfi-wrong").wait_for()
    assert page.find("#lfi img[src=x], #lfi-words-message b").count() == 0


def test_a_caption_that_is_too_long_is_refused_at_the_words(open_page):
    page = open_page()
    page.choose_sample()
    page.page.evaluate("text => { document.querySelector('#lfi-word').value = text }", LONG)
    page.find("#lfi-word").press("Enter")
    message = page.find("#lfi-words-message.lfi-wrong")
    message.wait_for()
    assert "at most" in message.inner_text()


def test_too_many_words_are_refused_before_they_are_asked(open_page):
    page = open_page()
    page.choose_sample()
    asked = page.questions()
    page.page.fill("#lfi-word", ",".join(f"word{number}" for number in range(40)))
    page.find("#lfi-words-message.lfi-wrong").wait_for()
    assert "At most 16 words" in page.find("#lfi-words-message").inner_text()
    assert page.questions() == asked


def test_a_file_that_is_no_picture_is_refused_at_the_picture(open_page, text_named_png):
    page = open_page()
    page.choose_sample()
    maps = page.maps()
    page.upload(text_named_png)
    error = page.find("#lfi-picture-error:not(:empty)")
    error.wait_for()
    assert "not an image" in error.inner_text()
    assert page.maps() == maps
    page.choose_sample("table")
    assert page.find("#lfi-picture-error").inner_text() == ""
    assert page.maps() != maps


def test_a_truncated_jpeg_is_refused_at_the_picture(open_page, tmp_path):
    whole = tmp_path / "whole.jpg"
    Image.fromarray(Scenes(1, seed=3, size=320)[0].image).save(whole)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(whole.read_bytes()[:3000])
    page = open_page()
    page.upload(broken)
    error = page.find("#lfi-picture-error:not(:empty)")
    error.wait_for()
    assert "damaged or incomplete" in error.inner_text()


def test_a_file_that_is_too_large_is_refused_without_sending_it(open_page, tmp_path):
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(Settings().max_bytes + 1))
    page = open_page()
    asked = page.questions()
    page.upload(large)
    page.find("#lfi-picture-error:not(:empty)").wait_for()
    assert re.search(r"at most \d+\.\d MB", page.find("#lfi-picture-error").inner_text())
    assert page.questions() == asked


def test_a_photo_taken_sideways_stands_upright(open_page, tmp_path):
    picture = Image.fromarray(Scenes(1, seed=3, size=320)[0].image).resize((320, 160))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    path = tmp_path / "sideways.jpg"
    picture.save(path, exif=exif)
    page = open_page()
    page.upload(path)
    page.type_word("red")
    page.wait_for_maps("red")
    panel = page.panels()["teacher"]
    assert panel.picture == 160
    assert panel.size == (160, 320)


def test_a_service_that_went_away_is_said_to_have_gone(open_page):
    page = open_page()
    page.choose_sample()
    page.page.context.set_offline(True)
    page.type_word("star")
    page.find("#lfi-banner:not([hidden])").wait_for()
    assert "does not answer" in page.find("#lfi-banner").inner_text()
    page.page.context.set_offline(False)
    page.type_word("star")
    page.wait_for_maps("star")
    assert page.find("#lfi-banner").is_hidden()
    page.errors.clear()  # the browser itself logs that it was offline


def test_where_no_word_is_close_some_known_words_are_named(open_page):
    page = open_page()
    page.type_word("dog")
    message = page.find("#lfi-words-message.lfi-wrong")
    message.wait_for()
    assert re.search(r"do not know “dog”\. They know \d+ words, such as \w+, \w+, \w+ and \w+\.", message.inner_text())
    assert message.locator("button").count() == 0


def test_articles_are_ignored(open_page):
    page = open_page()
    page.choose_sample()
    page.type_word("the green triangle")
    page.wait_for_maps("green triangle")
    assert page.chips()[-1] == "green triangle"
    before = page.chips()
    page.type_word("a green triangle")
    page.page.wait_for_function("() => !document.querySelector('.lfi-pending')")
    assert page.chips() == before
    assert page.find(".lfi-chip-word[aria-pressed=true]").inner_text() == "green triangle"


def test_a_very_long_unknown_word_stays_within_the_page(open_page):
    page = open_page(width=360, height=740)
    page.type_word("x" * 200)
    message = page.find("#lfi-words-message.lfi-wrong")
    message.wait_for()
    assert "x" * 41 not in message.inner_text()
    assert page.page.evaluate("document.documentElement.scrollWidth") == 360
    assert message.evaluate("node => node.scrollWidth <= node.clientWidth")


def test_a_word_error_goes_when_the_box_is_cleared_or_the_picture_changes(open_page):
    page = open_page()
    wrong = page.find("#lfi-words-message.lfi-wrong")
    page.type_word("dog")
    wrong.wait_for()
    page.find("#lfi-word").fill("")
    assert wrong.count() == 0
    page.type_word("dog")
    wrong.wait_for()
    page.choose_sample()
    assert wrong.count() == 0


def test_enter_on_an_empty_box_asks_for_a_word(open_page):
    page = open_page()
    page.find("#lfi-word").press("Enter")
    assert page.find("#lfi-words-message.lfi-wrong").inner_text() == "Type a word first."
    assert page.find("#lfi-word").evaluate("node => node === document.activeElement")
    page.type_word("red, blue")  # the comma puts both in; the Enter after it wants nothing more
    page.find(".lfi-chip:not(.lfi-pending)").nth(1).wait_for()
    assert page.chips() == ["red", "blue"]
    assert page.find(".lfi-wrong").count() == 0
