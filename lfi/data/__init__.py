"""Data sets: generated scenes, whose contents are known exactly."""

from lfi.data.objects import SceneObject
from lfi.data.scenes import CLASSES, Scene, SceneBatch, Scenes

__all__ = ["CLASSES", "Scene", "SceneBatch", "SceneObject", "Scenes"]
