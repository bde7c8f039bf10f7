"""The list of names that comes along: ImageNet's classes, their synonyms and what is above them (`wordnet.py` makes it)."""

from pathlib import Path

IMAGENET_NAMES = Path(__file__).with_name("imagenet-names.json.gz")
