"""Tokenisers of the Hugging Face hub, as SigLIP and CLIPs with text towers from transformers have them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import regex
import torch
from torch import Tensor

from lfi.errors import CheckpointError, UnsupportedModelError
from lfi.teachers.scripts import visible
from lfi.weights import first_line, quiet

_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}]+)*")
EXTRA = "pip install 'learning-from-interactions[transformers]'"


class SubwordTokenizer:
    """open_clip's `HFTokenizer`, of what can be seen of a text, with the place of every word among its tokens.

    Threads may ask; one is answered at a time, since every call says anew how the tokeniser pads and cuts.

    Args:
        source: a folder with a tokeniser's files, or its name on the hub.
        context_length: ids per text.
        name: of the model, for errors.
        options: of `open_clip.tokenizer.HFTokenizer`, such as `clean`.

    Raises:
        UnsupportedModelError: transformers is not installed, or the tokeniser cannot say for which letters a token
            stands.
        CheckpointError: there is no such tokeniser, or it cannot be had.
    """

    def __init__(self, source: str | Path, context_length: int, name: str, options: Mapping[str, Any]):
        need_transformers(name)
        from open_clip.tokenizer import HFTokenizer

        try:
            with quiet("transformers", "huggingface_hub", "httpx"):
                self.whole = HFTokenizer(str(source), context_length=context_length, **options)
        except Exception as error:  # of the network, of files and of packages that some tokenisers need
            raise CheckpointError(f"cannot get the tokeniser {source} of {name}: {first_line(error)}") from error
        if not self.whole.tokenizer.is_fast:
            raise UnsupportedModelError(f"{name}: its tokeniser {source} cannot say which letters a token stands for")
        self.context_length = context_length
        self._alone = threading.Lock()

    def __len__(self) -> int:
        """Number of ids."""
        return len(self.whole.tokenizer)

    def __call__(self, texts: str | list[str], context_length: int | None = None) -> Tensor:
        """Padded ids, int64 `[text, context_length]`."""
        given = [texts] if isinstance(texts, str) else list(texts)
        seen = [visible(text) for text in given]
        with self._alone:
            return self.whole(seen, context_length or self.context_length)

    def words(self, text: str) -> list[tuple[str, int]]:
        """The words of a text, lower-cased, each with the position of its last token."""
        cleaned = self.whole.clean_fn(visible(text))
        with self._alone:
            encoded = self.whole.tokenizer(cleaned, return_offsets_mapping=True)
        return placed(cleaned, encoded["offset_mapping"])

    def save(self, folder: Path) -> None:
        """Write the files that make it again."""
        self.whole.save_pretrained(str(folder))


class PlainTokenizer:
    """A fast tokeniser of transformers as it is, for models that write.

    Args:
        whole: of transformers.
        context_length: tokens of a text that the model reads.
    """

    def __init__(self, whole: Any, context_length: int):
        self.whole, self.context_length = whole, context_length

    def __call__(self, texts: str | list[str], context_length: int | None = None) -> Tensor:
        """Padded ids, int64 `[text, context_length]`."""
        length = context_length or self.context_length
        rows = [self.pieces(text)[0][:length] for text in ([texts] if isinstance(texts, str) else texts)]
        return torch.tensor([row + [self.whole.pad_token_id or 0] * (length - len(row)) for row in rows])

    def pieces(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids of a text that goes on, without what ends one, and the letters that each stands for, `begin, end`."""
        encoded = self.whole(text, return_offsets_mapping=True)
        ids, spans = list(encoded["input_ids"]), [tuple(each) for each in encoded["offset_mapping"]]
        while ids and spans[-1][0] == spans[-1][1]:
            ids, spans = ids[:-1], spans[:-1]
        return ids, spans

    def words(self, text: str) -> list[tuple[str, int]]:
        """The words of a text, lower-cased, each with the position of its last token."""
        seen = visible(text)
        return placed(seen, self.pieces(seen)[1])


def spelled(text: str) -> list[tuple[str, int, int]]:
    """The words of a text, lower-cased, each with the letters that it stands at, `begin, end`."""
    return [(match.group().lower(), match.start(), match.end()) for match in _WORD.finditer(text)]


def placed(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[str, int]]:
    """The words of a text, each with the position of its last token.

    Args:
        spans: of every token the letters that it stands for.
    """
    found = []
    for word, first, last in spelled(text):
        over = [index for index, (begin, end) in enumerate(spans) if begin < last and end > first]
        if over:
            found.append((word, over[-1]))
    return found


def need_transformers(name: str) -> None:
    """Raise `UnsupportedModelError` where transformers, which this model's text side comes from, is not installed."""
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise UnsupportedModelError(
            f"{name}: its text side comes from transformers, which is an extra: {EXTRA}"
        ) from error
