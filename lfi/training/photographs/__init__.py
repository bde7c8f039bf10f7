"""The models for photographs, from nothing but an ImageNet-pretrained image tower: `lfi train-default photographs`."""
