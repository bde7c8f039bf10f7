"""The pages that people see. Gradio carries them; what they look like is in `static/`."""

from app.ui.assets import FreshFiles
from app.ui.inspector import build_inspector, page_head

__all__ = ["FreshFiles", "build_inspector", "page_head"]
