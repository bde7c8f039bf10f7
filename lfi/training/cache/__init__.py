"""The teacher cache: what a teacher says about every image, once, on disk."""

from lfi.training.cache.build import Report, build
from lfi.training.cache.settings import Settings
from lfi.training.cache.store import Store, open_store

__all__ = ["Report", "Settings", "Store", "build", "open_store"]
