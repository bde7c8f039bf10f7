"""`lfi data describe`: what a data set holds, and which of its files cannot be read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lfi.data.imageset import ImageSet

commands = typer.Typer()
data = typer.Typer(help="Data sets on disk.", no_args_is_help=True)
commands.add_typer(data, name="data")


@data.callback()
def group() -> None:
    """Data sets on disk."""


class Part(StrEnum):
    """TinyImageNet's splits that have labels."""

    TRAIN = "train"
    VAL = "val"


class Kind(StrEnum):
    """The layouts that are read."""

    TINYIMAGENET = "tiny-imagenet"
    DOMAINS = "domains"
    FOLDERS = "folders"
    COCO = "coco"
    CAPTIONS = "captions"
    SHARDS = "shards"


@data.command()
def describe(
    kind: Annotated[
        Kind,
        typer.Argument(help="domains is DOMAIN/CLASS/* (PACS, VLCS), folders CLASS/*, captions a CSV, TSV or JSONL."),
    ],
    root: Annotated[Path, typer.Argument(help="Folder of the data; for captions, the table.", show_default=False)],
    size: Annotated[int, typer.Option(min=1, max=1024, help="Side of the decoded images, in pixels.")] = 64,
    limit: Annotated[float, typer.Option(min=0, max=1, help="Largest share of files that may be unreadable.")] = 1.0,
    split: Annotated[Part, typer.Option(help="Split, for tiny-imagenet.")] = Part.TRAIN,
    annotations: Annotated[Path | None, typer.Option(help="Instances JSON, for coco.")] = None,
    captions: Annotated[Path | None, typer.Option(help="Captions JSON, for coco.")] = None,
    image_column: Annotated[str, typer.Option(help="Column of the paths, for captions.")] = "image",
    caption_column: Annotated[str, typer.Option(help="Column of the captions, for captions.")] = "caption",
    names: Annotated[int, typer.Option(min=0, help="How many items of each skipped kind to name; 0 for all.")] = 20,
) -> None:
    """Read a data set and print counts, classes, everything left out of it by name, and an example.

    Decoded images are kept for the next time, in the folder that LFI_CACHE names (by default ~/.cache/lfi).
    """
    from lfi.data.captions import image_captions
    from lfi.data.coco import coco
    from lfi.data.coco_format import read_instances
    from lfi.data.domains import domain_folders
    from lfi.data.folders import class_folders
    from lfi.data.shards import read_shards
    from lfi.data.tinyimagenet import tiny_imagenet
    from lfi.errors import DataError

    told, objects = kind in (Kind.CAPTIONS, Kind.SHARDS), None
    if kind is Kind.TINYIMAGENET:
        images = tiny_imagenet(root, split.value, size=size, limit=limit)
    elif kind is Kind.DOMAINS:
        images = domain_folders(root, size=size, limit=limit)
    elif kind is Kind.FOLDERS:
        images = class_folders(root, size=size, limit=limit)
    elif kind is Kind.COCO:
        if annotations is None:
            raise DataError("coco needs --annotations, the JSON file of its instances")
        told = captions is not None
        prompt = "" if told else "a photo of {}"  # a made sentence is none of the file's captions
        images = coco(root, annotations, size=size, captions=captions, prompt=prompt, limit=limit)
        objects = sum(not region["iscrowd"] for region in read_instances(annotations).annotations)
    elif kind is Kind.CAPTIONS:
        images = image_captions(root, size=size, image_column=image_column, caption_column=caption_column, limit=limit)
    else:
        images = read_shards(root, size=size, limit=limit)
    print("\n".join(lines(images, names, told, objects)))


def lines(images: ImageSet, most: int = 0, told: bool = True, objects: int | None = None) -> list[str]:
    """What is known of a set, a line each.

    Args:
        most: names to list of each kind of thing that is left out; 0 for all.
        told: whether captions come with the data; others are made of labels, and not counted.
        objects: how many there are, where they are annotated one by one.
    """
    import numpy as np

    from lfi.data.notes import UNREAD, account

    said = [f"images    {len(images):,} of {images.images.shape[1]} px"]
    if images.classes:
        labelled = images.labels[images.labels >= 0]
        counts = images.labels.sum(0) if images.multilabel else np.bincount(labelled, minlength=len(images.classes))
        known = ", ".join(images.classes[:10]) + (", ..." if len(images.classes) > 10 else "")
        said.append(f"classes   {len(images.classes):,}: {known}")
        said.append(f"a class   {int(min(counts)):,} to {int(max(counts)):,} images")
    if images.domains:
        names, sizes = np.unique(images.domains, return_counts=True)
        said.append("domains   " + ", ".join(f"{name} {size:,}" for name, size in zip(names, sizes, strict=True)))
    if told:
        said.append(f"captions  {sum(caption != '' for caption in images.captions):,}")
    if images.boxes is not None:
        said.append(f"boxes     {int((~np.isnan(images.boxes).any(1)).sum()):,}")
    if objects is not None:
        said.append(f"objects   {objects:,}")
    said.append(f"unread    {len(images.skipped):,} files")
    for note in account(images):
        if note.what != UNREAD:
            said.append(f"noted     {note.count:,} {note.what}")
        said += [f"          {name}" for name in note.listed(most)]
    if len(images):
        said.append(f"example   {images.ids[0]}: {images.captions[0]!r}, asked for {', '.join(images.words[0]) or '-'}")
    return said
