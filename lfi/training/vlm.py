"""Training a CoCa or CLIP teacher from images with captions."""

from __future__ import annotations

from pathlib import Path

import torch

from lfi.data.imageset import ImageSet
from lfi.errors import ConfigError, DataError
from lfi.images import MEAN, STD
from lfi.teachers import load_teacher, save_teacher
from lfi.training import clip
from lfi.training.caption_sentences import CaptionSentences, vocabulary_of
from lfi.training.config import LoopConfig
from lfi.training.distributed import connect
from lfi.training.loop import train
from lfi.training.sentences import tokenizer_of
from lfi.training.teacher import TeacherConfig, TeacherTask
from lfi.training.vlm_config import LOSSES, SIZES, VLMConfig
from lfi.training.warm_start import warm_start
from lfi.training.zeroshot import zero_shot

__all__ = ["VLMConfig", "train_vlm"]


def train_vlm(
    images: ImageSet,
    validation: ImageSet,
    config: VLMConfig,
    loop: LoopConfig,
    folder: Path | None = None,
    *,
    resume: bool = False,
    device: str | torch.device = "cpu",
    title: str = "teacher",
) -> list[dict[str, float]]:
    """Train a teacher on images with captions; labels are optional.

    Args:
        images: of `config.image_size`; see `CaptionSentences` for what is read of them.
        validation: for zero-shot figures (see `zero_shot`); may be empty where `loop.evaluations` is 0.
        folder: of the run, as for `loop.train`; the teacher goes to `folder/teacher`, which `load_teacher` reads, and
            open_clip as `create_model("local-dir:...")`.

    Returns:
        The records of the loop; those of evaluations hold `top-1` and `top-5`, or `recall@1` and `recall@5`.

    Raises:
        ConfigError: images of another size than the model's, or FSDP.
        DataError: too few captions, or nothing to validate on.
        UnknownWordError: a class of the validation set has a word that the training data never says.
        UnsupportedModelError: `config.start_from` has other sizes or another kind of tokeniser.
    """
    for part in (images, validation):
        if len(part) and part.images.shape[1] != config.image_size:
            raise ConfigError(
                f"vlm.image_size is {config.image_size}, but the images have {part.images.shape[1]} px a side"
            )
    if loop.parallel == "fsdp":  # open_clip's logit scale has no dimension to shard
        raise ConfigError("loop.parallel is 'fsdp'; a CoCa or CLIP is trained with 'ddp'")
    words = vocabulary_of(images, config.prompt, config.least) if config.tokenizer == "words" else ()
    tokenizer = tokenizer_of(words, config.context)
    data = CaptionSentences(
        images,
        tokenizer,
        config.context,
        loop.batch_size,
        loop.seed,
        config.statements if config.asks else 0,
        config.prompt,
        config.crop,
        config.flip,
    )
    torch.manual_seed(loop.seed)
    task = build(config, sized(config, words, classes=bool(data.named.any())))
    measure = None
    if loop.evaluations:
        measure = zero_shot(task.model, validation, tokenizer, config.context, config.prompt)
    records = train(
        task,
        data,
        loop,
        folder,
        resume=resume,
        device=device,
        evaluate=None if measure is None else lambda step: measure(),
        title=title,
    )
    processes = connect(device)
    if folder and processes.main:
        save(folder / "teacher", task, config)
    processes.wait()
    return records


def sized(config: VLMConfig, words: tuple[str, ...], classes: bool) -> TeacherConfig:
    """Sizes and weights of the task, for a vocabulary (none for byte pairs) and data with or without classes."""
    weights = {name: getattr(config, name) for name in LOSSES}
    if not config.asks:
        weights |= {"answer": 0.0, "dense": 0.0, "interaction": 0.0}
    if not classes:
        weights["vocabulary"] = 0.0
    sizes = {name: getattr(config, name) for name in SIZES}
    return TeacherConfig(**sizes, **weights, context=config.context, words=words, statements=config.statements)


def build(config: VLMConfig, size: TeacherConfig) -> TeacherTask | clip.ClipTask:
    """The task, with fresh weights or those of `config.start_from`."""
    if not sum(getattr(size, name) for name in config.weights_used):
        raise DataError("the images have no classes, and vlm.vocabulary is the only loss with a weight")
    task = TeacherTask(size) if config.arch == "coca" else clip.ClipTask(size)
    if config.start_from:
        warm_start(task, load_teacher(config.start_from))
    return task


def save(folder: Path, task: TeacherTask | clip.ClipTask, config: VLMConfig) -> None:
    """Write a trained teacher as `load_teacher` and open_clip read it."""
    coca, size = isinstance(task, TeacherTask), task.config
    card: dict[str, object] = {"name": config.name or ("CoCa" if coca else "CLIP")}
    if size.words:
        card["vocabulary"] = list(size.words)
    save_teacher(
        folder,
        task.model,
        size.model_config() if coca else clip.model_config(size),
        mean=[MEAN] * 3,
        std=[STD] * 3,
        card=card,
    )
