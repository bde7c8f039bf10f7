"""Values that nobody means: each is refused in one line, on the command line and over HTTP."""

from __future__ import annotations

import json

import pytest
from browsers import ORIGIN, OwnerBrowser, RaterBrowser
from commandline import lfi
from plans import write_plan
from sqlalchemy import select
from takers import Taker

from app.database.models import Answer
from app.failures import StudyError
from app.study.owner import exclude
from app.study.planfile import read_plan
from app.study.raters import invite
from lfi.errors import ConfigError

OWNER = "an owner's secret token"
DEEP = 3000


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("seed = 7", "seed = " + "[" * DEEP, "is nested too deeply"),
        ("seed = 7", "seed" + ".a" * DEEP + " = 1", "is nested too deeply"),
        ("seed = 7", "seed = -1", "seed is -1; 0 or more was expected"),
        ("lease_minutes = 10", "lease_minutes = 1e30", r"lease_minutes is 1e\+30; at most 525600"),
        ('de = "Wort 0"', "de = 3", "shown of 'red circle' has something else than a text under 'de'"),
        ('de = "Das ist er."', "de = [1]", "feedback of 'red circle' has something else than a text under 'de'"),
        ('de = "Was beurteilen Sie?"', "de = 4.0", "question of a check has something else than a text under 'de'"),
        ('["das Bild", ', "[1, ", "answers.de of a check has something else than a text under '1'"),
        ("seed = 7", "seed = 7\nmaps = { lfi = [] }", "maps has something else than a text under 'lfi'"),
        ('"p0.png"', '"p0\\u0000.png"', "cannot read the picture"),
    ],
)
def test_a_plan_of_the_wrong_shape_is_refused(tmp_path, was, becomes, said):
    path = write_plan(tmp_path, practice=True, check=True, extra="seed = 7\n")
    text = path.read_text().replace("Der Kreis ist hervorgehoben.", "Das ist er.")
    assert was in text
    path.write_text(text.replace(was, becomes))
    with pytest.raises(ConfigError, match=said):
        read_plan(path)


@pytest.mark.parametrize("odd", ["a\0b", "a\ud800b"])
def test_a_text_that_cannot_be_stored_is_refused_wherever_it_comes_from(studies, create, odd):
    name = create()
    code = invite(studies, name, 1, "test")[0].code
    said = "holds a character that cannot be stored, NUL or a lone surrogate"
    for name_of_study, rater, reason in ((name, code, odd), (name, odd, "a reason"), (odd, code, "a reason")):
        with pytest.raises(StudyError, match=said):
            exclude(studies, name_of_study, rater, reason, "test")


def test_odd_characters_are_refused_at_every_door(app, studies, study_settings, create, monkeypatch, capsys):
    name = create()
    monkeypatch.setenv("LFI_STUDY_FOLDER", str(study_settings.study_folder))
    monkeypatch.setenv("LFI_DATABASE_URL", study_settings.database_url)
    taker = Taker(studies, name).start()
    assert lfi("study", "exclude", name, taker.code, "--reason", "not \udcff") == 2
    assert "holds a character that cannot be stored" in capsys.readouterr().err
    assert lfi("study", "status", "\udcff") == 2
    owner = OwnerBrowser(app, OWNER)
    assert owner.act(f"{name}/exclude", code=taker.code, reason="not\0so").status_code == 422
    assert owner.client.get("/admin/a%00b", headers={"Accept": "application/json"}).status_code == 422
    rater = RaterBrowser(app, taker.token)
    assert rater.client.get("/study/pictures/a%00b/left").status_code in (404, 422)


@pytest.mark.parametrize(
    "change",
    [
        '"value": 4.0', '"value": "4.0"', '"value": 1e30', '"value": "1e30"', '"response_ms": 1e30', '"revision": 1e30',
        '"key": ' + "[" * 400 + "]" * 400, '"value": ' + "[" * DEEP + "]" * DEEP, '"response_ms": NaN',
    ],
)  # fmt: skip
def test_an_answer_of_the_wrong_shape_is_a_problem_and_stores_nothing(app, studies, rater, change):
    refused = rater.client.post("/study/api/answer", content=sent(rater, change), headers=headers(rater))
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    with studies.database.reading() as session:
        assert session.scalars(select(Answer)).all() == []


@pytest.mark.parametrize("written", [r"half \ud83d", r"half \udc00", "half \\u0000?"])
def test_a_comment_that_was_cut_within_a_character_costs_no_answer(app, studies, rater, written):
    stored = rater.client.post(
        "/study/api/answer", content=sent(rater, f'"comment": "{written}"'), headers=headers(rater)
    )
    assert stored.status_code == 200
    with studies.database.reading() as session:
        assert session.scalars(select(Answer.comment)).all() == ["half ?"]


@pytest.fixture
def rater(app, studies, create) -> RaterBrowser:
    return RaterBrowser(app, invite(studies, create(), 1, "test")[0].token).start()


def sent(rater: RaterBrowser, change: str) -> str:
    """An answer as JSON, with a change that no client of ours would make."""
    name = change.split('"')[1]
    kept = {key: value for key, value in rater.given().items() if key != name}
    return f"{json.dumps(kept)[:-1]}, {change}}}"


def headers(rater: RaterBrowser) -> dict[str, str]:
    return {"Origin": ORIGIN, "X-CSRF-Token": rater.csrf, "Content-Type": "application/json"}
