"""A batch too large for one machine, in parts: a shard, or some hundred files, is answered at once and becomes a file.

Every part goes through the same folder as a batch of one machine does, so what is in `parts/*.parquet` is what
`lfi batch` would have kept, a row an image: its name, checksum, size, scores (`rows`, JSON), raw maps (`maps`, an npz),
what was missing of it (`note`), or why it could not be read (`problem`). Names of files that are no images stand in the
file's metadata. A part that is there is finished.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from app.batch.folder import BatchFolder, BatchQuestion, Record
from app.batch.sources import FolderImages, Images, free_name, open_images, readable
from app.batch.work import answer_image, question_of
from app.engine import Engine, MapsRequest, Turn
from app.settings import Settings
from lfi.data.archives import find_shards, refuse_damaged
from lfi.data.imagefiles import has_image_suffix
from lfi.errors import ConfigError, ImageError, ImageTooLargeError, reason
from lfi.writing import whole, write_json

FILES = 256
"""Of a folder or zip in a part."""
QUESTION = "question.json"
_OTHERS = b"not images"
SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("rows", pa.string()),
        ("problem", pa.string()),
        ("note", pa.string()),
        ("maps", pa.binary()),
    ]
)


@dataclass(frozen=True)
class Part:
    """What is answered at a time: some images of a source, or a whole shard.

    Attributes:
        name: of its file in `parts/`.
        names: of the images; None for all of a shard.
        first: whether it also tells which files of the source are no images.
    """

    name: str
    source: str
    names: tuple[str, ...] | None = None
    first: bool = True

    def text(self) -> str:
        """As it is sent to another process."""
        return json.dumps([self.name, self.source, self.names, self.first])

    @classmethod
    def of(cls, text: str) -> Part:
        """The reverse of `text`."""
        name, source, names, first = json.loads(text)
        return cls(name, source, None if names is None else tuple(names), first)

    def open(self, out: Path) -> Images:
        """Its images, of a batch that writes to `out`.

        Raises:
            ArchiveError, DataError: the source cannot be read any more.
        """
        return TarImages(self.source) if self.names is None else open_images(Path(self.source), out)


class TarImages:
    """The images of a shard, by `SHARD/NAME`; a name that comes again has a number before its suffix.

    Raises:
        ConfigError: it is damaged, or cannot be read.
    """

    def __init__(self, shard: str):
        try:
            refuse_damaged(shard)
            self._tar = tarfile.open(shard, "r:")  # noqa: SIM115 - it is read from as long as this lives
            members = [each for each in self._tar.getmembers() if each.isreg()]
        except (tarfile.TarError, OSError) as error:
            raise ConfigError(f"the shard {shard} cannot be read: {reason(error)}") from error
        stem = Path(shard).stem
        named = [(f"{stem}/{readable(each.name)}", each) for each in members]
        self._members: dict[str, tarfile.TarInfo] = {}
        for name, each in named:
            if has_image_suffix(name):
                self._members[free_name(name, self._members)] = each
        self.names = tuple(sorted(self._members))
        self.others = tuple(name for name, _ in named if not has_image_suffix(name))

    def read(self, name: str, most: int) -> bytes:
        """As `Images.read`."""
        member = self._members[name]
        if member.size > most:
            raise ImageTooLargeError(f"the file is larger than {most / 1e6:g} MB, which is the limit")
        try:
            file = self._tar.extractfile(member)
            assert file is not None  # of a regular file there is one
            return file.read()
        except (tarfile.TarError, OSError) as error:
            raise ImageError(f"cannot be read: {reason(error)}") from error


def parts_of(source: str, out: Path) -> list[Part]:
    """Shards (a folder of them, a file, `part-{000..099}.tar`) one by one; else files, some hundred at a time.

    Raises:
        ArchiveError, ConfigError, DataError: there are no images, or `out` is the folder that they are in.
    """
    folder = Path(source)
    if ".tar" in folder.name or (folder.is_dir() and any(folder.glob("*.tar"))):
        shards = [(Path(shard), shard) for shard in find_shards(source)]
        return [Part(_name(path.stem, path.parent, _state([path.name], [path])), shard) for path, shard in shards]
    images = open_images(folder, out)
    parts = []
    for start in range(0, len(images.names), FILES):
        names = images.names[start : start + FILES]
        files = [images.paths[name] for name in names] if isinstance(images, FolderImages) else [folder]
        parts.append(Part(_name(f"{start:09d}", folder, _state(names, files)), source, names, not start))
    return parts


def stale_files(out: Path, source: str, parts: Sequence[Part]) -> list[Path]:
    """Of the same shards, or of the same folder or zip, answered before something in it changed."""
    wanted = {file_of(out, part) for part in parts}
    of_all = ".tar" not in Path(source).name
    found: set[Path] = set()
    for part in parts:
        label, origin, _ = file_of(out, part).stem.rsplit("-", 2)
        found.update((out / "parts").glob(f"{'*' if of_all else label}-{origin}-*.parquet"))
    return sorted(found - wanted)


def _name(label: str, origin: Path, state: str) -> str:
    """`LABEL-ORIGIN-STATE`: what is answered, from where, and as it is now."""
    return f"{label}-{_short(str(origin.resolve()))}-{_short(state)}"


def _state(names: Sequence[str], files: Sequence[Path]) -> str:
    """Another one when a file was changed, by its size or its time of change."""
    states = [file.stat() for file in files if file.exists()]
    return json.dumps([names, [[each.st_size, each.st_mtime_ns] for each in states]])


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def begin(out: Path, asked: BatchQuestion) -> None:
    """The folder of the parts, made or gone on with.

    Raises:
        ConfigError: it holds parts of another question, or cannot be written.
    """
    wanted = json.loads(json.dumps(asdict(asked)))
    try:
        (out / "parts").mkdir(parents=True, exist_ok=True)
        if (out / QUESTION).is_file():
            if json.loads((out / QUESTION).read_text(encoding="utf-8")) != wanted:
                raise ConfigError(f"{out} has answers to another question; choose another folder")
        else:
            write_json(out / QUESTION, wanted)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot use {out}: {reason(error)}") from error


def file_of(out: Path, part: Part) -> Path:
    """Where a part is kept."""
    return out / "parts" / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', part.name)}.parquet"


@dataclass(frozen=True)
class Told:
    """What the file of a part says of its images.

    Attributes:
        answered: how many were.
        unread, noted: names, and why they could not be read, or what was missing of them.
        others: names of files that are no images.
    """

    answered: int
    unread: tuple[tuple[str, str], ...]
    noted: tuple[tuple[str, str], ...]
    others: tuple[str, ...]


def told(file: Path) -> Told:
    """Of a finished part, without its maps."""
    table = pq.read_table(file, columns=["name", "problem", "note"])
    rows = table.to_pylist()
    unread = tuple((row["name"], row["problem"]) for row in rows if row["problem"])
    noted = tuple((row["name"], row["note"]) for row in rows if row["note"])
    return Told(len(rows) - len(unread), unread, noted, tuple(json.loads(table.schema.metadata[_OTHERS])))


def answer_part(engine: Engine, request: MapsRequest, part: Part, out: Path) -> None:
    """Answer a part and keep it, whole or not at all."""
    images = part.open(out)
    with tempfile.TemporaryDirectory(prefix="lfi-part-") as folder:
        kept = BatchFolder(Path(folder), question_of(engine, request))
        records = [answer_image(kept, images, name, engine, request, Turn()) for name in part.names or images.names]
        others = images.others if part.first else ()
        _write(file_of(out, part), kept, records, others)


def _write(path: Path, kept: BatchFolder, records: Sequence[Record], others: Sequence[str]) -> None:
    rows = [
        {
            "name": record.name,
            "sha256": record.sha256,
            "width": record.width,
            "height": record.height,
            "rows": json.dumps(record.rows, ensure_ascii=False),
            "problem": record.problem,
            "note": record.note,
            "maps": None if record.problem else kept.maps_file(record).read_bytes(),
        }
        for record in records
    ]
    schema = SCHEMA.with_metadata({_OTHERS: json.dumps(others, ensure_ascii=False).encode()})
    with whole(path) as part:
        pq.write_table(pa.Table.from_pylist(rows, schema), part)


class Worker:
    """An engine that answers parts: what runs in another process, or on another machine."""

    def __init__(self, settings: Settings, request: MapsRequest, out: str):
        self.request, self.out = request, Path(out)
        self.engine = Engine(settings)
        self.engine.trios.need(settings.trio)

    def __call__(self, part: Part) -> None:
        """As `answer_part`."""
        answer_part(self.engine, self.request, part, self.out)
