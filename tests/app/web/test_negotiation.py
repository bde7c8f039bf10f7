"""Which answer a request's `Accept` asks for."""

from __future__ import annotations

import pytest

from app.failures import NotAcceptableError
from app.web.negotiation import JSON, NPZ, ZIP, preferred


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/html,application/xhtml+xml,*/*;q=0.8", JSON),
        ("application/x-npz", NPZ),
        ("APPLICATION/ZIP", ZIP),
        ("application/json;q=0.5, application/zip", ZIP),
        ("application/json;q=0, */*", NPZ),
        ("image/png, application/x-npz;q=0.1", NPZ),
    ],
)
def test_the_answer_has_the_type_that_is_accepted_most(accept, media_type):
    assert preferred(accept) == media_type


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "text/*", "nonsense"])
def test_a_type_that_we_do_not_have_is_refused_with_those_that_we_have(accept):
    with pytest.raises(NotAcceptableError) as refused:
        preferred(accept)
    assert str(refused.value) == (
        f"Accept is {accept!r}; the answer can be application/json, application/x-npz, application/zip"
    )
