"""The page for everyone: keyboard alone, screen readers, a small phone, a dark room."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

PHONE = {"width": 360, "height": 740}

FOCUS = """() => {
    const node = document.activeElement;
    const frame = node.closest('.lfi-drop')?.querySelector('.lfi-drop-frame');
    const ringed = [node, node.closest('.lfi-field'), frame].filter(Boolean);
    const rings = ringed.map(each => getComputedStyle(each));
    const label = node.labels?.[0] ?? node;
    return {
        name: node.getAttribute('aria-label') || label.textContent.trim(),
        visible: rings.some(style => style.boxShadow !== 'none' || style.outlineStyle !== 'none'),
    };
}"""
"""What the keyboard is on, and whether one can see it."""

BEYOND = """width => [...document.querySelectorAll('#lfi :is(button, input, select, canvas, dd)')]
    .filter(node => node.checkVisibility() && !node.closest('.lfi-samples, .lfi-vocabulary, .lfi-panels'))
    .filter(node => node.getBoundingClientRect().left < 0 || node.getBoundingClientRect().right > width)
    .map(node => node.outerHTML.slice(0, 80))"""
"""What stands beyond the window's edges; samples, vocabulary and maps scroll in rows of their own."""


def violations(page) -> str:
    report = Axe().run(page.page)
    return report.generate_report() if report.violations_count else ""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [{}, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_to_mend(open_page, size, dark):
    page = open_page(**size, dark=dark)
    assert violations(page) == ""
    page.choose_sample()
    page.type_word("zebra")
    page.find("#lfi-words-message.lfi-wrong").wait_for()
    assert violations(page) == ""


def tab_to(page, name: str, most: int = 80) -> None:
    """Press Tab until the element of this name has the focus; every stop on the way must show its focus."""
    for _ in range(most):
        page.page.keyboard.press("Tab")
        focused = page.page.evaluate(FOCUS)
        assert focused["visible"], f"no visible focus on {focused['name']!r}"
        if focused["name"] == name:
            return
    pytest.fail(f"Tab never came to {name!r}")


def test_a_keyboard_is_enough(open_page):
    page = open_page()
    keyboard = page.page.keyboard
    first = page.find("[data-sample=paper]").get_attribute("aria-label")
    tab_to(page, first)
    keyboard.press("Enter")
    page.wait_for_maps()
    tab_to(page, "A word or a phrase to look for")
    keyboard.type("red star")
    keyboard.press("Enter")
    page.wait_for_maps("red star")
    tab_to(page, "Layer")
    keyboard.press("End")
    assert not page.find("#lfi-best").is_checked()
    tab_to(page, "Opacity")
    keyboard.press("Home")
    assert page.find("#lfi-opacity-value").inner_text() == "0 %"
    tab_to(page, "Raw maps, npz")
    with page.page.expect_download() as started:
        keyboard.press("Enter")
    assert started.value.suggested_filename.endswith(".npz")


@pytest.mark.parametrize("stage", ["empty", "maps"])
def test_a_phone_never_scrolls_sideways(open_page, stage):
    page = open_page(**PHONE)
    if stage == "maps":
        page.choose_sample()
        page.type_word("zebra")
        page.find("#lfi-words-message.lfi-wrong").wait_for()
    assert page.page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.page.evaluate(BEYOND, 360) == []


def test_on_a_phone_the_links_are_one_row_and_no_choice_is_cut(open_page):
    page = open_page(**PHONE)
    assert len({box["y"] for box in page.boxes(".lfi-links .lfi-link")}) == 1
    page.choose_sample()
    assert all(
        box["width"] > 200 for box in page.boxes(".lfi-closer .lfi-close-pick select")
    )  # a paper's are as wide as their words


def test_on_a_phone_a_tapped_patch_is_read_at_the_bottom_of_the_window(open_page):
    page = open_page(**PHONE)
    page.choose_sample()
    stack = page.find(".lfi-panel .lfi-stack").first
    stack.scroll_into_view_if_needed()
    stack.click(position={"x": 20, "y": 20})
    probe = page.find("#lfi-probe").bounding_box()
    assert probe["y"] + probe["height"] <= PHONE["height"] + 1
    assert "Row" in page.find("#lfi-probe").inner_text()


def test_hardly_anything_moves_while_the_page_loads(open_page):
    page = open_page()
    page.page.add_init_script("""
        window.shift = 0;
        new PerformanceObserver(list => {
            for (const each of list.getEntries()) if (!each.hadRecentInput) window.shift += each.value;
        }).observe({ type: "layout-shift", buffered: true });
    """)
    page.load()
    page.page.wait_for_timeout(500)
    assert page.page.evaluate("shift") < 0.1


def test_the_terms_of_the_numbers_are_explained_below_the_maps(open_page):
    page = open_page()
    assert "Learning from Interactions" in page.find(".lfi-masthead").inner_text()
    page.choose_sample()
    legend = page.find(".lfi-legend").inner_text()
    assert all(term in legend for term in ("12×", "r:", "Shared", "Nearness"))


def test_dark_is_dark_and_can_be_switched(open_page):
    def lightness(page) -> int:
        colour = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return max(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    page = open_page(dark=True)
    assert lightness(page) < 60
    page.page.get_by_role("button", name="Light").click()
    assert lightness(page) > 200
    page.page.reload()
    page.page.wait_for_selector(".lfi[data-stage=empty]")
    assert lightness(page) > 200
    page.page.get_by_role("button", name="Dark").click()
    page.page.goto(f"{page.address}/batch")
    assert lightness(page) < 60, "one choice for all pages"


def test_every_picture_has_a_text_and_every_map_says_where_it_points(open_page):
    page = open_page()
    page.choose_sample()
    assert page.find("#lfi-drop-frame img").get_attribute("alt")
    labels = [panel.label for panel in page.panels().values()]
    assert all("× uniform" in label for label in labels)
    assert len(set(labels)) == 3
