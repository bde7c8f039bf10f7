"""A study may show another explanation of a student than the trio's card chose."""

from pathlib import Path

import pytest
from plans import write_plan
from tiny_peers import peered_trio

from app.engine import Engine, Turn
from app.study.plan import StudyPlan
from app.study.planfile import read_plan
from app.study.stimuli import Rendered, render_all, scaled
from lfi.errors import ConfigError, UnknownModelError
from lfi.trio import Trio


def planned(folder: Path, maps: str) -> StudyPlan:
    return read_plan(write_plan(folder, extra=f"maps = {maps}"))


def drawn(plan: StudyPlan, folder: Path, engine: Engine) -> dict[tuple[str, str], Rendered]:
    pictures = {path: scaled(engine, (folder / path).read_bytes(), plan.side, Turn()) for path in plan.pictures}
    return {(each.item, each.condition): each for each in render_all(plan, pictures, engine, Turn())}


def test_only_the_condition_that_the_plan_names_looks_different(tmp_path, engine):
    usual = read_plan(write_plan(tmp_path))
    other = planned(tmp_path, '{ baseline = "baseline:grad-cam" }')
    one, two = drawn(usual, tmp_path, engine), drawn(other, tmp_path, engine)
    assert set(one) == set(two)
    assert usual.hash != other.hash
    assert any(one[key].data != two[key].data for key in one if key[1] == "baseline")


def test_a_plan_without_maps_keeps_the_hash_it_had(tmp_path):
    assert planned(tmp_path, "{}").hash == read_plan(write_plan(tmp_path)).hash


def test_a_condition_may_show_a_peer_of_the_trio(tmp_path, trio_folder, engine):
    engine.trios.loaded["tiny"] = Trio.load(peered_trio(tmp_path / "models" / "peered", trio_folder))
    usual, other = read_plan(write_plan(tmp_path)), planned(tmp_path, '{ baseline = "clip:legrad" }')
    one, two = drawn(usual, tmp_path, engine), drawn(other, tmp_path, engine)
    assert set(one) == set(two)
    assert all(one[key].data != two[key].data for key in one if key[1] == "baseline")


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ('{ shuffled = "shuffled:rollout" }', "maps names 'shuffled'; a model among the conditions was expected"),
        (
            '{ baseline = "baseline" }',
            "maps.baseline is 'baseline'; an explanation such as 'baseline:rollout', or a peer",
        ),
        ('{ baseline = "lfi:rollout" }', "maps.baseline is 'lfi:rollout'; an explanation such as 'baseline:rollout'"),
    ],
)
def test_a_map_that_is_no_explanation_of_its_condition_is_refused(tmp_path, maps, message):
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, maps)


def test_an_explanation_that_the_trio_does_not_have_stops_the_rendering(tmp_path, engine):
    plan = planned(tmp_path, '{ baseline = "baseline:magic" }')
    with pytest.raises(UnknownModelError, match="baseline:magic"):
        drawn(plan, tmp_path, engine)
