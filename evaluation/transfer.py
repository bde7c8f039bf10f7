"""`lfi benchmark transfer`: every objective and both controls, on photographs, across domains and on scenes.

Every method trains the same backbone on the same images for the same steps from the same teacher; only the losses (and
the Interaction Queries) differ. No weights are selected on what is reported: the last ones of a fixed schedule are
tested. But of several LFI, and of the result-oriented methods, the best by the reported mean stands for its side
(`evaluation.transfer_table.summarise`). Each finished run is a record; an interrupted benchmark resumes, and one
command with fewer seeds or methods fills in what another one left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from tqdm import tqdm

from evaluation.runs import check_known, check_recipe, in_processes, keep
from evaluation.transfer_pointing import BY_EXPLANATION, FLOORS
from evaluation.transfer_scales import SCALES, TransferScale
from evaluation.transfer_scores import DOMAINS_OF, EMBEDDED, ZERO_SHOT, main_score, scores_of
from evaluation.tuned import fingerprint, tuned_methods
from lfi.data.domains import domain_folders, leave_one_out
from lfi.data.imageset import ImageSet
from lfi.data.scenes import DOMAINS, Scenes
from lfi.devices import faster_in_bfloat16
from lfi.methods import ABLATIONS, METHODS, WIDER, Method, sections, weighted
from lfi.students import Student
from lfi.teachers import load_teacher
from lfi.teachers.names import NameTokenizer
from lfi.training.checkpoints import CHECKPOINT, discard
from lfi.training.config import DataConfig, LoopConfig, StudentSource, TeacherSource, TrainConfig
from lfi.training.run import Prepared, prepare, train_student
from lfi.training.sources import image_sets, split_off
from lfi.training.targets import blocks_of

FIELDS = ("maps", "logits", "latents", "activations", "attentions")
SOURCE_VALIDATION = ", a fifth of the training images held out"
"""Ends the name of a part on which weights are chosen: its test images are not read."""
EVALUATIONS = 5
"""Of a student there; by these a search cuts trials short."""
COMPARED = (
    *("no distillation", "logit KD", "feature KD", "logit + feature KD", "activation attention"),
    *("attention transfer", "relational KD", "DIST", "queries only", "shuffled maps", "LFI", "LFI + logit KD"),
    "LFI + logit + feature KD",
)
"""Methods compared by default."""
CROP = 0.6
"""The least share of a photograph that is seen of it in training."""
SEEN = 1000
"""Test images that a learning curve is measured on; the final score is of all of them."""


@dataclass(frozen=True)
class TransferSetup:
    """Paths, and the size of the benchmark.

    Attributes:
        tuned: the record of `lfi benchmark tune`, whose methods are compared instead.
        epochs: of every part, in place of the scale's; those if 0.
    """

    scale: str
    tiny: str
    pacs: str
    photographs: str
    scenes: str
    runs: str
    device: str = "cpu"
    tuned: str = ""
    vlcs: str = ""
    epochs: int = 0

    @property
    def methods(self) -> dict[str, Method]:
        """All that can be trained, by name."""
        if self.tuned:
            found = tuned_methods(Path(self.tuned))
        else:
            found = {name: weighted(method, self.at.weights) for name, method in (METHODS | ABLATIONS).items()}
        narrow = found.get("DIST + feature KD")
        return found | ({WIDER: replace(narrow, wide=True)} if narrow else {})

    @property
    def folder(self) -> Path:
        """Where runs are kept: those of other weights, or of more or fewer epochs, lie elsewhere."""
        tuned = f"-tuned-{fingerprint(Path(self.tuned))}" if self.tuned else ""
        return Path(self.runs) / f"{self.scale}{f'-{self.epochs}-epochs' if self.epochs else ''}{tuned}"

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts for which there is data."""
        fractions = [f"TinyImageNet {share:.0%} of labels".replace("100% of", "all") for share in self.at.fractions]
        domains = [f"{data} without {name}" for data in self.roots for name in DOMAINS_OF[data]]
        return (*(fractions if self.tiny else ()), *domains, "scenes without sketch")

    @property
    def roots(self) -> dict[str, str]:
        """Folders of those of `DOMAINS_OF` that there are."""
        return {name: root for name, root in (("PACS", self.pacs), ("VLCS", self.vlcs)) if root}

    @property
    def at(self) -> TransferScale:
        scale = SCALES[self.scale]
        return replace(scale, epochs=(self.epochs,) * 3) if self.epochs else scale


