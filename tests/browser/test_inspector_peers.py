"""Peers of a trio on the page: a CLIP and a timm model in columns of their own."""

from __future__ import annotations

import pytest
from inspector_page import InspectorPage
from serving import served
from tiny_peers import peered_trio


@pytest.fixture(scope="module")
def service(trio_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers")
    with served(peered_trio(folder / "models" / "peered", trio_folder), folder, LFI_AUTH="off") as url:
        yield url


@pytest.fixture
def looking(profile, service):
    page = InspectorPage(profile.new_page(), service)
    page.page.goto(f"{service}/ui/?image=sample:paper&words=red circle,star&columns=teacher,clip,vit")
    page.find(".lfi[data-stage=maps]:not([data-busy])").wait_for()
    yield page
    assert page.errors == []
    page.page.close()


def test_peers_stand_in_columns_with_their_own_look_and_cards(looking):
    columns = [each.get_attribute("data-answer") for each in looking.find(".lfi-panel:visible").all()]
    assert columns == ["teacher", "clip", "vit"]
    panels = looking.find(".lfi-panel[data-model=peer]:visible")
    facts = [panel.inner_text() for panel in panels.all()]
    assert "patch-text similarity" in facts[0]
    assert "attention rollout" in facts[1]
    cards = looking.find(".lfi-card[data-model=peer]")
    assert [card.get_attribute("aria-label") for card in cards.all()] == ["About: tiny-clip", "About: A ViT"]


def test_a_word_that_a_peer_does_not_know_stays_and_the_peer_is_named(looking):
    looking.find("select[aria-label='Column 3 shows']").select_option("vit:legrad")
    looking.find("text=/Vit does not know/i").first.wait_for()
    assert looking.find(".lfi-panel:visible").count() == 3
    looking.find("select[aria-label='Column 3 shows']").select_option("vit:self-attention")
    chosen = looking.find(".lfi-panel[data-answer='vit:self-attention'] dd >> text=self-attention")
    chosen.first.wait_for(state="attached")  # among the details, which are folded
