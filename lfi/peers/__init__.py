"""Peers: third-party models next to a trio, explained in the same ways on the same scale.

A peer is a vision transformer of timm or the image tower of an open_clip CLIP. Either is read as a student without
queries, so `lfi.students.explanations` explains it as it does a baseline. What differs is where a word is scored: in
CLIP's own text space, or by a classifier's logit of the class of that name. A timm model that names no classes shows
what does not depend on a word.
"""

from lfi.peers.loading import load_peer, timm_model
from lfi.peers.peer import Classifier, Peer, check_name

__all__ = ["Classifier", "Peer", "check_name", "load_peer", "timm_model"]
