"""The pages that people see. Gradio carries them; what they look like is in `static/`."""

from app.ui.inspector import build_inspector, page_head

__all__ = ["build_inspector", "page_head"]
