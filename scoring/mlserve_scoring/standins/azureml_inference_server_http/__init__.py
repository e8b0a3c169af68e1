"""Stand-in for the part of ``azureml_inference_server_http`` that entry scripts import."""
