"""Names of things: the list that comes along."""

from __future__ import annotations

from pathlib import Path

IMAGENET_NAMES = Path(__file__).with_name("imagenet-names.json.gz")
"""Names for ImageNet's classes and for what is above them, as `wordnet.py` finds them."""
