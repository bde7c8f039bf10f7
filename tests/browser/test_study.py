"""A whole study in a real browser, in both shells: as a rater, with a reload and a killed server on the way."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page
from study_service import StudyService
from study_steps import DESK, PHONE, READY, answer, preview, progress, to_practice, to_trials, violations, visitor

from app.settings import STATIC
from evaluation.study.ratings import read_ratings


@pytest.fixture(scope="module", params=["gradio", "plain"])
def service(
    request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StudyService]:
    service = StudyService(tmp_path_factory.mktemp("study"), models, STATIC / "samples", request.param)
    service.lfi("create", service.folder / "pilot.toml")
    service.lfi("open", "pilot")
    service.start()
    yield service
    service.kill()


@pytest.fixture
def page(profile: BrowserContext, service: StudyService) -> Iterator[Page]:
    with visitor(profile, service) as page:
        yield page


@pytest.mark.slow
@pytest.mark.timeout(900)  # the service starts twice, which takes a busy machine minutes
def test_a_rater_goes_all_the_way_over_a_reload_and_a_killed_server(page, service, tmp_path):
    csv = tmp_path / "invitations.csv"
    service.lfi("invite", "pilot", 1, "--out", csv, "--address", service.address)
    page.goto(csv.read_text().splitlines()[1].partition(",")[2])
    page.wait_for_selector("#study[data-stage=consent]")
    assert page.url == service.page  # the address holds no token
    page.click("#study-continue")
    assert page.locator("#study[data-stage=consent]").count() == 1  # not without the tick
    to_trials(page)
    assert progress(page) == "0 of 7"
    answer(page)

    page.wait_for_selector(READY)
    word = page.inner_text("#study-question")
    page.reload()
    page.wait_for_selector(READY)
    assert (progress(page), page.inner_text("#study-question")) == ("1 of 7", word)

    page.fill("#study-comment", "12345")  # digits in a comment are no answers
    assert progress(page) == "1 of 7"
    service.kill()
    page.locator(".lfi-study-answer").nth(3).dblclick()
    page.wait_for_selector("#study-banner:not([hidden])")
    assert "kept here" in page.inner_text("#study-banner")
    starting = threading.Thread(target=service.start)
    starting.start()
    page.wait_for_function(
        "() => document.querySelector('#study-progress').textContent.startsWith('2 of 7')", timeout=240_000
    )
    starting.join()
    assert page.is_hidden("#study-banner")

    page.wait_for_selector(READY)
    page.keyboard.press("Backspace")
    page.wait_for_selector("#study-answered:not([hidden])")
    page.wait_for_selector(READY)
    assert page.input_value("#study-comment") == "12345"
    page.keyboard.press("5")
    page.wait_for_selector("#study-answered", state="hidden")
    while page.get_attribute("#study", "data-stage") == "trial":
        answer(page)
    assert page.inner_text("#study-code") == "C0DE-42"

    service.lfi("export", "pilot", "--out", tmp_path / "out")
    table = read_ratings(tmp_path / "out" / "ratings.parquet")
    table = table[~table["preview"]]
    assert len(table) == 1 + 7 + 1  # practice, trials, one answered anew
    assert table["response_ms"].between(150, 240_000).all()
    assert table["comment"].tolist().count("12345") == 2


SCREENS = [(390, 664, "en"), (390, 664, "de"), (844, 390, "de"), (320, 568, "de"), (1280, 640, "en")]
"""Upright, on its side, narrow, a laptop; German is longer."""


def test_question_pictures_and_every_answer_stand_on_the_first_screen(page, service):
    """What has to be scrolled to is chosen less often."""

    def check(width: int, height: int, language: str) -> None:
        page.set_viewport_size({"width": width, "height": height})
        page.select_option("#study-language", language)
        page.wait_for_selector(f"html[lang={language}]")
        page.wait_for_selector(READY)
        boxes = page.evaluate("""() => [...document.querySelectorAll(
            "#study-question, .lfi-study-answer, .lfi-study-stack, #study-bare, #study-legend"
        )].map(each => each.getBoundingClientRect()).map(({left, top, right, bottom}) => [left, top, right, bottom])""")
        assert page.evaluate("scrollY") == 0
        assert [box for box in boxes if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height] == []
        pictures = page.evaluate("[...document.querySelectorAll('.lfi-study-stack')].map(each => each.clientHeight)")
        assert min(pictures) >= 95
        answers = page.locator(".lfi-study-answer")
        assert [each for each in answers.all() if each.evaluate("each => each.scrollWidth > each.clientWidth")] == []

    preview(page, service)
    to_trials(page)
    for screen in SCREENS:
        check(*screen)
    while page.get_attribute("#study-answers", "data-kind") != "pair":
        answer(page)
    for screen in SCREENS:
        check(*screen)
    before = progress(page)
    page.set_viewport_size({"width": 844, "height": 390})
    page.keyboard.press("ArrowDown")  # it scrolls
    page.wait_for_function("() => scrollY > 0")
    assert page.locator("#study-answers [aria-pressed=true]").count() == 0
    page.keyboard.press("0")
    page.wait_for_function(
        "before => !document.querySelector('#study-progress')?.textContent.startsWith(`${before} `)", arg=before
    )


def test_the_instructions_show_what_is_good_partial_and_bad_and_trials_the_colours(page, service):
    preview(page, service)
    page.check("#study-agree")
    page.click("#study-continue")
    page.wait_for_selector("#study[data-stage=instructions]")
    figures = page.locator("#study-examples figure")
    assert [text.split()[0] for text in figures.all_inner_texts()] == ["Good.", "Partial.", "Bad."]
    assert "highlight lies on the cup" in figures.nth(0).locator("img").get_attribute("alt")
    assert page.inner_text("#study-examples .lfi-study-legend").split() == ["weak", "strong"]
    page.click("#study-continue")
    page.wait_for_selector(READY)
    assert page.inner_text("#study-legend").split() == ["weak", "strong"]
    assert page.evaluate("document.querySelector('#study-legend img').naturalWidth") == 240
    assert page.is_hidden("#study-examples")


def test_a_number_leaves_what_practice_says_but_a_double_press_does_not(page, service):
    preview(page, service)
    to_practice(page)
    again = "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '5', bubbles: true }))"
    page.evaluate(f"""() => new MutationObserver(() => {again}).observe(
        document.querySelector("#study-feedback"), {{ attributeFilter: ["hidden"] }})""")
    page.keyboard.press("5")
    page.wait_for_selector("#study-feedback:not([hidden])")
    page.wait_for_timeout(300)
    assert page.is_visible("#study-feedback")
    page.keyboard.press("2")
    page.wait_for_selector(f"#study[data-stage=trial] {READY}")
    assert progress(page) == "0 of 7"


def test_of_two_tabs_one_stores_and_the_other_is_told(page, service):
    preview(page, service)
    to_trials(page)
    other = page.context.new_page()
    other.goto(f"{service.address}/study")
    other.wait_for_selector(READY)
    answer(other)
    page.keyboard.press("4")
    page.wait_for_selector("#study-banner:not([hidden])")
    page.wait_for_selector(READY)
    assert "another window" in page.inner_text("#study-banner")
    assert progress(page) == "1 of 7"


def test_axe_finds_nothing_on_any_stage_and_nothing_scrolls_sideways(page, service):
    def check(stage: str) -> None:
        for size in (DESK, PHONE):
            page.set_viewport_size(size)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), stage
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.wait_for_selector("html.dark" if scheme == "dark" else "html:not(.dark)", state="attached")
                assert violations(page) == "", (stage, size, scheme)

    preview(page, service)
    check("consent")
    page.check("#study-agree")
    page.click("#study-continue")
    page.wait_for_selector("#study[data-stage=instructions]")
    page.wait_for_function("() => [...document.images].every(each => each.complete && each.naturalWidth)")
    assert re.search(r"Your code in this study is r\w{10}\.", page.inner_text("#study-own-code"))
    check("instructions")
    page.click("#study-continue")
    page.wait_for_selector(READY)
    check("practice")
    page.keyboard.press("1")
    page.wait_for_selector("#study-feedback:not([hidden])")
    assert page.inner_text("#study-feedback p >> nth=0") == "Not quite."
    check("feedback")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#study[data-stage=trial] {READY}")
    check("rating")
    while page.get_attribute("#study-answers", "data-kind") != "pair":
        answer(page)
    page.wait_for_selector(READY)
    check("pair")
    while page.get_attribute("#study", "data-stage") == "trial":
        answer(page)
    check("thanks")


def test_the_map_can_be_faded_and_held_away_by_hand_and_by_key(page, service):
    preview(page, service)
    to_trials(page)
    opacity = "getComputedStyle(document.querySelector('.lfi-study-map')).opacity"
    visible = "getComputedStyle(document.querySelector('.lfi-study-map')).visibility"
    page.focus("#study-opacity")
    page.keyboard.press("Home")
    assert page.evaluate(opacity) == "0"
    page.keyboard.press("End")
    assert page.evaluate(opacity) == "1"
    page.locator("#study-question").focus()
    page.keyboard.down(" ")
    assert page.evaluate(visible) == "hidden"
    page.keyboard.up(" ")
    assert page.evaluate(visible) == "visible"
    page.hover("#study-bare")
    page.mouse.down()
    assert page.evaluate(visible) == "hidden"
    page.mouse.up()
    assert page.evaluate(visible) == "visible"
    page.uncheck("#study-keys")
    page.locator("#study-question").focus()
    page.keyboard.press("3")
    assert progress(page) == "0 of 7"


def test_the_page_speaks_german(page, service):
    preview(page, service)
    page.select_option("#study-language", "de")
    page.get_by_role("heading", name="Teilnahme").wait_for()
    page.get_by_role("button", name="Dunkel").click()
    page.get_by_role("button", name="Hell").click()
    assert page.get_attribute("html", "lang") == "de"
    to_trials(page)
    assert page.inner_text("#study-question").startswith("Wie gut passt")
    assert page.get_by_role("button", name="gar nicht").is_visible()


def test_somebody_without_an_invitation_is_told_so(page, service):
    page.goto(f"{service.address}/study")
    page.wait_for_selector("#study[data-stage=stranger]")
    assert "needs an invitation" in page.inner_text("h1:visible")
    assert page.is_hidden("#study-banner")
    assert violations(page) == ""
    for address in ("study", "s/wrong"):
        page.goto(f"{service.address}/{address}")
        page.click("text=Go to the start page")
        page.wait_for_url(f"{service.address}/ui/")
    page.goto(f"{service.address}/s/wrong")
    assert "needs an invitation" in page.inner_text("h1 >> nth=0")
    assert violations(page) == ""


def test_a_real_failure_is_called_one_and_nobody_a_stranger(page, service):
    page.route("**/study/api/session", lambda route: route.fulfill(status=422, json={"detail": "no"}))
    page.goto(f"{service.address}/study")
    page.wait_for_selector("#study-banner:has-text('Something went wrong')")
    assert page.get_attribute("#study", "data-stage") == "loading"
