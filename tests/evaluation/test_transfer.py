"""The benchmark of transfer trains real students on tiny data, and goes on only with what it would train now."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transfer_runs import run

from evaluation.features import load_models
from evaluation.transfer import (
    SOURCE_VALIDATION,
    TransferSetup,
    prepared,
    record_of,
    setting_of,
    student_of,
    transfer,
)
from evaluation.transfer_scales import SCALES
from evaluation.transfer_scores import similarity
from lfi.errors import ConfigError, UnknownModelError
from lfi.methods import ABLATIONS, METHODS, SHUFFLED, UNSHUFFLED, WIDER, Method, weighted
from lfi.students import Student, StudentConfig
from lfi.teachers import load_teacher
from lfi.training.targets import Questions

DRAWN = "scenes without sketch"
SOME = ["attention transfer", "logit + feature KD", "shuffled maps", "one assignment per layer", "last block tapped"]


@pytest.mark.slow
def test_methods_and_ablations_are_trained_and_resumed(setup, monkeypatch):
    from evaluation import transfer as module

    for part in (setup.parts[0], "PACS without photo", "VLCS without SUN09"):
        ready, _ = prepared(setup, part)
        assert ready.answers is not None
        for method in SOME if part == setup.parts[0] else ("LFI",):
            found = module.run_one(setup, part, method, 0)
            assert 0 <= found.scores["top-1"] <= 100
            assert found.step > 0
            for score in ("PACS zero-shot", "VLCS zero-shot", "boxes", "canvases"):
                assert (score in found.scores) == (part == setup.parts[0] and _can_name(method))
    monkeypatch.setattr(module, "run_one", None)  # nothing is left to train
    path = record_of(setup, setup.parts[0], "logit + feature KD", 0)
    whole = json.loads(path.read_text())
    lately = {"boxes by explanation", "canvases by explanation", "PACS zero-shot, by the image's embedding"}
    assert lately < set(whole["scores"])
    before = {name: score for name, score in whole["scores"].items() if name not in lately}
    path.write_text(json.dumps({**whole, "scores": before}))
    again = transfer(setup, [0], SOME, [setup.parts[0]], workers=1)
    assert [each.method for each in again] == SOME
    assert json.loads(path.read_text()) == whole, "what a record lacked is measured of its student"
    assert all(each.teacher.startswith("photographs CoCa@") for each in again)


def _can_name(method: str) -> bool:
    objective = (METHODS | ABLATIONS)[method].objective
    return objective.feature_kd > 0 or objective.naming > 0


@pytest.mark.slow
def test_missing_runs_are_trained_in_processes_of_their_own(setup):
    found = transfer(replace(setup, tiny="", pacs="", vlcs=""), [3], ["LFI"], [DRAWN], workers=1)
    assert [(each.part, each.seed) for each in found] == [(DRAWN, 3)]
    record = record_of(setup, DRAWN, "LFI", 3)
    stored = json.loads(record.read_text())
    assert stored["scores"] == found[0].scores
    (student,) = load_models([str(record)])
    assert student.name == "LFI"
    assert student.all(np.zeros((2, 64, 64, 3), np.uint8)).shape == (2, 48), "CLS and the mean query"
    record.with_suffix(".safetensors").unlink()
    with pytest.raises(UnknownModelError, match="has no student next to it"):
        load_models([str(record)])
    assert len(found[0].curve) >= 1


def test_a_record_of_other_weights_is_refused_unless_its_folder_names_them(setup, tmp_path):
    here = replace(setup, runs=str(tmp_path), tiny="", pacs="", vlcs="")
    path = record_of(here, DRAWN, "LFI", 0)
    path.parent.mkdir(parents=True)
    now = json.loads(json.dumps(asdict(METHODS["LFI"])))
    label = load_teacher(here.scenes).label
    done = run(
        DRAWN, "LFI", 0, 20.0, trained=now, setting=json.loads(json.dumps(setting_of(here, DRAWN))), teacher=label
    )
    path.write_text(json.dumps(asdict(done)))
    assert transfer(here, [0], ["LFI"], [DRAWN], 1) == [done]
    other = {**now, "objective": {**now["objective"], "interaction": 0.1}}
    path.write_text(json.dumps(asdict(replace(done, trained=other))))
    with pytest.raises(ConfigError, match=r"made with objective\.interaction 0\.1, which is 0\.03 now; move"):
        transfer(here, [0], ["LFI"], [DRAWN], 1)
    for change, said in (
        (
            {"setting": {**done.setting, "epochs": 9}},
            r"made with scale\.epochs 9, which is 1 now",
        ),
        ({"setting": {**done.setting, "optimizer": "muon"}}, "made with scale.optimizer 'muon', which is 'adamw' now"),
        ({"setting": {}}, "does not say how it was made; move it away"),
        ({"teacher": "another@0123"}, "made with teacher 'another@0123', which is 'scenes CoCa@"),
    ):
        path.write_text(json.dumps(asdict(replace(done, **change))))
        with pytest.raises(ConfigError, match=said):
            transfer(here, [0], ["LFI"], [DRAWN], 1)
    fewer = {name: value for name, value in done.setting.items() if name not in ("optimizer", "clip")}
    fewer["epochs"] = [7, 7, 1]
    older = {**now, "objective": {name: value for name, value in now["objective"].items() if name != "own_words"}}
    path.write_text(json.dumps(asdict(replace(done, setting=fewer, trained=older))))  # from before these were kept
    assert transfer(here, [0], ["LFI"], [DRAWN], 1) == [replace(done, setting=fewer, trained=older)]
    old = {name: value for name, value in asdict(done).items() if name not in ("trained", "setting")}
    path.write_text(json.dumps(old))
    with pytest.raises(ConfigError, match="does not say how it was made; move it away"):
        transfer(here, [0], ["LFI"], [DRAWN], 1)

    record = tmp_path / "tuning.json"
    record.write_text(json.dumps({"chosen": {"LFI": now}}))
    tuned = replace(here, tuned=str(record))
    kept = record_of(tuned, DRAWN, "LFI", 0)
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps(old))
    assert transfer(tuned, [0], ["LFI"], [DRAWN], 1) == [replace(done, trained={}, setting={})]


@pytest.mark.parametrize("name", SCALES)
def test_the_wider_result_oriented_student_has_as_many_parameters_as_lfi(name):
    def parameters(method: Method) -> int:
        source, losses = student_of(method, SCALES[name]), method.objective
        named = losses.naming > 0
        config = StudentConfig(source.backbone, 200, source.queries, (), 192, True, named, overrides=source.overrides)
        with torch.device("meta"):
            return sum(each.numel() for each in Student(replace(config, patch_words=named)).parameters())

    methods = TransferSetup(name, "", "", "", "", "").methods
    assert methods[WIDER].objective == methods["DIST + feature KD"].objective
    assert parameters(methods[WIDER]) == pytest.approx(parameters(methods[UNSHUFFLED]), rel=0.03)


def test_the_wider_student_has_the_weights_that_were_found_for_the_narrower(tmp_path):
    chosen = {"DIST + feature KD": asdict(weighted(METHODS["DIST + feature KD"], {"dist": 7.0}))}
    (tmp_path / "tuning.json").write_text(json.dumps({"chosen": chosen}))
    methods = TransferSetup("small", "", "", "", "", "", tuned=str(tmp_path / "tuning.json")).methods
    assert (methods[WIDER].objective.dist, methods[WIDER].wide) == (7.0, True)


def test_an_unknown_method_or_part_is_refused_by_name(setup):
    with pytest.raises(ConfigError, match="unknown method 'LFX'; one of no distillation"):
        transfer(setup, [0], ["LFX"], [DRAWN], 1)
    with pytest.raises(ConfigError, match="unknown part 'CIFAR'"):
        transfer(setup, [0], ["LFI"], ["CIFAR"], 1)


@pytest.mark.slow
def test_the_whole_of_a_held_out_domain_is_tested_and_none_of_it_trained_on(setup):
    ready, tests = prepared(setup, "PACS without sketch")
    assert set(ready.images.domains) == {"art_painting", "cartoon", "photo"}
    assert set(tests["test"].domains) == {"sketch"}
    drawn, held = prepared(setup, DRAWN)
    assert set(drawn.images.domains) == {"photo", "painting", "cartoon"}
    assert set(held["test"].domains) == {"sketch"}


def test_ablations_tap_every_second_block_or_the_last_of_any_backbone():
    setup = TransferSetup("small", "", "", "", "", "")
    assert student_of(ABLATIONS["last block tapped"], setup.at).taps == (3,)
    assert student_of(ABLATIONS["every second block tapped"], setup.at).taps == (1, 3)
    assert student_of(ABLATIONS["every second block tapped"], replace(setup, scale="full").at).taps == (
        1,
        3,
        5,
        7,
        9,
        11,
    )
    assert METHODS["LFI"].tapped(3) == ()
    assert ABLATIONS["every second block tapped"].tapped(3) == (0, 2)


def test_a_class_is_as_near_as_the_nearest_querys_name():
    texts = torch.eye(3)
    names = torch.tensor([[[2.0, 0, 0], [0, 0.1, 0.1]]])
    assert torch.allclose(similarity(names, None, texts), torch.tensor([[1.0, 0.5**0.5, 0.5**0.5]]))
    assert torch.allclose(similarity(None, torch.tensor([[0.0, 3, 4]]), texts), torch.tensor([[0.0, 0.6, 0.8]]))


def test_a_scales_weights_are_those_of_its_methods_losses_alone():
    setup = TransferSetup("photographs", "", "", "", "", "")
    found, plain = setup.methods[UNSHUFFLED].objective, setup.methods["no distillation"].objective
    assert (found.dist, found.interaction, found.patch_words, found.logit_kd) == (3.0, 0.2, 0.5, 0.0)
    assert plain == METHODS["no distillation"].objective
    assert setup.methods[SHUFFLED].objective == replace(found, shuffle=True)
    head = setup.methods["DIST + feature KD, head that reads names"]
    assert (head.objective.fields, head.queries, head.by_name) == (("logits", "latents"), 8, True)
    assert replace(setup, scale="small").methods.items() >= (METHODS | ABLATIONS).items()
    vit = student_of(setup.methods["LFI"], SCALES["medium"]).overrides
    assert (vit["img_size"], vit["patch_size"], vit["embed_dim"], vit["depth"]) == (112, 16, 384, 12)


def test_runs_of_other_epochs_lie_elsewhere_and_say_so(setup):
    longer = replace(setup, scale="photographs", epochs=12)
    assert longer.at.epochs == (12, 12, 12)
    assert setting_of(longer, DRAWN)["epochs"] == 12
    assert longer.folder == Path(setup.runs) / "photographs-12-epochs"
    assert "; 12/12/12 epochs of TinyImageNet" in str(longer.at)
    assert longer.parts == replace(longer, epochs=0).parts


def test_images_without_labels_are_learnt_from_and_asked_about_once_for_all_shares(setup, monkeypatch):
    scale = replace(SCALES["tiny"], fractions=(0.05, 0.5), unlabelled=True, used=0.5)
    assert (scale.shares(0.05), scale.shares(0.5)) == ((0.5, 0.1), (0.5, 1.0))
    assert SCALES["small"].shares(0.1) == (0.1, 1.0)
    monkeypatch.setitem(SCALES, "tiny", scale)
    prepared.cache_clear()
    few, every = (prepared(setup, f"TinyImageNet {share} of labels")[0] for share in ("5%", "50%"))
    with monkeypatch.context() as alone:  # what was held out of the images is not asked about again
        alone.setattr(Questions, "ask", None)
        part = prepared(setup, f"TinyImageNet 5% of labels{SOURCE_VALIDATION}")[0]
    prepared.cache_clear()
    assert few.images.ids == every.images.ids
    assert (few.images.labels >= 0).sum() < (every.images.labels >= 0).sum() == len(every.images)
    assert few.config.teacher == every.config.teacher
    assert few.config.teacher.maps == "seen"
    assert set(part.images.ids) < set(few.images.ids)
    assert len(part.answers) == len(part.images)
