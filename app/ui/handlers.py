"""What the page asks of the service. Each handler is public, so each checks everything it is given.

An answer is JSON: what was asked for, or `{"error": {"where", "message", ...}}` for everything a visitor can
act on, with the part of the page that it belongs to. Internal errors are raised, and logged by the server.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Annotated, Any, Literal

from gradio.data_classes import DataWithFiles
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.engine import Engine, File, MapsRequest, Picture, Turn
from app.engine.words import close_words, parse_words, plain
from app.failures import (
    BusyError,
    ForgottenError,
    GoneError,
    KeepingError,
    LateError,
    NotReadyError,
    RegionError,
)
from app.ui.about import trio_view
from app.ui.depths import positions
from app.ui.files import taken_file
from app.ui.paper import PaperRequest
from app.ui.pictures import BUDGET, OpenPictures
from app.ui.region import ranked, read_region, region_view
from app.ui.samples import Sample
from app.ui.view import comparison_view, data_uri, diverging_view, palettes_view, preview
from lfi.comparison import MODELS, Comparison, model_of
from lfi.errors import ConfigError, ImageError, LFIError, UnknownWordError, WordsError
from lfi.presence import short
from lfi.rendering import DEFAULT, OPACITY

THUMBNAIL = 128
Answer = dict[str, Any]


class PageRequest(BaseModel):
    """What every request of the page says. The picture is uploaded along with it, or named."""

    model_config = ConfigDict(extra="forbid")

    words: list[Annotated[str, StringConstraints(max_length=2000)]] = Field(max_length=200)
    trio: str | None = Field(None, max_length=100)
    columns: list[Annotated[str, StringConstraints(max_length=60)]] = Field(list(MODELS), min_length=1, max_length=3)
    """What stands side by side: models, or explanations of one such as `baseline:rollout`."""
    sample: str | None = Field(None, max_length=100)
    token: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    shown: bool = False
    """The page has the picture on screen already: its preview need not be sent again."""


class FileRequest(PageRequest):
    """What a download says besides: the file, and how the maps are shown at the moment."""

    format: Literal[
        "overlays", "npz", "json", "study", "svg", "pdf", "png", "film-gif", "film-svg", "film-pdf", "film-png", "paper"
    ]
    position: int = Field(0, ge=0)
    word: int = Field(0, ge=0)
    """Number of the word that is on screen; a film follows it."""
    palette: str = Field(DEFAULT, max_length=40)
    opacity: float = Field(OPACITY, ge=0, le=1)
    smooth: bool = True
    contour: bool = False
    region: str | None = Field(None, max_length=200_000)
    """The region that is marked, as for `RegionRequest`."""
    paper: PaperRequest | None = None


class RegionRequest(PageRequest):
    """A region besides: a small image, base64, light where it is marked."""

    region: str = Field(max_length=200_000)


class RankRequest(PageRequest):
    """Whose explanations are compared, for which word; with a region, by what lies in it."""

    model: Literal["lfi", "baseline"]
    word: int = Field(0, ge=0)
    region: str | None = Field(None, max_length=200_000)


class ForgetRequest(BaseModel):
    """Which kept picture to delete, and the keys that its keeper got: one each time it was kept."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(pattern="^[0-9a-f]{64}$")
    keys: tuple[Annotated[str, Field(max_length=100)], ...] = Field(min_length=1, max_length=100)


