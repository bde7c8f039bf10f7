"""Items from the inspector's page go into a draft, and into nothing else."""

from __future__ import annotations

import io
import zipfile

import pytest
from browsers import ORIGIN, OwnerBrowser
from PIL import Image
from plans import write_plan
from sqlalchemy import select
from takers import Taker

from app.database.models import Audit, Stimulus
from app.engine import Turn
from app.failures import ArchiveError, ConflictError, NothingHereError, StudyError
from app.study.creation import create_study
from app.study.items import Added, add_items, editable_drafts, read_items
from app.study.owner import set_status
from app.study.progress import progress_of
from app.study.raters import invite
from app.ui.studyitems import study_items
from lfi.comparison import Comparison
from lfi.errors import ConfigError

OWNER = "an owner's secret token"
TOKEN = "ab" * 32


@pytest.fixture
def found() -> bytes:
    """What the inspector's page gives for a picture and two words."""
    return study_items(["red star", "blue ring"], Image.linear_gradient("L").convert("RGB"), TOKEN)


def shown(studies, name: str) -> dict[tuple[str, str, str], bytes]:
    """Everything that raters may see, by what it is."""
    with studies.database.reading() as session:
        rows = list(session.scalars(select(Stimulus)))
        return {(row.image, row.item, row.condition): (studies.stimuli(name) / row.file).read_bytes() for row in rows}


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("_", "."), data)
    return buffer.getvalue()


def test_a_draft_with_added_items_is_the_study_of_a_plan_with_the_blocks_pasted(
    studies, create, found, engine, tmp_path
):
    name = create(open=False, images=3, practice=True, catch=True)
    assert add_items(studies, name, found, engine, "test", Turn()) == Added(2, 0)
    added, hash = shown(studies, name), progress_of(studies, name).hash

    path = write_plan(tmp_path / "plan", images=3, practice=True, catch=True)
    with zipfile.ZipFile(io.BytesIO(found)) as archive:
        archive.extractall(path.parent)
    path.write_text(path.read_text() + (path.parent / "items.toml").read_text())
    assert create_study(studies, path, engine).hash == hash
    assert shown(studies, name) == added
    assert len(added) == 4 + 5 * 4 + 2
    assert len(list(studies.stimuli(name).iterdir())) == len(added)


def test_raters_meet_the_added_items(studies, create, found, engine):
    name = create(open=False, images=2, overlap=1, trials=16)
    add_items(studies, name, found, engine, "test", Turn())
    set_status(studies, name, "open", "test")
    taker = Taker(studies, name).start().finish()
    assert taker.state["stage"] == "thanks"
    cells = progress_of(studies, name).cells
    assert {cell.word for cell in cells if cell.done} >= {"red star", "blue ring"}


def test_items_that_are_there_already_are_left_out(studies, create, found, engine):
    name = create(open=False, images=2)
    add_items(studies, name, found, engine, "test", Turn())
    more = study_items(["blue ring", "pink cross"], Image.linear_gradient("L").convert("RGB"), TOKEN)
    assert add_items(studies, name, more, engine, "test", Turn()) == Added(1, 1)
    before = shown(studies, name)
    assert add_items(studies, name, found, engine, "test", Turn()) == Added(0, 2)
    assert shown(studies, name) == before
    with studies.database.reading() as session:
        assert session.scalars(select(Audit.action)).all() == ["created", "items added", "items added"]


def test_another_picture_of_the_same_name_is_refused(studies, create, found, engine):
    name = create(open=False, images=2)
    add_items(studies, name, found, engine, "test", Turn())
    other = study_items(["red heart"], Image.radial_gradient("L").convert("RGB"), TOKEN)
    with pytest.raises(ConfigError, match=r"another picture called picture-abababababab\.webp"):
        add_items(studies, name, other, engine, "test", Turn())


def test_only_a_draft_without_invitations_takes_items(studies, create, found, engine):
    name = create(open=False, images=2)
    assert editable_drafts(studies) == [name]
    invite(studies, name, 1, "test", preview=True)
    assert editable_drafts(studies) == [name]
    invite(studies, name, 1, "test")
    assert editable_drafts(studies) == []
    with pytest.raises(StudyError, match="already has invitations"):
        add_items(studies, name, found, engine, "test", Turn())
    set_status(studies, name, "open", "test")
    assert editable_drafts(studies) == []
    with pytest.raises(StudyError, match="is already open"):
        add_items(studies, name, found, engine, "test", Turn())
    with pytest.raises(NothingHereError, match="no study 'other'"):
        add_items(studies, "other", found, engine, "test", Turn())


def test_pictures_are_kept_while_the_study_is_a_draft_and_no_longer(studies, create, found, engine):
    name = create(open=False, images=2)
    add_items(studies, name, found, engine, "test", Turn())
    kept = list(studies.pictures(name).iterdir())
    assert len(kept) == 3
    assert max(Image.open(kept[0]).size) == 96  # as raters see it, not as it was sent
    set_status(studies, name, "open", "test")
    assert not studies.pictures(name).exists()


