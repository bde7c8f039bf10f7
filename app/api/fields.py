"""What routes of the API take: form fields, and the engine that answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, File, Form, Request, UploadFile

from app.engine import Engine
from lfi.comparison import MODELS


async def get_engine(request: Request) -> Engine:
    """This application's engine, from `app.state`: the page's mount drops lifespan state."""
    return request.app.state.engine


EngineDep = Annotated[Engine, Depends(get_engine)]
Upload = Annotated[
    UploadFile,
    File(description="A JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image. Transparency becomes white."),
]
Words = Annotated[
    list[str],
    Form(
        description="Words or short phrases: one per field, or several with commas between. Where the models know no "
        "articles, these are left out: `the star` is answered as `star`.",
        examples=[["red circle", "star"]],
    ),
]
Models = Annotated[
    list[str],
    Form(
        description=f"Any of {', '.join(MODELS)}, which all answer by default, or of the other `explanations` that "
        "`GET /v1/models` lists for the trio.",
        examples=[["teacher", "lfi", "baseline:rollout"]],
    ),
]
Layers = Annotated[
    list[str], Form(description="Indices of layers, from 0 (the page counts from 1); all by default.", examples=[["0"]])
]
Heads = Annotated[bool, Form(description="Every attention head on its own instead of their mean.")]
TrioName = Annotated[str, Form(description="A trio of `GET /v1/models`; the default one where empty.")]
