"""A word that is not in the picture: the page says so under a fainter map, and offers what the teacher sees instead."""

from __future__ import annotations

import re

import pytest
from inspector_page import InspectorPage
from serving import served
from tiny_trio import PRESENCE, write_tiny_trio
from uploads import as_bytes, scene

from lfi.trio import Trio


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_trio(tmp_path_factory.mktemp("judging") / "models" / "judging", PRESENCE)


@pytest.fixture(scope="module")
def service(folder, tmp_path_factory):
    with served(folder, tmp_path_factory.mktemp("presence"), LFI_AUTH="off") as url:
        yield url


@pytest.fixture
def uploaded(profile, service, tmp_path):
    (tmp_path / "photo.png").write_bytes(as_bytes(scene()))
    page = InspectorPage(profile.new_page(), service)
    page.load_picture(tmp_path / "photo.png")
    yield page
    assert page.errors == []
    page.page.close()


def test_an_absent_word_is_said_to_be_absent_and_its_map_is_fainter(uploaded):
    uploaded.type_word("star")
    uploaded.wait_for_maps("star")
    said = uploaded.find(".lfi-panel[data-model=lfi] .lfi-absence")
    assert said.inner_text() == "Finds no star here (p = .03)."
    assert not uploaded.find(".lfi-panel[data-model=baseline] .lfi-absence").is_visible()
    shown = {
        model: uploaded.find(f".lfi-panel[data-model={model}] .lfi-heat").evaluate(
            "canvas => Number(getComputedStyle(canvas).opacity)"
        )
        for model in ("lfi", "baseline")
    }
    assert shown["lfi"] == pytest.approx(0.3 * shown["baseline"], abs=0.01)
    assert not uploaded.find(".lfi-panel[data-model=lfi] .lfi-peak").is_visible()
    assert uploaded.find(".lfi-panel[data-model=baseline] .lfi-peak").is_visible()
    assert "finds no star here" in (uploaded.panels()["lfi"].label)
    uploaded.find(".lfi-chip-word").first.hover()  # outlines the word's region, where there is one
    uploaded.find(".lfi-panel[data-model=baseline] .lfi-region .lfi-region-line").wait_for(state="attached")
    assert uploaded.find(".lfi-panel[data-model=lfi] .lfi-region .lfi-region-line").count() == 0


def test_what_the_teacher_sees_in_a_new_picture_is_proposed_and_can_be_clicked(uploaded, folder):
    trio = Trio.load(folder)
    seen = [word for word, _ in trio.seen(trio.encode(scene()))]
    chips = uploaded.find("#lfi-words-message .lfi-suggestion")
    assert chips.all_inner_texts() == seen
    assert re.fullmatch(r"p [=<>] \.\d\d", chips.first.get_attribute("title"))
    chips.first.click()
    uploaded.wait_for_maps(seen[0])


def test_a_first_word_is_proposed_and_enter_takes_it(uploaded, folder):
    trio = Trio.load(folder)
    word = trio.seen(trio.encode(scene()))[0][0]
    field = uploaded.find("#lfi-word")
    assert field.get_attribute("placeholder") == f"{word}? Press Enter to use it"
    field.press("Enter")
    uploaded.wait_for_maps(word)
    assert uploaded.chips() == [word]
    assert field.get_attribute("placeholder") == "a word or a phrase, then Enter"


def test_a_refused_word_comes_with_chips_of_what_the_teacher_sees(uploaded, folder):
    uploaded.type_word("zebra")
    uploaded.find("#lfi-words-message.lfi-wrong .lfi-suggestion").first.wait_for()
    selected = "node => node.value.slice(node.selectionStart, node.selectionEnd)"
    assert uploaded.find("#lfi-word").evaluate(selected) == "zebra", "so that the next word replaces it"
    message = uploaded.find("#lfi-words-message")
    assert "do not know “zebra”" in message.inner_text()
    assert "The teacher sees here:" in message.inner_text()
    assert message.get_by_role("link", name="Or use your own models").is_visible()
    word = message.locator(".lfi-suggestion").last.inner_text()
    message.locator(".lfi-suggestion").last.click()
    uploaded.wait_for_maps(word)
