"""Vision-language models that a student learns from, read as interactions between words and image regions."""

from lfi.teachers.base import BaseTeacher
from lfi.teachers.clip import ClipTeacher
from lfi.teachers.coca import CoCaTeacher
from lfi.teachers.generative import GenerativeTeacher
from lfi.teachers.loading import load_teacher, save_teacher
from lfi.teachers.teacher import EncodedImages, Teacher

__all__ = [
    "BaseTeacher",
    "ClipTeacher",
    "CoCaTeacher",
    "EncodedImages",
    "GenerativeTeacher",
    "Teacher",
    "load_teacher",
    "save_teacher",
]
