"""Serves one model twice: through an entry script, and by itself."""

import pulumi

from pulumi_mlserve import LocalService, RegisteredModel, ScoringImage

model = RegisteredModel("diabetes", path="model/ridge.onnx", tags={"area": "diabetes", "type": "regression"})

# With an entry script: its decorators say what it accepts and returns, and bring a sample.
image = ScoringImage("diabetes", models=[model], entry_script="score.py", source_directory="src", conda_file="env.yml")
service = LocalService("diabetes", image=image, port=8890)

# Without one: an ONNX file says for itself what it accepts and returns.
# It is ready when it has answered the samples.
sample = {"data": [[0.038, 0.051, 0.062, 0.022, -0.044, -0.035, -0.043, -0.003, 0.02, -0.018]]}
onnx_image = ScoringImage("diabetes-onnx", models=[model], samples=[sample])
onnx_service = LocalService("diabetes-onnx", image=onnx_image, port=8891)

pulumi.export("scoring_uri", service.scoring_uri)
pulumi.export("onnx_scoring_uri", onnx_service.scoring_uri)
