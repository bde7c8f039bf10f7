"""An LFI student without torch: as ONNX with the words that it knows, and what runs that with onnxruntime and NumPy."""
