"""The pages that people see. Gradio carries them; what they look like is in `static/`."""

from app.ui.inspector import build_inspector

__all__ = ["build_inspector"]
