"""The scoring server inside every image: loads an entry script or an ONNX model, answers samples, then serves."""

__version__ = "0.1.0"
