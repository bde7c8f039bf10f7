"""The names that come along: ImageNet's classes, their synonyms and what is above them, as `wordnet.py` finds them."""

from pathlib import Path

IMAGENET_NAMES = Path(__file__).with_name("imagenet-names.json.gz")