class Handlers:
    """The page's questions, answered by one engine. Whatever decodes or asks the models is given its turn.

    Args:
        samples: by name.
    """

    def __init__(self, engine: Engine, samples: dict[str, Sample]):
        self.engine = engine
        self.settings = engine.settings
        self.samples = samples
        decode = partial(engine.decode, first_frame=True)
        self.pictures = OpenPictures(decode, BUDGET)
        self.opened = OpenPictures(decode, BUDGET // 4)
        """Kept pictures, decoded; asked only while they are kept, so that nobody sees one that was deleted."""

    def describe(self) -> Answer:
        """What there is: models and their cards, samples, palettes, limits; until models are warm, only that."""
        trios = self.engine.trios
        if not trios.ready:
            return {"ready": False, "problem": trios.failures.get(self.settings.trio)}
        return {
            "ready": True,
            "trio": self.settings.trio,
            "trios": [trio_view(trio) for trio in trios.loaded.values()],
            "samples": self._sample_views,
            "palettes": palettes_view(),
            "palette": DEFAULT,
            "diverging": diverging_view(),
            "opacity": OPACITY,
            "keeping": self.engine.kept.days,
            "studies": bool(self.settings.admin_token.get_secret_value()),
            "limits": {
                "bytes": self.settings.max_bytes,
                "words": self.settings.max_words,
                "phrase": self.settings.max_phrase,
            },
        }

    def check(self, payload: object) -> Answer:
        """Whether the models know these words; asked while there is no picture yet."""

        def step() -> Answer:
            asked = PageRequest.model_validate(payload)
            words = parse_words(asked.words, self.settings.word_limits)
            self.engine.question(MapsRequest(words, trio=asked.trio))
            return {"called": self._called(words, asked)}

        return _answered(step)

    def compare(self, payload: object, turn: Turn) -> Answer:
        """Maps of all models for a picture and words."""

        def step() -> Answer:
            fields, data = _unpacked(payload)
            asked = PageRequest.model_validate(fields)
            picture = self._picture(asked, data, turn)
            answer: Answer = {"picture": self._picture_view(picture, asked.shown)}
            if asked.words:  # unknown words do not hide the picture
                answer |= _answered(lambda: {"view": self._view(picture, asked, turn)})
            elif not asked.sample:
                seen = self.engine.seen(picture, MapsRequest((), trio=asked.trio), turn)
                answer |= {"seen": _seen_view(seen)}
            return answer

        return _answered(step)

    def download(self, payload: object, turn: Turn) -> Answer:
        """A file of what is on screen: overlays, raw maps or a figure."""

        def step() -> Answer:
            fields, data = _unpacked(payload)
            asked = FileRequest.model_validate(fields)
            picture = self._picture(asked, data, turn)
            comparison = self._compared(picture, asked, turn)
            places = positions(comparison, asked.columns)
            if asked.position >= len(places):
                raise ConfigError(f"layer position is {asked.position}; 0 to {len(places) - 1} was expected")
            if asked.word >= len(comparison.words):
                raise ConfigError(f"word is {asked.word}; 0 to {len(comparison.words) - 1} was expected")
            columns = (asked.paper and asked.paper.columns) or asked.columns
            if foreign := [column for column in columns if column not in asked.columns]:
                raise ConfigError(f"column {foreign[0]!r} is not on screen; there are: {', '.join(asked.columns)}")
            file = taken_file(
                asked.format,
                _only(comparison, columns),
                picture.drawn,
                places,
                asked.position,
                asked.palette,
                self.engine.trios.get(asked.trio),
                picture.sha256,
                side=self.settings.overlay_side,
                opacity=asked.opacity,
                smooth=asked.smooth,
                contour=asked.contour,
                region=None if asked.region is None else read_region(asked.region),
                word=asked.word,
                paper=asked.paper,
            )
            return {"name": file.name, "type": file.media_type, "data": base64.b64encode(file.data).decode()}

        return _answered(step)

    def measure(self, payload: object, turn: Turn) -> Answer:
        """How much of every map lies in a marked region."""

        def step() -> Answer:
            fields, data = _unpacked(payload)
            asked = RegionRequest.model_validate(fields)
            region = read_region(asked.region)
            comparison = self._compared(self._picture(asked, data, turn), asked, turn)
            return {"region": region_view(comparison, asked.columns, region)}

        return _answered(step)

    def rank(self, payload: object, turn: Turn) -> Answer:
        """Every explanation of a student for one word of this picture, the one that does best here first.

        Best is what lies most in the marked region or, without one, is most like the teacher's map; each at the layer
        that it is shown at.
        """

        def step() -> Answer:
            fields, data = _unpacked(payload)
            asked = RankRequest.model_validate(fields)
            region = None if asked.region is None else read_region(asked.region)
            picture = self._picture(asked, data, turn)
            words = parse_words(asked.words, self.settings.word_limits)[asked.word : asked.word + 1]
            explained = [key for key in self.engine.trios.get(asked.trio).layers if model_of(key) == asked.model]
            found = self.engine.ask(picture, MapsRequest(words, ("teacher", *explained), trio=asked.trio), turn)
            return {"ranked": ranked(found, explained, region)}

        return _answered(step)

    def keep(self, payload: object, turn: Turn) -> Answer:
        """Keep the picture for some days, so that a link to it works; from then on the page shows what is kept."""

        def step() -> Answer:
            fields, data = _unpacked(payload)
            picture = self._picture(PageRequest.model_validate(fields), data, turn)
            receipt = self.engine.kept.keep(picture.drawn)
            stored = self.engine.kept.get(receipt.hash)
            assert stored is not None
            shown = self._picture_view(self.opened.add(File(stored), turn), shown=False)
            return {"picture": shown | {"exact": receipt.exact}, "kept": {"key": receipt.key}}

        return _answered(step)

    def forget(self, payload: object) -> Answer:
        """Delete a kept picture."""

        def step() -> Answer:
            asked = ForgetRequest.model_validate(payload)
            self.engine.kept.forget(asked.token, asked.keys)
            return {}

        return _answered(step)

    def _view(self, picture: Picture, asked: PageRequest, turn: Turn) -> Answer:
        view = comparison_view(self._compared(picture, asked, turn), asked.columns)
        return view | {"called": self._called(asked.words, asked)}

    def _called(self, words: Sequence[str], asked: PageRequest) -> dict[str, str]:
        """The names under which the words are answered."""
        vocabulary = self.engine.trios.get(asked.trio).vocabulary
        return {word: plain(word, vocabulary) for word in words}

    def _compared(self, picture: Picture, asked: PageRequest, turn: Turn) -> Comparison:
        """The columns asked for, and the three models in any case: the page compares with the teacher."""
        words = parse_words(asked.words, self.settings.word_limits)
        answers = dict.fromkeys((*MODELS, *asked.columns))
        found = self.engine.ask(picture, MapsRequest(words, tuple(answers), trio=asked.trio), turn)
        turn.check()
        return found

    def _picture(self, asked: PageRequest, data: bytes | None, turn: Turn) -> Picture:
        if data is not None:
            return self.pictures.add(File(data), turn)
        if asked.sample:
            if asked.sample not in self.samples:
                raise ImageError(f"there is no sample {asked.sample!r}; choose another")
            return self._sample(asked.sample, turn)
        named = self.pictures.get(asked.token or "")
        if named is not None:
            return named
        stored = self.engine.kept.get(asked.token or "")
        if stored is None:
            raise ForgottenError("the picture is no longer held here; choose it again")
        return self.opened.add(File(stored), turn)

    def _sample(self, name: str, turn: Turn) -> Picture:
        return self.pictures.add(File(self.samples[name].path.read_bytes()), turn)

    def _picture_view(self, picture: Picture, shown: bool) -> Answer:
        answer: Answer = {"token": picture.sha256, "width": picture.size[0], "height": picture.size[1]}
        if picture.note:
            answer["note"] = picture.note
        if not shown:
            answer |= {
                "note": picture.note,
                "preview": preview(picture.drawn),
                "until": self.engine.kept.until(picture.sha256),
            }
        return answer

    @cached_property
    def _sample_views(self) -> list[Answer]:
        views = []
        for sample in self.samples.values():
            small = self._sample(sample.name, Turn()).drawn.copy()
            small.thumbnail((THUMBNAIL, THUMBNAIL))
            said = {"name": sample.name, "alt": sample.alt, "words": list(sample.words), "scene": sample.scene}
            said["trio"] = sample.trio
            views.append({**said, "thumbnail": data_uri(small)})
        return views


def _answered(step: Callable[[], Answer]) -> Answer:
    """The step's answer, or what the visitor can do about its error and where on the page."""
    try:
        return step()
    except (BusyError, GoneError, LateError):  # the caller that admitted the request reports it
        raise
    except UnknownWordError as error:
        # what a peer does not know stays among the words: the other columns may know it
        if error.peer:
            return _error("words", error)
        near = error.nearest if error.by_meaning else close_words(error.nearest)
        return _error("words", error, unknown=near, seen=_seen_view(error.seen))
    except WordsError as error:
        return _error("words", error)
    except ForgottenError as error:
        return _error("picture", error, forgotten=True)
    except ImageError as error:
        return _error("picture", error)
    except RegionError as error:
        return _error("region", error)
    except KeepingError as error:
        return _error("share", error)
    except NotReadyError as error:
        return _error("page", error, retry=True)
    except LFIError as error:
        return _error("page", error)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the request"
        return {"error": {"where": "page", "message": f"{where}: {first['msg']}"}}


def _seen_view(seen: Sequence[tuple[str, float]]) -> list[Answer]:
    """What the teacher sees in a picture."""
    return [{"word": word, "likely": short(probability)} for word, probability in seen]


def _only(comparison: Comparison, columns: Sequence[str]) -> Comparison:
    """The columns alone, in their order."""
    kept = {column: comparison.maps[column] for column in columns}
    return replace(
        comparison,
        maps=kept,
        default_layer={column: comparison.default_layer[column] for column in kept},
        presence={column: said for column, said in comparison.presence.items() if column in kept},
        absent={column: said for column, said in comparison.absent.items() if column in kept},
    )


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
    except (ValueError, RecursionError) as error:
        raise ConfigError("the form's field `request` is not JSON") from error
