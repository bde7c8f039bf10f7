"""Training: configurations, tasks, the loop, checkpoints, the default trio."""

from lfi.training.config import TrainConfig, load_config

__all__ = ["TrainConfig", "load_config"]
