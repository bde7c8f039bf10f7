"""Training a teacher, a CoCa or a CLIP: on generated scenes, or on any images with captions.

Scenes are described exactly, so what is false of one can be nearly true of it: `SceneSentences` makes hard presence
statements. Of other images the caption is all that is known: `CaptionSentences`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import torch

from lfi.data.imageset import ImageSet
from lfi.data.scenes import Scenes
from lfi.devices import cores
from lfi.errors import CheckpointError, ConfigError, DataError
from lfi.images import MEAN, STD
from lfi.teachers import load_teacher, save_teacher
from lfi.teachers.words import WordTokenizer
from lfi.training import clip
from lfi.training.caption_sentences import CaptionSentences, vocabulary_of
from lfi.training.config import DataConfig, LoopConfig, TrainConfig
from lfi.training.distributed import connect, main_first
from lfi.training.loop import train
from lfi.training.provenance import write_provenance
from lfi.training.scene_sentences import SceneSentences
from lfi.training.sentences import tokenizer_of
from lfi.training.sources import check_names, image_sets, scenes
from lfi.training.teacher import TeacherTask
from lfi.training.teacher_config import TeacherConfig
from lfi.training.warm_start import warm_start
from lfi.training.zeroshot import zero_shot

Sentences: TypeAlias = CaptionSentences | SceneSentences


def train_teacher(
    config: TrainConfig, folder: Path, *, resume: bool = False, device: str = "cpu", title: str = "teacher"
) -> list[dict[str, float]]:
    """Train the teacher that `config.pretraining` describes on `config.data`.

    In `folder`, besides the loop's files: the resolved configuration, the environment, and the folder `teacher`.

    Returns:
        The records of the loop, as `pretrain`.

    Raises:
        CheckpointError: `resume` of a run whose sentences were other ones.
        ConfigError, DataError, UnknownWordError, UnsupportedModelError: see `captions_to_read`, `scenes_to_read`,
            `pretrain`.
    """
    data, chosen, loop = config.data, config.pretraining, config.loop
    processes = connect(device)
    sentences: Sentences
    if data.source == "scenes":
        if resume and (folder / "config.json").is_file() and '"vlm"' in (folder / "config.json").read_text():
            raise CheckpointError(f"{folder} learned other sentences of scenes than are read now; train it again")
        sentences = scenes_to_read(data, chosen, loop, processes.world)
        validation = scenes(data, data.validation, data.validation_seed) if loop.evaluations else None
    else:
        images, validation = main_first(lambda: image_sets(data), processes)
        sentences = captions_to_read(images, chosen, loop)
    begins = load_teacher(chosen.start_from).label if chosen.start_from else "random weights"
    write_provenance(folder, config, resume, processes.main, **{"starts from": begins})
    return pretrain(sentences, validation, chosen, loop, folder, resume=resume, device=device, title=title)


def captions_to_read(images: ImageSet, config: TeacherConfig, loop: LoopConfig) -> CaptionSentences:
    """What a teacher reads of images with captions; labels are optional.

    Raises:
        ConfigError: images of another size than the model's.
        DataError: too few captions, or classes without names.
    """
    _check_size(images.images.shape[1], config)
    check_names(images, words=config.asks, classes=config.vocabulary > 0)
    words = vocabulary_of(images, config.prompt, config.least) if config.tokenizer == "words" else ()
    return CaptionSentences(
        images,
        tokenizer_of(words, config.context),
        config.context,
        loop.batch_size,
        loop.seed,
        config.statements if config.asks else 0,
        config.prompt,
        config.crop,
        config.flip,
    )


def scenes_to_read(data: DataConfig, config: TeacherConfig, loop: LoopConfig, processes: int = 1) -> SceneSentences:
    """What a teacher reads of generated scenes, shown whole: their captions say what is where.

    Raises:
        ConfigError: a size, crops, flips or a tokeniser that do not fit them.
        DataError: fewer scenes than a batch holds.
    """
    _check_size(data.size, config)
    if data.count < loop.batch_size:
        raise DataError(f"data.count is {data.count}; at least a batch of {loop.batch_size} was expected")
    for name, value, right in (("crop", config.crop, 1.0), ("flip", config.flip, 0.0)):
        if value != right:
            raise ConfigError(
                f"pretraining.{name} is {value}; {right:g} was expected, as scenes are never cropped or flipped"
            )
    if config.tokenizer != "words":
        raise ConfigError(f"pretraining.tokenizer is {config.tokenizer!r}; scenes are described in 'words'")
    drawn = Scenes(data.count, data.seed, data.size, data.domains, data.objects)
    batch = drawn.load(masks=False, processes=max(1, cores() // processes))
    return SceneSentences(batch, loop.batch_size, loop.seed, config.statements if config.asks else 0, config.context)


def pretrain(
    sentences: Sentences,
    validation: ImageSet | None,
    config: TeacherConfig,
    loop: LoopConfig,
    folder: Path | None = None,
    *,
    resume: bool = False,
    device: str | torch.device = "cpu",
    title: str = "teacher",
) -> list[dict[str, float]]:
    """Train a teacher on these sentences.

    Args:
        validation: for zero-shot figures (see `zero_shot`); None where `loop.evaluations` is 0.
        folder: of the run, as for `loop.train`; the teacher goes to `folder/teacher`, which `load_teacher` reads, and
            open_clip as `create_model("local-dir:...")`.

    Returns:
        The records of the loop; those of evaluations hold `top-1` and `top-5`, or `recall@1` and `recall@5`.

    Raises:
        ConfigError: FSDP, or images to validate on of another size than the model's.
        DataError: nothing to learn, or nothing to validate on.
        UnknownWordError: a class of the validation set has a word that the training data never says.
        UnsupportedModelError: `config.start_from` has other sizes or another kind of tokeniser.
    """
    if validation is not None and len(validation):
        _check_size(validation.images.shape[1], config)
    if loop.parallel == "fsdp":  # open_clip's logit scale has no dimension to shard
        raise ConfigError("loop.parallel is 'fsdp'; a CoCa or CLIP is trained with 'ddp'")
    torch.manual_seed(loop.seed)
    words = sentences.tokenizer.vocabulary if isinstance(sentences.tokenizer, WordTokenizer) else ()
    task = build(config.for_data(sentences.classes), words)
    measure = None
    if loop.evaluations and validation is not None:
        measure = zero_shot(task.model, validation, sentences.tokenizer, config.context, config.prompt)
    records = train(
        task,
        sentences,
        loop,
        folder,
        resume=resume,
        device=device,
        evaluate=None if measure is None else lambda step: measure(),
        title=title,
    )
    processes = connect(device)
    if folder and processes.main:
        save(folder / "teacher", task)
    processes.wait()
    return records


def build(config: TeacherConfig, words: tuple[str, ...]) -> TeacherTask | clip.ClipTask:
    """The task, with fresh weights or those of `config.start_from`."""
    task = TeacherTask(config, words) if config.arch == "coca" else clip.ClipTask(config, words)
    if config.start_from:
        warm_start(task, load_teacher(config.start_from))
    return task


def save(folder: Path, task: TeacherTask | clip.ClipTask) -> None:
    """Write a trained teacher as `load_teacher` and open_clip read it."""
    coca, config = isinstance(task, TeacherTask), task.config
    card: dict[str, object] = {"name": config.name or ("CoCa" if coca else "CLIP")}
    if task.words:
        card["vocabulary"] = list(task.words)
    save_teacher(
        folder,
        task.model,
        config.coca(task.words) if coca else clip.model_config(config, task.words),
        mean=[MEAN] * 3,
        std=[STD] * 3,
        card=card,
    )


def _check_size(side: int, config: TeacherConfig) -> None:
    if side != config.image_size:
        raise ConfigError(f"pretraining.image_size is {config.image_size}, but the images have {side} px a side")
