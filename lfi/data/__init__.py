"""Data sets: generated scenes, whose contents are known exactly."""

from lfi.data.scenes import CLASSES, Scene, SceneBatch, SceneObject, Scenes

__all__ = ["CLASSES", "Scene", "SceneBatch", "SceneObject", "Scenes"]
