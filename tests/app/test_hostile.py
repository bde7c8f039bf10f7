"""The hostile corpus is answered with maps or a problem, whatever is in it."""

from __future__ import annotations

from collections import Counter

from bench.hostile import KINDS, hostile_uploads
from bench.hostile.attack import judged, send

QUICK = [kind for kind in KINDS if kind != "nearly too many pixels"]
"""That one takes a second each: `lfi benchmark hostile` sends it, too."""


def test_hostile_uploads_are_answered_with_maps_or_a_problem_and_the_service_answers_on(client, ask):
    verdicts, wrong = Counter(), []
    for number, upload in enumerate(hostile_uploads(3 * len(QUICK) + 6, 11, "star", QUICK)):
        verdict = judged(send(client, upload))
        verdicts[verdict] += 1
        if verdict not in ("maps", "refused"):
            wrong.append((number, upload.kind, verdict))
    assert wrong == []
    assert verdicts.total() == 3 * len(QUICK) + 6
    assert min(verdicts["maps"], verdicts["refused"]) >= 20  # neither everything is let in nor everything is refused
    assert ask().status_code == 200
