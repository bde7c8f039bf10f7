"""Peers: third-party models next to a trio, explained in the same ways on the same scale.

A peer is a model of timm or the image tower of an open_clip CLIP. A plain vision transformer that reads out its class
token is read as a student without queries, so `lfi.students.explanations` explains it as it does a baseline. Any other
model that timm has feature maps of is explained by gradients (Grad-CAM, LayerCAM), and by its attention where that can
be read: with registers, after the rotation of rotary positions, or of a pooling query; its card says which. A word is
scored in CLIP's own text space, or by a classifier's logit of the class of that name. A model that names no classes
shows what does not depend on a word.
"""

from lfi.peers.featured import FeaturePeer
from lfi.peers.loading import load_peer, timm_model
from lfi.peers.peer import Classifier, Peer, StudentPeer, check_name

__all__ = ["Classifier", "FeaturePeer", "Peer", "StudentPeer", "check_name", "load_peer", "timm_model"]
