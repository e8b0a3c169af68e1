"""The real azureml-inference-server-http next to our server: the same scripts, the same requests."""
