"""Export of trained detectors: MXNet's symbol and parameters, or ONNX."""