@dataclass(frozen=True)
class TransferRun:
    """One trained student.

    Attributes:
        scores: on images it was not trained on, in percent, by what was measured.
        curve: steps, and the main score on `SEEN` of those images after them.
        step: seconds of a step, data included.
        parameters: of the student, without the teacher.
        trained: the method's losses, queries and taps; empty in records from before they were kept.
        setting: how it was trained (`setting_of`).
    """

    part: str
    method: str
    seed: int
    teacher: str
    scale: str
    scores: dict[str, float]
    curve: list[tuple[int, float]]
    step: float
    parameters: int
    trained: dict[str, Any] = field(default_factory=dict)
    setting: dict[str, Any] = field(default_factory=dict)


def transfer(
    setup: TransferSetup, seeds: Sequence[int], methods: Sequence[str], parts: Sequence[str], workers: int
) -> list[TransferRun]:
    """Train what is missing, `workers` runs at a time, and return every run asked for.

    What a kept run lacks because it was not measured then is measured now, if its student was kept.

    Raises:
        ConfigError: for an unknown method or part, or a record that was made otherwise than it would be now.
    """
    check_known("method", methods, setup.methods)
    check_known("part", parts, setup.parts)
    wanted = [(part, method, seed) for seed in seeds for part in parts for method in methods]
    missing = [run for run in wanted if not record_of(setup, *run).exists()]
    kept = [run for run in wanted if run not in missing]
    labels = {model: load_teacher(model).label for model in {teacher_of(setup, part) for part, *_ in kept}}
    for part, method, seed in kept:
        check_record(setup, record_of(setup, part, method, seed), method, labels[teacher_of(setup, part)])
    if old := [run for run in kept if lacks_measures(record_of(setup, *run))]:
        for _ in in_processes(measure_again, [(setup, *run) for run in old], workers, "measuring again", "run"):
            pass
    if missing:
        for part in dict.fromkeys(part for part, _, _ in missing):
            prepared(setup, part)  # the caches are made once, here
        prepared.cache_clear()
        for done in in_processes(run_one, [(setup, *run) for run in missing], workers, "transfer", "run"):
            tqdm.write(f"{done.part}, {done.method}, seed {done.seed}: {next(iter(done.scores.values())):.1f} %")
    return [read_run(record_of(setup, *run)) for run in wanted]


def record_of(setup: TransferSetup, part: str, method: str, seed: int) -> Path:
    """Where a run's record is kept."""
    return setup.folder / f"{name_of(part, method, seed)}.json"


def name_of(part: str, method: str, seed: int) -> str:
    """What a run's files are called."""
    return f"{part}-{method}-{seed}".replace(" ", "_").replace("%", "").replace("+", "and")


def read_run(path: Path) -> TransferRun:
    stored = json.loads(path.read_text())
    return TransferRun(**{**stored, "curve": [tuple(point) for point in stored["curve"]]})


def check_record(setup: TransferSetup, path: Path, method: str, teacher: str) -> None:
    """Refuse a record that was made with another teacher, other weights, or at another scale than it would be now.

    Records from before weights were kept are accepted if their folder's name states the weights (`--tuned`).

    Args:
        teacher: label of the one that would be asked now.

    Raises:
        ConfigError: it was, or does not say.
    """
    run = read_run(path)
    now = recipe_of(setup, run.part, method, teacher)
    setting = {"optimizer": "adamw", **run.setting} if run.setting else {}  # from before there was a choice
    if isinstance(setting.get("epochs"), list):  # from when those of every kind of part were kept
        setting["epochs"] = setting["epochs"][kind_of(run.part)]
    known = bool(setting) if run.trained else bool(setup.tuned)
    before = {"teacher": run.teacher, **sections(run.trained), "scale": setting}
    check_recipe(path, before if known else {}, now)


