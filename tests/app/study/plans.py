"""Small studies, as people would write them down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

WORDS = ("red circle", "blue star", "green ring", "pink heart", "cyan cross", "purple moon")

HEAD = """
name = "{name}"
languages = ["en", "de"]
trio = "tiny"
side = 96
conditions = {conditions}

[rating]
overlap = {overlap}
trials = {trials}
scale = {scale}

[pair]
overlap = {pair_overlap}
trials = {pair_trials}
contrasts = {contrasts}

[rules]
lease_minutes = 10
prolific = true
prolific_study = "P1"
entry = "{entry}"
max_too_fast = {too_fast}

[analysis]
max_failed_catch = 0

[completion]
code = "C0DE-42"
redirect = "https://app.prolific.com/submissions/complete?cc=C0DE"
no_consent_code = "N0"
screened_out_code = "0UT"
screened_out_redirect = "https://app.prolific.com/submissions/complete?cc=0UT"
full_code = "FU11"

[texts.en]
title = "Maps and words"
consent = "We **store** your answers. <script>alert(1)</script>"
instructions = "Look at the picture."
thanks = "That helped."

[texts.de]
title = "Karten und Wörter"
consent = "Wir **speichern** Ihre Antworten."
instructions = "Sehen Sie das Bild an."
thanks = "Das hat geholfen."
"""

PRACTICE = """
[[practice]]
image = "p0.png"
word = "red circle"
shown = { de = "roter Kreis" }
box = [0.1, 0.1, 0.5, 0.5]
expected = [4, 5]
feedback = { en = "The **circle** is highlighted.", de = "Der Kreis ist hervorgehoben." }
"""

CATCH = """
[[catch]]
image = "p1.png"
word = "blue star"
box = [0.7, 0.7, 1.0, 1.0]
expected = [1, 2]
"""

CHECK = """
[[check]]
question = { en = "What do you judge?", de = "Was beurteilen Sie?" }
answers = { en = ["the picture", "the highlight"], de = ["das Bild", "die Hervorhebung"] }
right = 2

[[check]]
question = { en = "Is your name stored?", de = "Wird Ihr Name gespeichert?" }
answers = { en = ["no", "yes"], de = ["nein", "ja"] }
right = 1
"""


def write_plan(
    folder: Path,
    name: str = "pilot",
    images: int = 8,
    overlap: int = 2,
    trials: int = 8,
    scale: int = 5,
    pair_overlap: int = 0,
    pair_trials: int = 4,
    practice: bool = False,
    catch: bool = False,
    words_per_image: int = 1,
    conditions: tuple[str, ...] = ("teacher", "lfi", "baseline", "shuffled"),
    extra: str = "",
    entry: str = "open",
    too_fast: int = -1,
    check: bool = False,
    contrasts: tuple[tuple[str, str], ...] = (("lfi", "baseline"),),
) -> Path:
    """A study of generated pictures in `folder`, and where its plan is."""
    rng = np.random.default_rng(7)
    text = extra + HEAD.format(
        name=name,
        conditions=list(conditions),
        overlap=overlap,
        trials=trials,
        scale=scale,
        pair_overlap=pair_overlap,
        pair_trials=pair_trials,
        entry=entry,
        too_fast=too_fast,
        contrasts=[list(contrast) for contrast in contrasts],
    )
    for number in range(images):
        pixels = rng.integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((96, 72)).save(folder / f"p{number}.png")
        for other in range(words_per_image):
            word = WORDS[(number + other) % len(WORDS)]
            text += f'\n[[items]]\nimage = "p{number}.png"\nword = "{word}"\nshown = {{ de = "Wort {number}" }}\n'
    text += PRACTICE * practice + CATCH * catch + CHECK * check
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path
