"""More people than one at `/admin`: owners run studies, analysts see them, and the audit trail names them."""

from __future__ import annotations

import pytest
from browsers import OwnerBrowser
from takers import Taker

from app.database.models import Audit
from app.keys import ROLES, new_key
from app.settings import read_settings
from app.study.service import find_study
from app.web.sessions import Sessions
from lfi.errors import ConfigError

ADA_TOKEN, ADA = new_key("ada", ["owner"], ROLES)
BOB_TOKEN, BOB = new_key("bob", ["analyst"], ROLES)


@pytest.fixture
def people(app):
    """The application with two accounts and no token that everybody shares."""
    before, sessions = app.state.settings, app.state.owner_sessions
    changes = {"owners": f"{ADA.line()}, {BOB.line()}", "admin_token": type(before.admin_token)("")}
    app.state.settings, app.state.owner_sessions = before.model_copy(update=changes), Sessions(12)
    yield app
    app.state.settings, app.state.owner_sessions = before, sessions


def trail(studies, name: str) -> list[tuple[str, str]]:
    with studies.database.reading() as session:
        study = find_study(session, name)
        lines = session.query(Audit).where(Audit.study_id == study.id).order_by(Audit.id)
        return [(line.actor, line.action) for line in lines]


def test_the_audit_trail_names_who_did_what(people, studies, create):
    name = create()
    ada = OwnerBrowser(people, ADA_TOKEN)
    assert ada.act(f"{name}/status", status="paused").status_code == 200
    assert trail(studies, name)[-1] == ("ada", "paused")
    assert "ada: paused" in " ".join(ada.client.get(f"/admin/{name}").text.split())


def test_an_analyst_sees_and_exports_and_changes_nothing(people, studies, create):
    name = create()
    Taker(studies, name).start().finish()
    ada, bob = OwnerBrowser(people, ADA_TOKEN), OwnerBrowser(people, BOB_TOKEN)
    before = trail(studies, name)
    page = bob.client.get(f"/admin/{name}").text
    assert "bob (analyst)" in page
    assert [word for word in ("Pause", "Invite", "Preview", "Exclude…", "Delete", "participants") if word in page] == []
    acts = {
        "status": {"status": "closed"},
        "invite": {"count": "1"},
        "preview": {},
        "exclude": {"code": "x", "reason": "y"},
        "delete": {"code": "x", "sure": "yes"},
    }
    refused = {act: bob.act(f"{name}/{act}", **fields) for act, fields in acts.items()}
    assert {act: answer.status_code for act, answer in refused.items()} == dict.fromkeys(acts, 403)
    assert "an analyst, who sees and exports studies" in refused["status"].text
    assert bob.client.get("/admin/drafts.json").json() == {"drafts": [], "csrf": ""}
    assert bob.client.get(f"/admin/{name}/export/participants.json").status_code == 403
    assert ada.client.get(f"/admin/{name}/export/participants.json").status_code == 200
    assert trail(studies, name) == before
    assert "rater" in bob.client.get(f"/admin/{name}/export/ratings.csv").text


def test_an_analyst_signs_out(people, studies, create):
    create()
    bob = OwnerBrowser(people, BOB_TOKEN)
    csrf = bob.client.get("/admin").text.split('name="csrf" value="')[1].split('"')[0]
    answer = bob.client.post("/admin/logout", data={"csrf": csrf}, headers={"Origin": "http://testserver"})
    assert answer.status_code == 200
    assert bob.client.get("/admin/pilot").status_code == 403


def test_nobody_enters_with_another_s_hash_or_an_old_token(people):
    for token in (ADA.digest, "an owner's secret token", "", BOB_TOKEN[:-1]):
        assert OwnerBrowser(people, token).entered.status_code == 403


@pytest.mark.parametrize(
    ("owners", "said"),
    [
        ("ada:owner:1", "`lfi keys owner` writes one"),
        (f"ada:boss:{ADA.digest}", "there are: owner, analyst"),
        (f"cli:owner:{ADA.digest}", "is a name that audit trails use"),
        (f"rule:owner:{ADA.digest}", "is a name that audit trails use"),
        (f"{ADA.line()},{ADA.line()}", "two keys are named 'ada'"),
    ],
    ids=["no digest", "an unknown role", "a command's", "a rule's", "a name twice"],  # keys differ in every process
)
def test_accounts_that_are_none_are_refused(owners, said):
    with pytest.raises(ConfigError, match=said) as refused:
        read_settings(owners=owners)
    assert ADA.digest not in str(refused.value)