def recipe_of(setup: TransferSetup, part: str, method: str, teacher: str) -> dict[str, Any]:
    """What decides how a student is trained."""
    return {"teacher": teacher, **sections(asdict(setup.methods[method])), "scale": setting_of(setup, part)}


def setting_of(setup: TransferSetup, part: str) -> dict[str, Any]:
    """What of the scale decides how students of a part are trained, and what all scales have in common."""
    names = ("student", "batch_size", "learning_rate", "optimizer", "patch", "unlabelled", "used")
    loop = LoopConfig()
    shared = {name: getattr(loop, name) for name in ("weight_decay", "warmup", "clip", "ema")}
    own = {"epochs": setup.at.epochs[kind_of(part)], "crop": CROP}
    return {name: getattr(setup.at, name) for name in names} | own | shared


def kind_of(part: str) -> int:
    """Which of a scale's epochs a part has: those of TinyImageNet, of domains or of scenes."""
    return 0 if part.startswith("TinyImageNet") else 2 if part.startswith("scenes") else 1


def teacher_of(setup: TransferSetup, part: str) -> str:
    """Where the teacher of a part lies."""
    return setup.scenes if part.startswith("scenes") else setup.photographs


def run_one(setup: TransferSetup, part: str, method: str, seed: int) -> TransferRun:
    """Train one student, measure it, keep it and its record."""
    ready, tests = prepared(setup, part)
    path = record_of(setup, part, method, seed)
    recipe = setup.methods[method], setting_of(setup, part)
    folder = path.with_name(f"{path.stem}-{crc32(repr(recipe).encode()):08x}")
    student, records = train_one(setup, part, setup.methods[method], seed, method, folder)
    student.save(path.with_suffix(".safetensors"))
    main = main_score(ready)
    batch = ready.config.loop.batch_size
    seconds = [batch / record["images/s"] for record in records if "images/s" in record]
    run = TransferRun(
        part=part,
        method=method,
        seed=seed,
        teacher=ready.teacher.label,
        scale=setup.scale,
        scores=scores_of(student, ready, tests),
        curve=[(int(record["step"]), record[main]) for record in records if main in record],
        step=float(np.median(seconds)),
        parameters=sum(parameter.numel() for parameter in student.parameters()),
        trained=asdict(setup.methods[method]),
        setting=setting_of(setup, part),
    )
    keep(path, asdict(run))
    discard(folder / CHECKPOINT)
    return run


def lacks_measures(path: Path) -> bool:
    """Whether a run's student, which lies beside its record, can answer more than was asked when it was trained."""
    run = read_run(path)
    if not path.with_suffix(".safetensors").exists() or not run.trained or not run.trained["objective"]["feature_kd"]:
        return False
    wanted = [EMBEDDED[data] for data, name in ZERO_SHOT.items() if name in run.scores]
    wanted += [name + BY_EXPLANATION for name in FLOORS if name in run.scores]
    return not run.scores.keys() >= set(wanted)


def measure_again(setup: TransferSetup, part: str, method: str, seed: int) -> None:
    """Add to a run's record what it lacks; what it has stays."""
    path = record_of(setup, part, method, seed)
    found = scores_of(Student.load(path.with_suffix(".safetensors")), *prepared(setup, part))
    run = read_run(path)
    keep(path, asdict(replace(run, scores=found | run.scores)))


def train_one(
    setup: TransferSetup,
    part: str,
    method: Method,
    seed: int,
    title: str,
    folder: Path | None = None,
    watch: Callable[[int, dict[str, float]], None] | None = None,
) -> tuple[Student, list[dict[str, float]]]:
    """A student of a part, and what was recorded while it was trained; an interrupted one goes on from `folder`.

    Args:
        watch: as for `train_student`.
    """
    ready, _ = prepared(setup, part)
    config = replace(
        ready.config,
        student=student_of(method, setup.at),
        objective=method.objective,
        loop=replace(ready.config.loop, seed=seed),
    )
    title = f"{part}, {title}, seed {seed}"
    ready = replace(ready, config=config)
    return train_student(ready, folder, resume=True, device=setup.device, title=title, watch=watch)


