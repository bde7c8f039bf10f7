"""Many images at once: a folder or a zip in, scores, maps and a gallery out."""
