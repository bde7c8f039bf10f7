"""A running service from Python: `Client("http://127.0.0.1:7860").maps("cat.jpg", ["cat"])`.

Importing this needs no torch; only maps, once they arrive, are tensors.
"""

from lfi.client.answers import Answer, ModelInfo, Models, TrioInfo
from lfi.client.batches import BatchStatus, RemoteBatch
from lfi.client.client import Client
from lfi.client.errors import ProblemError, ServiceError, UnreachableError
from lfi.client.retries import Retries

__all__ = [
    "Answer",
    "BatchStatus",
    "Client",
    "ModelInfo",
    "Models",
    "ProblemError",
    "RemoteBatch",
    "Retries",
    "ServiceError",
    "TrioInfo",
    "UnreachableError",
]