def test_a_draft_whose_pictures_are_not_kept_says_what_to_do(studies, create, found, engine):
    name = create(open=False, images=2)
    for file in studies.pictures(name).iterdir():
        file.unlink()
    before = shown(studies, name)
    with pytest.raises(StudyError, match="`lfi study create` makes it again"):
        add_items(studies, name, found, engine, "test", Turn())
    assert shown(studies, name) == before


def test_of_two_that_add_at_once_neither_undoes_the_other(studies, create, found, engine, monkeypatch):
    name = create(open=False, images=2)

    ask = engine.ask

    def overtaken(*asked: object) -> Comparison:
        other = study_items(["pink heart"], Image.radial_gradient("L").convert("RGB"), "cd" * 32)
        monkeypatch.setattr(engine, "ask", ask)
        add_items(studies, name, other, engine, "another window", Turn())
        return ask(*asked)

    monkeypatch.setattr(engine, "ask", overtaken)
    with pytest.raises(ConflictError, match="add the items again"):
        add_items(studies, name, found, engine, "test", Turn())
    assert {cell.word for cell in progress_of(studies, name).cells} == {"red circle", "blue star", "pink heart"}
    assert len(list(studies.stimuli(name).iterdir())) == len(shown(studies, name))


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"no zip", ArchiveError, "cannot be read as a zip"),
        (zipped(other_txt=b""), ConfigError, "has no items.toml"),
        (zipped(items_toml=b"[["), ConfigError, "items.toml is not TOML"),
        (zipped(items_toml=b"items = " + b"[" * 3000), ConfigError, "items.toml is nested too deeply"),
        (
            zipped(items_toml=b"[[items]]\nimage" + b".a" * 3000 + b" = 1"),
            ConfigError,
            "items.toml is nested too deeply",
        ),
        (
            zipped(items_toml=b'[[items]]\nimage = "p.png"\nword = "star"\nshown' + b".a" * 3000 + b" = 1"),
            ConfigError,
            "shown of 'star' has something else than a text under 'a'",
        ),
        (
            zipped(items_toml=b'[[items]]\nimage = "p.png"\nword = "star"\n' * 501),
            ConfigError,
            "at most 500 can be added at once",
        ),
        (zipped(items_toml=b'[[items]]\nimage = "p.png"\nword = " "'), ConfigError, "one to 200 characters"),
        (zipped(items_toml=b"seed = 1\nitems = []"), ConfigError, "unknown key seed"),
        (zipped(items_toml=b'[[items]]\nimage = "../p0.png"\nword = "star"'), ConfigError, "not in the zip"),
        (zipped(items_toml=b'[[items]]\nimage = "p.png"\nwords = "star"', p_png=b""), ConfigError, "unknown key"),
    ],
)
def test_a_zip_that_is_none_of_the_page_is_refused(data, kind, said):
    with pytest.raises(kind, match=said):
        read_items(data)


def test_the_owner_adds_items_on_the_page_of_the_draft(app, studies, create, found, tiny_trio):
    name = create(open=False, images=2)
    app.state.engine.trios.loaded["tiny"] = tiny_trio
    owner = OwnerBrowser(app, OWNER)
    drafts = owner.client.get("/admin/drafts.json").json()
    assert drafts["drafts"] == [name]
    form = {"data": {"csrf": drafts["csrf"]}, "files": {"file": ("items.zip", found)}, "headers": {"Origin": ORIGIN}}
    answer = owner.client.post(f"/admin/{name}/items", **form)
    assert answer.json() == {"added": 2, "known": 0}
    form["headers"] = {"Origin": ORIGIN, "Accept": "text/html"}
    again = owner.client.post(f"/admin/{name}/items", **form)
    assert again.status_code == 200
    assert "Items added: 0. 2 were there already." in again.text
    form["files"] = {"file": ("items.zip", b"no zip")}
    refused = owner.client.post(f"/admin/{name}/items", **form)
    assert refused.status_code == 422
    assert "the file cannot be read as a zip" in refused.text
    set_status(studies, name, "open", "test")
    assert "Items from the inspector" not in owner.client.get(f"/admin/{name}").text


def test_nobody_else_adds_items_or_learns_of_drafts(app, studies, create, found):
    name = create(open=False, images=2)
    stranger = OwnerBrowser(app, "not the token")
    assert stranger.client.get("/admin/drafts.json").json() == {"drafts": [], "csrf": ""}
    owner = OwnerBrowser(app, OWNER)
    csrf = owner.client.get("/admin/drafts.json").json()["csrf"]
    file = {"file": ("items.zip", found)}

    def status(browser: OwnerBrowser, csrf: str, **headers: str) -> int:
        return browser.client.post(f"/admin/{name}/items", data={"csrf": csrf}, files=file, headers=headers).status_code

    assert status(stranger, csrf, Origin=ORIGIN) == 403
    assert status(owner, csrf, Origin="http://elsewhere.example") == 403
    assert status(owner, csrf) == 403
    assert status(owner, "guessed", Origin=ORIGIN) == 403
    assert progress_of(studies, name).hash == studies_hash(studies, name)


def studies_hash(studies, name: str) -> str:
    with studies.database.reading() as session:
        return session.scalars(select(Audit.detail).where(Audit.action == "created")).one()
