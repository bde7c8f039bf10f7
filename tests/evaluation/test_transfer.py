"""The benchmark of transfer trains real students on tiny data, and goes on only with what it would train now."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transfer_runs import run

from evaluation import tuning
from evaluation.features import load_models
from evaluation.report import markdown
from evaluation.results import Results
from evaluation.transfer import (
    SOURCE_VALIDATION,
    TransferSetup,
    prepared,
    record_of,
    run_one,
    setting_of,
    student_of,
    transfer,
)
from evaluation.transfer_scales import SCALES
from evaluation.transfer_scores import similarity
from evaluation.transfer_table import summarise
from evaluation.tuning import (
    CONTENDERS,
    SearchResult,
    begun_with,
    finished,
    start_of,
    study_of,
    tune,
    tune_one,
    with_controls,
    write,
)
from lfi.errors import ConfigError, UnknownModelError
from lfi.images import MEAN, STD
from lfi.methods import ABLATIONS, CONTROLS_OF_THE_BEST, METHODS, SHUFFLED, UNSHUFFLED, weighted
from lfi.teachers import load_teacher, save_teacher
from lfi.training.targets import Questions
from lfi.training.teacher import build_coca
from lfi.training.teacher_config import TeacherConfig

DRAWN = "scenes without sketch"
SOME = ["attention transfer", "logit + feature KD", "shuffled maps", "one assignment per layer", "last block tapped"]


@pytest.fixture(scope="module")
def setup(tmp_path_factory) -> TransferSetup:
    """Four classes of TinyImageNet and two of PACS, a few noisy pictures each, in their stock layouts."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)

    def picture(path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(path)

    tiny, wnids = root / "tiny", {"n1": "goldfish", "n2": "bullfrog", "n3": "tailed frog", "n4": "pizza"}
    for wnid in wnids:
        for index in range(40):
            picture(tiny / "train" / wnid / "images" / f"{wnid}_{index}.JPEG")
        boxes = "".join(f"{wnid}_{index}.JPEG\t0\t0\t63\t63\n" for index in range(40))
        (tiny / "train" / wnid / f"{wnid}_boxes.txt").write_text(boxes)
    rows = [(f"val_{index}.JPEG", wnid) for index, wnid in enumerate([*wnids] * 3)]
    for name, _ in rows:
        picture(tiny / "val" / "images" / name)
    (tiny / "val" / "val_annotations.txt").write_text("".join(f"{name}\t{wnid}\t0\t0\t31\t31\n" for name, wnid in rows))
    (tiny / "wnids.txt").write_text("\n".join(wnids))
    (tiny / "words.txt").write_text("\n".join(f"{wnid}\t{name}" for wnid, name in wnids.items()))
    for domain in ("art_painting", "cartoon", "photo", "sketch"):
        for kind in ("dog", "horse"):
            for index in range(8):
                picture(root / "PACS" / domain / kind / f"{index}.jpg")
    for domain in ("Caltech101", "LabelMe", "SUN09", "VOC2007"):
        for kind in ("bird", "car"):
            for index in range(4):
                picture(root / "VLCS" / domain / "full" / kind / f"{index}.jpg")
    known = ("goldfish", "bullfrog", "tailed", "frog", "pizza", "dog", "horse", "bird", "car")
    teacher = untrained_teacher(root / "teacher", known)
    return TransferSetup(
        *("tiny", str(tiny), str(root / "PACS"), str(teacher), "static/models/scenes/teacher", str(root / "runs")),
        vlcs=str(root / "VLCS"),
    )


def untrained_teacher(folder: Path, words: tuple[str, ...]) -> Path:
    """A small CoCa that knows these words and has learned nothing of them."""
    config = TeacherConfig(width=32, layers=2, text_layers=1, decoder_layers=1, head_width=16)
    torch.manual_seed(0)
    model, card = build_coca(config, words), {"name": "photographs CoCa", "vocabulary": list(words)}
    save_teacher(folder, model, config.coca(words), mean=[MEAN] * 3, std=[STD] * 3, card=card)
    return folder


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


def test_a_search_that_began_with_other_weights_is_refused(setup, tmp_path):
    here = replace(setup, runs=str(tmp_path))
    study = study_of(here, DRAWN, "LFI + DIST + feature KD")
    trial = study.ask()
    study.tell(trial, 1.0)
    with pytest.raises(ConfigError, match="started from other weights") as refused:
        study_of(here, DRAWN, "LFI + DIST + feature KD")
    assert str(tmp_path) in str(refused.value)


def test_a_search_at_another_scale_or_with_another_optimizer_is_refused(setup, tmp_path, monkeypatch):
    here = replace(setup, runs=str(tmp_path))
    study_of(here, DRAWN, "LFI + DIST + feature KD")
    study_of(here, DRAWN, "LFI + DIST + feature KD")  # it is gone on with
    monkeypatch.setitem(SCALES, "tiny", replace(SCALES["tiny"], optimizer="muon"))
    with pytest.raises(ConfigError, match=r"journal was made with scale\.optimizer 'adamw', which is 'muon' now"):
        study_of(here, DRAWN, "LFI + DIST + feature KD")


@pytest.mark.parametrize("killed", [0, 1, 2])
def test_a_search_that_was_killed_makes_that_trial_again_and_all_others_once(setup, tmp_path, monkeypatch, killed):
    class Killed(BaseException):
        """Unlike an exception, it leaves a trial that is under way."""

    here, trained = replace(setup, runs=str(tmp_path)), []
    rival = SearchResult("DIST + feature KD", weighted(METHODS["DIST + feature KD"], {"dist": 3.0}), 0.0, 0.0, 4, 0)

    def train(setup, part, method, seed, title, watch):
        trained.append(method)
        if len(trained) == killed + 1:
            raise Killed
        return method, []

    monkeypatch.setattr(tuning, "train_one", train)
    monkeypatch.setattr(tuning, "validate", lambda method, _: dict.fromkeys(("mAP", "top-1"), method.objective.dist))
    with pytest.raises(Killed):
        tune_one(here, DRAWN, UNSHUFFLED, 4, rival)
    found = tune_one(here, DRAWN, UNSHUFFLED, 4, rival)
    begun = begun_with(here, UNSHUFFLED)
    assert (found.trials, found.start, found.inherited) == (4, begun.objective.dist, 3.0)
    whole = [method for number, method in enumerate(trained) if number != killed]
    assert len(whole) == 4
    assert begun in whole
    assert [method.objective.dist for method in whole].count(3.0) == 1


@pytest.mark.slow
def test_lfi_inherits_what_was_found_for_its_rival_which_gets_as_many_trials_again(setup, tmp_path, monkeypatch):
    ours, theirs = UNSHUFFLED, "DIST + feature KD"
    here, trained = replace(setup, runs=str(tmp_path)), []

    def train(setup, part, method, seed, title, watch):
        trained.append((title.split(",")[0], method))
        return method, []

    monkeypatch.setattr(tuning, "train_one", train)
    monkeypatch.setattr(
        tuning, "validate", lambda method, _: dict.fromkeys(("mAP", "top-1"), 50 - method.objective.feature_kd)
    )
    monkeypatch.setattr(tuning, "in_processes", lambda work, jobs, *_: [work(*job) for job in jobs])
    found = {each.name: each for each in tune(here, DRAWN, 4, 1, [ours, theirs])}
    assert [name for name, _ in trained] == [theirs] * 4 + [ours] * 4 + [theirs] * 4
    first = min((method for _, method in trained[:4]), key=lambda method: method.objective.feature_kd)
    start, second = trained[4][1], trained[5][1]
    assert start == begun_with(here, ours)
    assert second == replace(
        start, objective=replace(start.objective, dist=first.objective.dist, feature_kd=first.objective.feature_kd)
    )
    assert found[ours].inherited == 50 - first.objective.feature_kd
    assert {name: (each.trials, each.inherited is None) for name, each in found.items()} == {
        ours: (4, False), theirs: (8, True),
    }  # fmt: skip
    assert {each.name: each for each in tune(here, DRAWN, 4, 1, [ours, theirs])} == found, "as it was"
    assert len(trained) == 12, "nothing is left to train"
    assert [each.trials for each in tune(here, DRAWN, 4, 1, [theirs])] == [4], "alone it needs no more"
    results = Results("c", [0], {"trials": 12})
    write(list(found.values()), 2, results, None)
    assert results.figures[f"validation with its rival's weights: {ours}"].value == found[ours].inherited


def test_a_trial_below_the_median_is_cut_short_and_counts(setup, tmp_path, monkeypatch):
    """Three whole trials with rising scores; of the next two one is better than their median, one is not."""
    here, begun = replace(setup, runs=str(tmp_path)), []

    def trained(setup, part, method, seed, title, watch):
        begun.append(title)
        slope = (10, 20, 15, 18, 14)[len(begun) - 1]
        for evaluation in range(1, 5):
            watch(evaluation, {"mAP": slope * evaluation, "top-1": slope * evaluation})
            reached.append((len(begun), evaluation))
        return None, []

    reached: list[tuple[int, int]] = []
    monkeypatch.setattr(tuning, "train_one", trained)
    monkeypatch.setattr(tuning, "validate", lambda *_: dict.fromkeys(("mAP", "top-1"), 10.0 + len(begun)))
    found = tune_one(here, DRAWN, "DIST + feature KD", 5)
    assert (len(begun), found.cut, found.start, found.best) == (5, 1, 11, 14)
    assert [sum(trial == number for trial, _ in reached) for number in range(1, 6)] == [4, 4, 4, 4, 1]
    assert len(finished(study_of(here, DRAWN, "DIST + feature KD"))) == 5
    assert tune_one(here, DRAWN, "DIST + feature KD", 5) == found
    assert len(begun) == 5, "nothing is left to train"
    assert list(with_controls([found])) == ["no distillation", "DIST + feature KD"], "no LFI, no controls of it"
    with pytest.raises(ConfigError, match="unknown method 'LFX'; one of logit"):
        tune(here, DRAWN, 5, 1, ["LFX"])


def test_a_search_begins_with_the_weights_of_its_scale(setup):
    name = "LFI + patch words + DIST + feature KD"
    assert (
        start_of(begun_with(replace(setup, scale="photographs"), name)).items() >= SCALES["photographs"].weights.items()
    )
    assert start_of(begun_with(setup, name))["feature_kd"] == 1


@pytest.mark.slow
def test_every_contender_is_tuned_on_source_validation_with_as_many_trials_and_goes_on(setup, tmp_path, monkeypatch):
    part, path = setup.parts[0], tmp_path / "tuning.json"
    held, tests = prepared(setup, part + SOURCE_VALIDATION)
    assert not set(held.images.ids) & set(tests["test"].ids)
    assert all(name.startswith("train") for name in tests["test"].ids), "of the training images, none of the test's"
    found = [tune_one(setup, part, name, 2) for name in CONTENDERS]
    monkeypatch.setattr(tuning, "train_one", None)  # nothing is left to train
    assert [tune_one(setup, part, name, 2) for name in CONTENDERS] == found
    for each in found:
        study = study_of(setup, part, each.name)
        assert len(finished(study)) == 2
        assert study.trials[0].params == start_of(begun_with(setup, each.name))
        assert list(study.trials[0].intermediate_values) == [1], "its only step is evaluated and reported"
        assert each.best >= each.start >= 0
    results = Results("c", [0], {"trials": 8})
    write(found, 2, results, path)
    assert "| LFI + DIST + feature KD |" in markdown(results.record())

    kept = replace(setup, tuned=str(path))
    best = max((each for each in found if each.method.queries), key=lambda each: each.best)
    assert kept.methods[best.name] == best.method
    alone, named, shuffled, own_words = (kept.methods[name] for name in CONTROLS_OF_THE_BEST)
    assert shuffled == replace(best.method, objective=replace(best.method.objective, shuffle=True))
    assert own_words == replace(best.method, objective=replace(shuffled.objective, own_words=True))
    assert named == replace(alone, objective=replace(alone.objective, naming=best.method.objective.naming))
    assert (alone.queries, alone.objective.naming, alone.objective.feature_kd) == (
        best.method.queries, 0, best.method.objective.feature_kd,
    )  # fmt: skip
    assert record_of(kept, part, best.name, 0).parent != record_of(setup, part, best.name, 0).parent
    results.figures.clear()
    summarise([run_one(kept, part, name, 0) for name in kept.methods], results)
    assert any(name.endswith("less the best LFI, shuffled maps") for name in results.figures)


def test_a_file_that_is_no_record_of_tuning_is_refused(setup, tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*no\.json: no such file or directory"):
        _ = replace(setup, tuned=str(tmp_path / "no.json")).methods
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(ConfigError, match="is not a record of `lfi benchmark tune`"):
        _ = replace(setup, tuned=str(tmp_path / "no.json")).methods
    (tmp_path / "no.json").write_text('{"chosen": {"LFI": {"objective": {"warp": 1.0}, "queries": 8}}}')
    with pytest.raises(ConfigError, match=r"no\.json holds methods that this version cannot train \(.*warp"):
        _ = replace(setup, tuned=str(tmp_path / "no.json")).methods
    (tmp_path / "no.json").write_text('{"chosen": [1]}')
    with pytest.raises(ConfigError, match="holds methods that this version cannot train"):
        _ = replace(setup, tuned=str(tmp_path / "no.json")).methods


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
    assert replace(setup, scale="small").methods == METHODS | ABLATIONS
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
