"""What a reader left out, repaired or ignored: counted by kind, every one named, reported at the start of a run.

Files that cannot be read are `lfi.data.decode.Skipped`, since too many of them are an error. Everything else that is in
the data but not in the set is a note here, so that nothing is left out silently.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from lfi.data.imageset import ImageSet

UNREAD = "files that cannot be read"


@dataclass(frozen=True)
class Note:
    """One kind of thing.

    Attributes:
        what: in words, such as `files that are not images`.
        names: of each, with how often it occurred, in the order of the data.
    """

    what: str
    names: tuple[tuple[str, int], ...]

    @property
    def count(self) -> int:
        """How often it occurred, over all names."""
        return sum(times for _, times in self.names)

    def listed(self, most: int = 0) -> list[str]:
        """The names, each with how often it occurred where that is more than once; the first `most`, 0 for all."""
        shown = self.names[:most] if most else self.names
        told = [name if times == 1 else f"{name} ({times:,})" for name, times in shown]
        rest = len(self.names) - len(shown)
        return [*told, f"and {rest:,} more"] if rest else told


class Notes:
    """Notes as they are gathered.

    Args:
        notes: to begin with.
        most: names that are kept of a kind, 0 for all; further ones are counted together.
    """

    def __init__(self, notes: Iterable[Note] = (), most: int = 0) -> None:
        self._found: dict[str, dict[str, int]] = {}
        self.most = most
        self.extend(notes)

    def add(self, what: str, name: str, times: int = 1) -> None:
        """Count one more."""
        names = self._found.setdefault(what, {})
        if self.most and name not in names and len(names) >= self.most:
            name = "others"
        names[name] = names.get(name, 0) + times

    def extend(self, notes: Iterable[Note]) -> None:
        """Count what others have noted as well."""
        for note in notes:
            for name, times in note.names:
                self.add(note.what, name, times)

    def all(self) -> tuple[Note, ...]:
        """All kinds, in the order in which they were first met."""
        return tuple(Note(what, tuple(names.items())) for what, names in self._found.items())


def account(images: ImageSet) -> tuple[Note, ...]:
    """All that a set lacks of its data: files that cannot be read first."""
    unread = Note(UNREAD, tuple((line, 1) for line in images.skipped))
    return (unread, *images.notes) if images.skipped else images.notes


def announce(notes: Sequence[Note], title: str) -> None:
    """Tell notes on stderr, a line each with the first few names; of several processes one does."""
    if "torch" in sys.modules:  # a client that sends a folder does without
        import torch.distributed

        running = torch.distributed.is_available() and torch.distributed.is_initialized()
        if running and torch.distributed.get_rank():
            return
    for note in notes:
        tqdm.write(f"{title}: {note.count:,} {note.what}: {'; '.join(note.listed(5))}", file=sys.stderr)
