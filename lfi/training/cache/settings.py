"""What a teacher's answers depend on besides the images, and how to say where two of them differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from lfi.errors import ConfigError

FIELDS = ("maps", "logits", "latents", "activations", "attentions")
PRECISIONS = ("float16", "uint8")
_SHORT = 6  # longer lists are described by their first difference


@dataclass(frozen=True)
class Settings:
    """Who was asked what, and how it is kept.

    Attributes:
        teacher: `name@fingerprint`.
        maps: how maps are asked for, `statements`, `captions` or `seen, at least P`.
        layers: decoder layers of the maps.
        tower_layers: layers of the image tower whose activations and attentions are kept.
        prompt: the sentence that class names are put into.
        classes: class names, in the order of the logits.
        vocabulary: the bank of words that `names` counts in.
        preprocessing: size, mean, standard deviation and fit as text.
        fields: which of `FIELDS` are kept.
        precision: of maps, activations and attentions, one of `PRECISIONS`; the others are exact.
    """

    teacher: str
    maps: str
    layers: tuple[int, ...]
    tower_layers: tuple[int, ...]
    prompt: str
    classes: tuple[str, ...]
    vocabulary: tuple[str, ...]
    preprocessing: str
    fields: tuple[str, ...]
    precision: str = "float16"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"the cache's precision is {self.precision!r}; one of {', '.join(PRECISIONS)} was expected"
            )
        if not self.fields or not set(self.fields) <= set(FIELDS):
            raise ConfigError(f"the cache's fields are {list(self.fields)}; some of {', '.join(FIELDS)} were expected")

    def differences(self, wanted: Settings) -> list[str]:
        """How a store of these settings differs from what is wanted, a line each; extra fields do not count."""
        lines = []
        for name in (field.name for field in fields(self)):
            here, there = getattr(wanted, name), getattr(self, name)
            if name == "fields":
                missing = [field for field in here if field not in there]
                if missing:
                    lines.append(f"it holds {', '.join(there)}, but no {', '.join(missing)}")
            elif here != there:
                lines.append(_difference(name, there, here))
        return lines

    def require(self, wanted: Settings, where: object) -> None:
        """Refuse a store of these settings where others are wanted.

        Raises:
            ConfigError: it says in what they differ.
        """
        lines = self.differences(wanted)
        if lines:
            raise ConfigError(
                f"the teacher cache {where} was built differently: {'; '.join(lines)}; build one in another folder"
            )

    def as_json(self) -> dict[str, Any]:
        """The reverse of `settings_of`."""
        return asdict(self)


def settings_of(record: dict[str, Any]) -> Settings:
    """From JSON.

    Raises:
        TypeError: a field is missing or unknown.
    """
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in record.items()
    }
    return Settings(**values)


def _difference(name: str, there: Any, here: Any) -> str:
    if not isinstance(there, tuple) or max(len(there), len(here)) <= _SHORT:
        there, here = (list(value) if isinstance(value, tuple) else value for value in (there, here))
        return f"{name} is {there!r} there and {here!r} was asked for"
    row = next((row for row, pair in enumerate(zip(there, here, strict=False)) if pair[0] != pair[1]), None)
    row = min(len(there), len(here)) if row is None else row
    first, second = (repr(value[row]) if row < len(value) else "nothing" for value in (there, here))
    return (
        f"{name} has {len(there)} entries there and {len(here)} were asked for, "
        f"of which number {row + 1} is the first to differ: {first} there, {second} here"
    )
