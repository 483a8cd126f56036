"""A trained detector as a file for other programs: MXNet's symbol and parameters, or ONNX."""
