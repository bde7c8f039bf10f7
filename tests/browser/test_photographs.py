"""A visitor's photograph and the trio that ships for photographs: a word that is there, and one that is not."""

from __future__ import annotations

import shutil

import pytest
from inspector_page import MODELS, InspectorPage
from serving import served

from lfi.shipped import STATIC

ASTRONAUT = (0.08, 0.0, 0.74, 1.0)
"""Left, top, right and bottom of the person in the picture of the astronaut, as shares of its sides."""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with served(STATIC / "models" / "photographs", tmp_path_factory.mktemp("photographs"), LFI_AUTH="off") as url:
        yield url


@pytest.fixture
def uploaded(profile, service, tmp_path):
    shutil.copy(STATIC / "samples" / "astronaut.jpg", tmp_path / "portrait.jpg")
    page = InspectorPage(profile.new_page(), service)
    page.load_picture(tmp_path / "portrait.jpg")
    yield page
    assert page.errors == []
    page.page.close()


def peak(page: InspectorPage, model: str) -> tuple[float, float]:
    """Where the map's ring is, as shares of the map's sides."""
    [ring] = page.boxes(f".lfi-panel[data-model={model}] .lfi-peak")
    [drawn] = page.boxes(f".lfi-panel[data-model={model}] .lfi-heat")
    across = (ring["x"] + ring["width"] / 2 - drawn["x"]) / drawn["width"]
    return across, (ring["y"] + ring["height"] / 2 - drawn["y"]) / drawn["height"]


def test_an_everyday_word_is_found_where_it_is(uploaded):
    uploaded.type_word("people")
    uploaded.wait_for_maps("people")
    assert set(uploaded.panels()) == set(MODELS)
    for model in ("teacher", "lfi"):
        across, down = peak(uploaded, model)
        assert ASTRONAUT[0] <= across <= ASTRONAUT[2], (model, across, down)
        assert ASTRONAUT[1] <= down <= ASTRONAUT[3], (model, across, down)
        assert not uploaded.find(f".lfi-panel[data-model={model}] .lfi-absence").is_visible()


def test_a_word_that_is_not_there_is_said_not_to_be(uploaded):
    uploaded.type_word("zebra")
    uploaded.wait_for_maps("zebra")
    for model in ("teacher", "lfi"):
        said = uploaded.find(f".lfi-panel[data-model={model}] .lfi-absence").inner_text()
        assert said.startswith("Finds no zebra here (p "), said


def test_a_word_that_nobody_knows_is_answered_with_what_is_near_and_what_is_here(uploaded):
    uploaded.type_word("cappuccino")
    message = uploaded.find("#lfi-words-message")
    message.get_by_text("cappuccino").first.wait_for()
    assert message.locator(".lfi-suggestion").count() >= 2