def student_of(method: Method, scale: TransferScale) -> StudentSource:
    """The backbone of the scale with the method's queries, or wider."""
    width = {"embed_dim": scale.wide} if method.wide else {}
    return method.student(StudentSource(overrides=scale.overrides | width))


@lru_cache(maxsize=1)
def prepared(setup: TransferSetup, part: str) -> tuple[Prepared, dict[str, ImageSet]]:
    """Images, the teacher's answers and test sets of a part; the latest is kept."""
    scale, tests = setup.at, {}
    teacher, evaluations = teacher_of(setup, part), 10
    base = part.removesuffix(SOURCE_VALIDATION)
    if part.startswith("TinyImageNet"):
        share = dict(zip([p for p in setup.parts if p.startswith("Tiny")], scale.fractions, strict=True))[base]
        used, labelled = scale.shares(share)
        data = DataConfig(source="tiny-imagenet", root=setup.tiny, fraction=used, labelled=labelled, crop=CROP)
        train, test = image_sets(data)
        tests["test"] = test
        tests |= {ZERO_SHOT[name]: untaught(setup, name, data.size) for name in setup.roots}
    elif (name := base.split()[0]) in setup.roots:
        held_out = base.removeprefix(f"{name} without ")
        data = DataConfig(source="domains", root=setup.roots[name], held_out=held_out, crop=CROP)
        split = leave_one_out(untaught(setup, name, data.size), held_out, seed=0)
        train, tests["test"] = split.train, split.test
    else:
        data = DataConfig(domains=DOMAINS[:3])
        drawings = Scenes(1000, 12, data.size, DOMAINS[3:]).load(masks=False)
        train, tests["test"] = image_sets(data)[0], drawings.image_set("test")
    if setup.scale == "tiny":
        train = train.take(np.arange(0, len(train), max(1, len(train) // 128)))
        tests = {name: fewer(images) for name, images in tests.items()}
    if part != base:
        train, held = split_off(train, 0.2, seed=0)
        known = np.arange(len(held)) if held.multilabel else np.flatnonzero(held.labels >= 0)
        tests, evaluations = {"test": held.take(known)}, EVALUATIONS
    source = load_teacher(teacher)
    chooses = isinstance(source.tokenizer, NameTokenizer) or (part.startswith("TinyImageNet") and scale.unlabelled)
    config = TrainConfig(
        data=data,
        teacher=TeacherSource(
            model=teacher,
            maps="seen" if chooses else "statements",
            cache=str(Path(setup.runs) / setup.scale / "cache" / cached_as(setup, part).replace(" ", "_")),
        ),
        loop=LoopConfig(
            epochs=scale.epochs[kind_of(part)],
            batch_size=scale.batch_size,
            learning_rate=scale.learning_rate,
            optimizer=scale.optimizer,
            evaluations=evaluations,
            tensorboard=False,
        ),
    )
    seen = tests["test"].take(np.random.default_rng(0).permutation(len(tests["test"]))[:SEEN])
    fields = FIELDS if blocks_of(source) else FIELDS[:3]  # a convolutional tower attends to nothing
    with torch.autocast(torch.device(setup.device).type, torch.bfloat16, enabled=faster_in_bfloat16(setup.device)):
        return prepare(config, setup.device, fields, (train, seen)), tests


def fewer(images: ImageSet) -> ImageSet:
    """About a hundred of them: what `--scale tiny` is tested on."""
    return images.take(np.arange(0, len(images), max(1, len(images) // 100)))


def cached_as(setup: TransferSetup, part: str) -> str:
    """What the teacher's answers about a part are called. Those about images without labels serve all shares, and what
    is left of them when some are held out."""
    return "TinyImageNet" if part.startswith("TinyImageNet") and setup.at.unlabelled else part


def untaught(setup: TransferSetup, name: str, size: int) -> ImageSet:
    """What the teacher for photographs never saw of a data set: half of PACS, and all of VLCS."""
    images = domain_folders(Path(setup.roots[name]), size=size)
    return half_of(images) if name == "PACS" else images


def half_of(images: ImageSet) -> ImageSet:
    """The half of PACS that the teacher for photographs never saw: every second image."""
    return images.take(np.arange(1, len(images), 2))
