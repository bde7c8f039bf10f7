"""Uploads that nobody should send, made by a seeded generator, to see what a service makes of them."""

from bench.hostile.corpus import KINDS, Upload, hostile_uploads

__all__ = ["KINDS", "Upload", "hostile_uploads"]
