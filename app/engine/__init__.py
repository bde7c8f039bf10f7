"""The one way from an image and words to maps. Every door asks the same engine: API, page, agents, batches, studies."""

from app.engine.engine import Engine
from app.engine.pictures import File, Picture
from app.engine.request import MapsRequest
from app.engine.turns import Turn

__all__ = ["Engine", "File", "MapsRequest", "Picture", "Turn"]
