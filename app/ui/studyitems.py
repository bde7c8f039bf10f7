"""A picture and its words as items of a study: a zip whose files stand beside the owner's plan (`docs/study.md`)."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence

from PIL import Image

from lfi.rendering import encode_webp

_LONGEST = 2048


def study_items(words: Sequence[str], image: Image.Image, token: str) -> bytes:
    """`items.toml`, a block for every word to be pasted into a plan, and the picture it names.

    Args:
        token: SHA-256 of the picture's file; a part of it names the picture in the zip.
    """
    name = f"picture-{token[:12]}.webp"
    small = image.copy()
    small.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    lines = [
        "# Study items. Unzip this next to your plan and paste what follows into it; then, for a plan.toml:",
        "#     lfi study create plan.toml",
    ]
    for word in words:
        # a JSON string is a TOML string, too
        lines += ["", "[[items]]", f'image = "{name}"', f"word = {json.dumps(word, ensure_ascii=False)}"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file, data in (("items.toml", ("\n".join(lines) + "\n").encode()), (name, encode_webp(small, 90))):
            archive.writestr(zipfile.ZipInfo(file, (1980, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()
