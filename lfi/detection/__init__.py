"""Detection and instance segmentation with a student as the backbone."""

from lfi.detection.detector import build_detector
from lfi.detection.files import DetectorCard, load_detector, save_detector
from lfi.detection.pyramid import SimplePyramid

__all__ = ["DetectorCard", "SimplePyramid", "build_detector", "load_detector", "save_detector"]
