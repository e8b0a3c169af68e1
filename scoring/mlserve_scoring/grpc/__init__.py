"""The Open Inference Protocol over gRPC: a feature of the image, answered by what answers ``/v2``."""
