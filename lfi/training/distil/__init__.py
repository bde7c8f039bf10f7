"""`lfi distil`: from images to students of a teacher, with everything chosen for the data and the machine.

What is asked for is a `Request`; what will be done, how long it takes and how much it holds is a `Plan`, made from a
short measurement. `evaluation.distil` carries it out.
"""

from lfi.training.distil.plan import Plan, Stage
from lfi.training.distil.request import Request

__all__ = ["Plan", "Request", "Stage"]
