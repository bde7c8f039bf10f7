"""Every error of the service, and how each is answered: status, kind and title.

Errors of the science (`lfi.errors`) know no HTTP, so what they become stands here as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from lfi.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    ImageError,
    ImageTooLargeError,
    LFIError,
    TrainingError,
    UnknownModelError,
    UnknownWordError,
    UnsupportedModelError,
    WordsError,
)


@dataclass(frozen=True)
class Kind:
    """How an error is answered.

    Attributes:
        status: of HTTP.
        name: ends the problem's type, `urn:problem-type:lfi:NAME`; empty where the status says it all.
        title: the kind in a few words, the same each time.
    """

    status: int
    name: str
    title: str


_GENERAL = Kind(422, "error", "The request cannot be answered")


class NotReadyError(LFIError):
    """The models are still being loaded; the same request succeeds in a moment."""

    kind = Kind(503, "not-ready", "The models are still loading")


class BusyError(LFIError):
    """Too many requests are waiting; the same request succeeds in a moment."""

    kind = Kind(503, "busy", "The service is busy")


class LateError(LFIError):
    """The request was not answered in time; the same one may succeed later, under less load."""

    kind = Kind(503, "late", "The request took too long")


class StorageError(LFIError):
    """The database cannot be reached, is locked, full or read-only; the same request may succeed later.

    Attributes:
        reason: what the database said, for the log and the command line. It may name hosts, so no client is sent it.
    """

    kind = Kind(503, "storage", "The database is not available")

    def __init__(self, reason: str, message: str = "the studies cannot be reached or stored at the moment; try again"):
        super().__init__(message)
        self.reason = reason


class NewerSchemaError(StorageError, DataError):
    """The database was made by a newer version of LFI."""

    kind = StorageError.kind

    def __init__(self, supported: str, found: str):
        super().__init__(
            "", f"the database has schema {found}, this version of LFI supports up to {supported}; update LFI"
        )


class GoneError(LFIError):
    """Nobody is waiting for the answer any more."""

    kind = Kind(499, "gone", "The client has gone")


class NotAcceptableError(LFIError):
    """The client accepts none of the media types that the answer could have."""

    kind = Kind(406, "not-acceptable", "No acceptable answer")


class NotAnImageError(ImageError):
    """The bytes are not an image in any of the formats we read."""

    kind = Kind(415, "not-an-image", "Not an image")


class RegionError(LFIError):
    """The marked region cannot be read, or is empty."""

    kind = _GENERAL


class ForgottenError(LFIError):
    """The service no longer holds the picture that the page asks about."""

    kind = _GENERAL


class KeepingError(LFIError):
    """A picture cannot be kept, or is not kept any more."""

    kind = _GENERAL


class ArchiveError(LFIError):
    """A zip that is damaged, holds nothing to look at, or would unpack to more than it may."""

    kind = Kind(422, "archive", "The archive cannot be used")


class BatchesFullError(LFIError):
    """A sender's places for batches are taken, or there is no room for more of them.

    Attributes:
        retry_after: seconds until there should be.
    """

    kind = Kind(429, "batches-full", "All places for batches are in use")

    def __init__(self, message: str, retry_after: float):
        super().__init__(message)
        self.retry_after = retry_after


class NothingHereError(LFIError):
    """No such page, picture, batch, study or trial, or it belongs to somebody else: the two answers are the same."""

    kind = Kind(404, "nothing-here", "There is nothing here")


class NotYoursError(LFIError):
    """Nobody is signed in, or the request comes from another site."""

    kind = Kind(403, "not-yours", "You are not allowed to do this")


class TooMuchError(LFIError):
    """A request that is larger than it may be."""

    kind = Kind(413, "too-much", "The request is too large")


class StudyError(LFIError):
    """A study cannot do this in its present state."""

    kind = Kind(422, "study", "The study cannot do that")


class ConflictError(StudyError):
    """The answer was superseded: by another window, by a place that went to somebody else, by the end of the study."""

    kind = Kind(409, "conflict", "The answer was superseded")


class NotNowError(ConflictError):
    """An answer that cannot be stored now, but may be later: another trial comes first, or the study is closed."""

    kind = Kind(409, "not-now", "The answer cannot be stored now")


# Answered by the web layer and the gate themselves; nobody raises them.
MALFORMED = Kind(422, "request", "The request is malformed")
REQUEST_TOO_LARGE = Kind(413, "request-too-large", "The request is too large")
NO_KEY = Kind(401, "no-key", "An API key is needed")
WRONG_SCOPE = Kind(403, "scope", "The key does not give access to this")
TOO_MANY_REQUESTS = Kind(429, "too-many-requests", "Too many requests")

_SCIENCE: dict[type[LFIError], Kind] = {
    ImageTooLargeError: Kind(413, "image-too-large", "The image is too large"),
    ImageError: Kind(422, "image", "The image cannot be used"),
    UnknownWordError: Kind(422, "unknown-word", "Unknown word"),
    WordsError: Kind(422, "words", "The words cannot be used"),
    UnknownModelError: Kind(422, "unknown-model", "Unknown model"),
    UnsupportedModelError: Kind(422, "unsupported-model", "Unsupported model"),
    CheckpointError: Kind(422, "checkpoint", "A checkpoint cannot be read"),
    ConfigError: Kind(422, "config", "A value is out of range"),
    DataError: Kind(422, "data", "Data are missing"),
    TrainingError: Kind(422, "training", "The training cannot go on"),
    LFIError: _GENERAL,
}


def kind_of(error: LFIError | type[LFIError]) -> Kind:
    """How an error is answered: its own kind, or that of the nearest parent which has one."""
    lineage = (error if isinstance(error, type) else type(error)).__mro__
    return next(kind for each in lineage if (kind := vars(each).get("kind") or _SCIENCE.get(each)))


def plain(status: int) -> Kind:
    """The kind of an error that its HTTP status says all about."""
    return Kind(status, "", HTTPStatus(status).phrase)
