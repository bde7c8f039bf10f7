"""Answerers: everything that can say where a word is in an image. The service and every evaluation ask only these.

`teacher` is a vision-language model, `queries` a student with Interaction Queries, `explained` a student as a post-hoc
explanation shows it, `peer` a third-party model. All implement one contract, `Answerer`.
"""

from lfi.answerers.answerer import Address, Answer, Answerer, Encoded, ask
from lfi.answerers.explained import ExplainedAnswerer, explained_answerers
from lfi.answerers.lineup import line_up
from lfi.answerers.peer import PeerAnswerer
from lfi.answerers.queries import QueriesAnswerer
from lfi.answerers.teacher import DenseAnswerer, TeacherAnswerer, dense_answerers

__all__ = [
    "Address",
    "Answer",
    "Answerer",
    "DenseAnswerer",
    "Encoded",
    "ExplainedAnswerer",
    "PeerAnswerer",
    "QueriesAnswerer",
    "TeacherAnswerer",
    "ask",
    "dense_answerers",
    "explained_answerers",
    "line_up",
]
