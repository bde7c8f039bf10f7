"""What the page asks of the service. Each handler is public, so each checks everything it is given.

An answer is JSON: what was asked for, or `{"error": {"where", "message", ...}}` for everything a visitor can
act on, with the part of the page where the trouble arose. Faults of ours are raised, and logged by the server.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Literal

from gradio.data_classes import DataWithFiles
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.errors import NotReadyError
from app.inspector.inspector import Inspector
from app.inspector.words import parse_words
from app.settings import Settings
from app.ui.about import trio_view
from app.ui.files import taken_file
from app.ui.pictures import Picture, Pictures
from app.ui.samples import Sample
from app.ui.view import comparison_view, data_uri, palettes_view, positions, preview
from lfi.comparison import Comparison
from lfi.errors import ConfigError, ImageError, LFIError, UnknownWordError, WordsError
from lfi.rendering import DEFAULT, OPACITY

THUMBNAIL = 128
Answer = dict[str, Any]


class Asked(BaseModel):
    """What every request of the page says. The picture is uploaded along with it, or named."""

    model_config = ConfigDict(extra="forbid")

    words: list[Annotated[str, StringConstraints(max_length=2000)]] = Field(max_length=200)
    trio: str | None = Field(None, max_length=100)
    sample: str | None = Field(None, max_length=100)
    token: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    shown: bool = False
    """The page has the picture on screen already: its preview need not be sent again."""


class AskedFile(Asked):
    """What a download says besides: the file, and how the maps are shown at the moment."""

    format: Literal["overlays", "npz", "svg", "pdf", "png"]
    position: int = Field(0, ge=0)
    palette: str = Field(DEFAULT, max_length=40)


class ForgottenError(LFIError):
    """The picture is no longer held; the page sends it again."""


class Handlers:
    """The page's questions, answered by one inspector.

    Args:
        samples: by name.
    """

    def __init__(self, inspector: Inspector, settings: Settings, samples: dict[str, Sample]):
        self.inspector = inspector
        self.settings = settings
        self.samples = samples
        self.pictures = Pictures(settings.image_limits, samples)

    def describe(self) -> Answer:
        """What there is: models and their cards, samples, palettes, limits; until models are warm, only that."""
        if not self.inspector.ready:
            return {"ready": False, "problem": self.inspector.failures.get(self.settings.trio)}
        return {
            "ready": True,
            "trio": self.settings.trio,
            "trios": [trio_view(trio) for trio in self.inspector.trios.values()],
            "samples": self._sample_views,
            "palettes": palettes_view(),
            "palette": DEFAULT,
            "opacity": OPACITY,
            "limits": {
                "bytes": self.settings.max_bytes,
                "words": self.settings.max_words,
                "phrase": self.settings.max_phrase,
            },
        }

    def check(self, payload: object) -> Answer:
        """Whether the models know these words; asked while there is no picture yet."""

        def step() -> Answer:
            asked = Asked.model_validate(payload)
            words = parse_words(asked.words, self.settings.word_limits)
            self.inspector.trio(asked.trio).teacher.check_words(words)
            return {"words": list(words)}

        return _answered(step)

    def compare(self, payload: object) -> Answer:
        """Maps of all models for a picture and words."""

        def step() -> Answer:
            fields, data = _unpacked(payload)
            asked = Asked.model_validate(fields)
            picture = self._picture(asked, data)
            answer: Answer = {"picture": _picture_view(picture, asked.shown)}
            if asked.words:  # words in trouble do not take the picture away
                answer |= _answered(lambda: {"view": comparison_view(self._compared(picture, asked))})
            return answer

        return _answered(step)

    def download(self, payload: object) -> Answer:
        """A file of what is on screen: overlays, raw maps or a figure."""

        def step() -> Answer:
            fields, data = _unpacked(payload)
            asked = AskedFile.model_validate(fields)
            picture = self._picture(asked, data)
            comparison = self._compared(picture, asked)
            places = positions(comparison)
            if asked.position >= len(places):
                raise ConfigError(f"layer position is {asked.position}; 0 to {len(places) - 1} was expected")
            file = taken_file(
                asked.format,
                comparison,
                picture.image,
                places[asked.position],
                asked.palette,
                about={"trio": self.inspector.trio(asked.trio).name, "sha256": picture.token},
                side=self.settings.overlay_side,
            )
            return {"name": file.name, "type": file.media_type, "data": base64.b64encode(file.data).decode()}

        return _answered(step)

    def _compared(self, picture: Picture, asked: Asked) -> Comparison:
        words = parse_words(asked.words, self.settings.word_limits)
        return self.inspector.compare(picture.image, words, trio=asked.trio)

    def _picture(self, asked: Asked, data: bytes | None) -> Picture:
        if data is not None:
            return self.pictures.add(data)
        if asked.sample:
            if asked.sample not in self.samples:
                raise ImageError(f"there is no sample {asked.sample!r}; choose another")
            return self.pictures.sample(asked.sample)
        named = self.pictures.get(asked.token or "")
        if named is None:
            raise ForgottenError("the picture is no longer held here; choose it again")
        return named

    @cached_property
    def _sample_views(self) -> list[Answer]:
        views = []
        for sample in self.samples.values():
            small = self.pictures.sample(sample.name).image.copy()
            small.thumbnail((THUMBNAIL, THUMBNAIL))
            said = {"name": sample.name, "alt": sample.alt, "words": list(sample.words), "scene": sample.scene}
            views.append({**said, "thumbnail": data_uri(small)})
        return views


def _answered(step: Callable[[], Answer]) -> Answer:
    """The step's answer, or what the visitor can do about its error and where on the page."""
    try:
        return step()
    except UnknownWordError as error:
        return _error("words", error, unknown=error.nearest)
    except WordsError as error:
        return _error("words", error)
    except ForgottenError as error:
        return _error("picture", error, forgotten=True)
    except ImageError as error:
        return _error("picture", error)
    except NotReadyError as error:
        return _error("page", error, retry=True)
    except LFIError as error:
        return _error("page", error)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the request"
        return {"error": {"where": "page", "message": f"{where}: {first['msg']}"}}


def _error(where: str, error: LFIError, **more: Any) -> Answer:
    return {"error": {"where": where, "message": str(error), **more}}


def _unpacked(payload: object) -> tuple[object, bytes | None]:
    """Fields and file of a request: plain JSON, or a form that holds the JSON in `request` and one file."""
    if not isinstance(payload, DataWithFiles):
        return payload, None
    if len(payload.files) != 1:
        raise ImageError(f"{len(payload.files)} pictures were sent; one at a time, please")
    try:
        return json.loads(payload.data.get("request", "")), payload.files[0][1]
    except ValueError as error:
        raise ConfigError("the form's field `request` is not JSON") from error


def _picture_view(picture: Picture, shown: bool) -> Answer:
    answer: Answer = {"token": picture.token, "width": picture.image.width, "height": picture.image.height}
    return answer if shown else {**answer, "preview": preview(picture.image)}
