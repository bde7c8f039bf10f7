"""Detection and instance segmentation with a student as the backbone."""

from lfi.detection.detector import build_detector
from lfi.detection.pyramid import SimplePyramid

__all__ = ["SimplePyramid", "build_detector"]
