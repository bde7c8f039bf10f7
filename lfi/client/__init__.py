"""A running service from Python: `Client("http://127.0.0.1:7860").maps("cat.jpg", ["cat"])`, or with `AsyncClient`.

Importing this needs no torch; only maps, once they arrive, are tensors.
"""

from lfi.client.answers import Answer, BatchStatus, ModelInfo, Models, TrioInfo
from lfi.client.asynchronous import AsyncClient, AsyncRemoteBatch
from lfi.client.batches import RemoteBatch
from lfi.client.client import Client
from lfi.client.errors import ProblemError, ServiceError, UnreachableError
from lfi.client.retries import Retries

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncRemoteBatch",
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
