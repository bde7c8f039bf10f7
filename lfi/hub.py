"""Models on the Hugging Face hub: `hf-hub:ORG/NAME[@REVISION]` wherever a folder is expected, and pushing one there.

A repository holds what a folder holds: a trio (`card.json`), a teacher (`open_clip_config.json`) or a student
(`student.safetensors`), and a model card that says what it is. The hub's own client does the work: it keeps what it has
fetched (`HF_HOME`), and knows who is signed in (`hf auth login`, `HF_TOKEN`).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import huggingface_hub
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.utils import get_session

from lfi.errors import CheckpointError, ConfigError, UnknownModelError
from lfi.hubcard import model_card
from lfi.weights import as_safetensors, first_line, quiet

PREFIX = "hf-hub:"
_TIMEOUT = 5.0
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_SMALL = (".json", ".json.gz", ".txt", ".model")
_ENDINGS = (*_SMALL, ".safetensors")
WEIGHTS = "open_clip_model.safetensors"
OLD_WEIGHTS = "open_clip_pytorch_model.bin"
"""Of repositories that open_clip wrote before it wrote safetensors."""
TORCH_WEIGHTS = "pytorch_model*.bin"
"""Of those that transformers and timm wrote before that; a large model's are several files."""

TRIO, TEACHER, STUDENT = "card.json", "open_clip_config.json", "student.safetensors"
"""The file that says what a folder holds."""


@dataclass(frozen=True)
class Pushed:
    """What was pushed: `url` of the repository, and the names of its files."""

    url: str
    files: tuple[str, ...]


def is_hub(name: str | Path) -> bool:
    """Whether this names a repository of the hub."""
    return str(name).startswith(PREFIX)


def local_folder(name: str | Path) -> Path:
    """The folder itself, or that of a repository of the hub, fetched if need be.

    Raises:
        UnknownModelError: not a repository's name.
        CheckpointError: it is not here and cannot be fetched.
    """
    if not is_hub(name):
        return Path(name)
    repository, _, revision = str(name).removeprefix(PREFIX).partition("@")
    _check(repository)
    online = hub_answers()  # asked once: the client would try again for most of a minute
    try:
        with quiet("huggingface_hub", "httpx"):
            fetch = partial(
                huggingface_hub.snapshot_download, repository, revision=revision or None, local_files_only=not online
            )
            found = Path(fetch(allow_patterns=[f"*{ending}" for ending in _SMALL]))
            if not (found / TEACHER).is_file() or (found / TRIO).is_file():
                fetch(allow_patterns=["*.safetensors"])
                if not any(found.glob("*.safetensors")) and not (found / TRIO).is_file():
                    fetch(allow_patterns=[TORCH_WEIGHTS])
            else:  # such repositories often hold the same weights for other packages as well
                fetch(allow_patterns=[WEIGHTS])
                if not (found / WEIGHTS).is_file():
                    fetch(allow_patterns=[OLD_WEIGHTS])
    except Exception as error:  # of the network, of the hub and of the disk, raised by several packages
        reason = first_line(error) if online else "the model hub cannot be reached"
        raise CheckpointError(
            f"cannot fetch {repository} ({reason}); download it on a machine with a network and pass the folder"
        ) from error
    return found


def pretrained(name: str | Path) -> Path:
    """A folder by what `from_pretrained` is given: a folder, `hf-hub:ORG/NAME`, or `ORG/NAME` of no folder here.

    Raises:
        UnknownModelError, CheckpointError: as `local_folder`.
    """
    text = str(name)
    if not is_hub(text) and not Path(text).exists() and _REPOSITORY.fullmatch(text):
        text = PREFIX + text
    return local_folder(text)


def push(
    folder: str | Path, repository: str, *, private: bool = False, license: str = "", message: str = "Upload from LFI"
) -> Pushed:
    """Put a trio, a teacher or a student on the hub, with a model card; one commit, in a new repository or an old one.

    Weights that open_clip kept as a torch file are pushed as safetensors; what is hidden is not pushed.

    Args:
        folder: of one of them; of a run only the student is pushed.
        repository: `ORG/NAME`.
        private: where it is new.
        license: as the hub names it, such as `apache-2.0`; the card names none where empty.

    Raises:
        UnknownModelError: the folder holds none of them, or the repository cannot be called so.
        CheckpointError: such a torch file cannot be read.
        ConfigError: the hub refuses, or does not answer.
    """
    folder = Path(folder)
    _check(repository)
    files = list(_files(folder))
    card = model_card(folder, repository, license)
    if not hub_answers():
        raise ConfigError("the model hub cannot be reached; nothing was pushed")
    api = HfApi()
    with tempfile.TemporaryDirectory() as room:
        operations = [CommitOperationAdd(*_sent(path, folder, Path(room))) for path in files]
        operations.append(CommitOperationAdd("README.md", card.encode()))
        try:
            with quiet("huggingface_hub", "httpx"):
                url = api.create_repo(repository, private=private, exist_ok=True)
                api.create_commit(repository, operations, commit_message=message)
        except Exception as error:  # as above
            raise ConfigError(
                f"the model hub refuses {repository}: {first_line(error)}; `hf auth login` signs in"
            ) from error
    return Pushed(str(url), tuple(sorted(each.path_in_repo for each in operations)))


def _files(folder: Path) -> Iterator[Path]:
    """What of a folder is pushed: all of a trio or a teacher that is not hidden, of a run its student."""
    if (folder / TRIO).is_file():
        wanted = [folder / TRIO, *(path for path in folder.rglob("*") if len(path.relative_to(folder).parts) > 1)]
    elif (folder / TEACHER).is_file():
        wanted = [path for path in folder.rglob("*") if path.name.endswith((*_ENDINGS, OLD_WEIGHTS))]
    elif (folder / STUDENT).is_file():
        wanted = [folder / STUDENT]
    else:
        raise UnknownModelError(f"{folder} holds no {TRIO}, {TEACHER} or {STUDENT}: there is no model to push")
    for path in sorted(wanted):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        twice = path.name == OLD_WEIGHTS and path.with_name(WEIGHTS).is_file()
        if path.is_file() and not hidden and not twice and path.name != "README.md":
            yield path


def _sent(path: Path, folder: Path, room: Path) -> tuple[str, str]:
    """A file's name in the repository, and where what is sent lies: in `room` where it is made for that."""
    name = path.relative_to(folder)
    if path.name != OLD_WEIGHTS:
        return name.as_posix(), str(path)
    name = name.with_name(WEIGHTS)
    made = room / "-".join(name.parts)
    as_safetensors(path, made)
    return name.as_posix(), str(made)


def hub_answers() -> bool:
    """Whether the hub can be reached."""
    try:
        with quiet("huggingface_hub", "httpx"):
            get_session().head(huggingface_hub.constants.ENDPOINT, timeout=_TIMEOUT)
    except Exception:  # whatever the client raises: no network, no proxy, offline mode
        return False
    return True


def _check(repository: str) -> None:
    if not _REPOSITORY.fullmatch(repository):
        raise UnknownModelError(f"{repository!r} is not a repository of the hub; ORG/NAME was expected")
