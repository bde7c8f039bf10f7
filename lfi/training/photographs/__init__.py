"""The models for photographs, from scratch except for a pretrained image tower: `lfi train-default photographs`."""
