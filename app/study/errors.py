"""What a rater or an owner can run into. `app.errors` gives each its HTTP status."""

from __future__ import annotations

from lfi.errors import LFIError


class StudyError(LFIError):
    """A study cannot do what was asked of it in its present state."""


class NothingHereError(StudyError):
    """No such study, trial or picture, or it is somebody else's: the two answers are the same."""


class NotYoursError(StudyError):
    """Nobody is signed in, or the request comes from another site."""


class ConflictError(StudyError):
    """The answer was overtaken: by another window, by a place that went to somebody else, by the study's end."""


class TooMuchError(StudyError):
    """A request that is larger than any answer."""
