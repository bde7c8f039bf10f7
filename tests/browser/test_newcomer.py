"""What somebody who has never seen the page wants of it, one thing after the other, by what is written on it."""

from __future__ import annotations

import re

from inspector_page import InspectorPage
from PIL import Image

from app.settings import STATIC


def test_a_newcomer_looks_at_a_picture_changes_the_word_follows_a_query_and_shares_a_link(
    open_page, chromium, service, tmp_path
):
    file = tmp_path / "mine.png"
    Image.open(STATIC / "samples" / "table.jpg").resize((300, 200)).save(file)
    page = open_page()
    tab = page.page
    assert tab.get_by_text("Learning from Interactions").first.is_visible(), "what LFI is"

    tab.set_input_files("input[type=file]", file)
    tab.get_by_role("button", name="red", exact=True).click()
    page.wait_for_maps("red")
    red = page.maps()
    assert set(red) == {"teacher", "lfi", "baseline"}

    page.type_word("blue square")
    page.wait_for_maps("blue square")
    assert page.maps()["lfi"] != red["lfi"]

    tab.get_by_role("button", name="Layers", exact=True).click()
    answering = tab.locator("#lfi-film").get_by_text("answers “blue square”")
    answering.wait_for()
    assert answering.is_visible()
    assert re.search(r"\d+ %\s*drift per layer", tab.locator("#lfi-film").inner_text())

    tab.get_by_role("button", name="Share", exact=True).click()
    tab.get_by_role("button", name=re.compile("Keep this picture")).click()
    tab.get_by_role("button", name="Copy link", exact=True).wait_for()
    context = chromium.new_context()
    context.set_default_timeout(60_000)
    other = InspectorPage(context.new_page(), service)
    other.page.goto(page.find("#lfi-address").input_value())
    other.wait_for_maps("blue square")
    assert other.maps() == page.maps()
    context.close()
    assert not page.errors
    assert not other.errors
