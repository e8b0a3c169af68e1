"""Facts about v1 deployments: each piece of the corpus runs unmodified or is refused with words that help."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import mlserve_scoring
import pytest
from mlserve_scoring.contract import samples_from_json
from mlserve_scoring.manifest import MANIFEST_PATH, Manifest, ModelEntry, dump

from pulumi_mlserve.clients.environments.interpreter import isolated_python
from pulumi_mlserve.clients.environments.resolver import Resolver, host_platform, modules
from pulumi_mlserve.clients.places import cache_folder
from pulumi_mlserve.clients.trials.trial import Trial
from pulumi_mlserve.core.environments.environment import (
    EnvironmentSpec,
    environment_from,
    runtime_requirements,
    with_runtime,
)
from pulumi_mlserve.core.problems import InvalidInputError
from pulumi_mlserve.core.scripts.entry_script import check_entry_script

CORPUS = Path(__file__).parent.parent / "corpus"
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def environment_of(piece: str, text: str | None = None) -> EnvironmentSpec:
    """Return the environment of a piece, for this machine's Python, the runtime's requirements joined."""
    folder = CORPUS / piece
    if (folder / "env.yml").is_file():
        text = re.sub(r"python=3\.1\d", f"python={OWN}", text or (folder / "env.yml").read_text())
        spec = environment_from(conda_text=text)
    else:
        spec = environment_from(requirements_text=(folder / "requirements.txt").read_text(), python=OWN)
    return with_runtime(spec, runtime_requirements(entry_script=True))


def try_piece(tmp_path, piece, spec, *, model=None, samples=None):
    """Train, check and try a piece the way a preview does; returns its verdict."""
    resolver = Resolver(cache_folder("packages"))
    packages = resolver.install(resolver.lock(spec, host_platform()))
    python = isolated_python(spec.python, cache_folder("interpreters"))
    root, made = tmp_path / "root", tmp_path / "made"
    app, runtime = root / "var/azureml-app", root / "opt/mlserve/runtime"
    runtime.mkdir(parents=True)
    (runtime / "mlserve_scoring").symlink_to(Path(mlserve_scoring.__file__).parent)
    (root / "opt/mlserve/site-packages").symlink_to(packages)
    shutil.copytree(CORPUS / piece, app)
    made.mkdir()
    if (CORPUS / piece / "train.py").is_file():
        command = [python, CORPUS / piece / "train.py", made]
        subprocess.run(command, check=True, env={"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"})
    entries = []
    for file in made.iterdir() if model else ():
        entries.append(ModelEntry(model, 1, f"sha256:{'0' * 64}", "opt/mlserve/models/m", file.name))
        (root / "opt/mlserve/models").mkdir()
        (root / "opt/mlserve/models/m").symlink_to(made)
        (app / "azureml-models" / model / "1").mkdir(parents=True)
        (app / "azureml-models" / model / "1" / file.name).symlink_to(file)
    manifest = Manifest(
        piece,
        f"sha256:{'1' * 64}",
        spec.python,
        entry_script="score.py",
        models=tuple(entries),
        variables=dict(spec.variables),
        samples=None if samples is None else samples_from_json(samples, "samples"),
    )
    (root / MANIFEST_PATH).write_text(dump(manifest))

    assert check_entry_script(app, "score.py", modules=modules(packages), models=[model] if model else []) == []
    return Trial(tmp_path / "cache").run(root, python, piece)


def problems_of(piece, modules=("numpy",), models=()):
    """Return what the static checks say of a piece's script."""
    found = check_entry_script(CORPUS / piece, "score.py", modules=modules, models=models, packages_file="env.yml")
    return [problem.message for problem in found]


def test_the_environment_of_2018_is_refused_with_what_to_write_and_what_to_do_with_the_pickle():
    """Python 3.6 and scikit-learn 0.20.0 have no wheels that any supported Python could use."""
    with pytest.raises(InvalidInputError) as caught:
        environment_from(conda_text=(CORPUS / "diabetes/env.yml").read_text())

    assert [problem.message for problem in caught.value.problems] == [
        (
            "env.yml:3: Python 3.6.2 is older than 3.10, the oldest this runtime runs on; write python=3.11, "
            "and see that the packages and pickled models fit it"
        ),
        (
            "env.yml:6: scikit-learn==0.20.0 has no wheel for Python 3.11; write scikit-learn==1.1.3, the "
            "nearest newer version with a wheel; a pickle or joblib file saved with 0.20.0 may not load with 1.1.3: "
            "convert it to ONNX where scikit-learn 0.20.0 still runs (skl2onnx), or train it again"
        ),
    ]


def test_the_script_of_2018_runs_unmodified_once_the_proposals_are_written(tmp_path):
    """Following the two messages literally gives an environment in which the script answers its sample."""
    text = (CORPUS / "diabetes/env.yml").read_text()
    with pytest.raises(InvalidInputError) as caught:
        environment_from(conda_text=text, python=OWN)
    for problem in caught.value.problems:
        line, proposal = re.search(r"^env\.yml:(\d+): .*; write ([^,;]+)", problem.message).groups()
        lines = text.splitlines()
        lines[int(line) - 1] = re.sub(r"- .*", f"- {proposal}", lines[int(line) - 1])
        text = "\n".join(lines) + "\n"
    spec = environment_from(conda_text=text, python=OWN)
    spec = with_runtime(spec, runtime_requirements(entry_script=True))
    verdict = try_piece(tmp_path, "diabetes", spec, model="diabetes-ridge")

    assert verdict.problems == ()
    assert verdict.samples[0]["input"] == {"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}
    assert isinstance(verdict.samples[0]["output"][0], float)
    assert verdict.contract["source"] == "decorators"
    assert spec.standins == ("azureml-defaults", "inference-schema")


def test_a_script_that_takes_text_runs_unmodified(tmp_path):
    """The commonest form: json.loads in run(), joblib in init(), AZUREML_MODEL_DIR."""
    samples = [{"input": {"data": [[1, 1, 1], [0, 0, 2]]}, "output": [6.0, 6.0]}]
    verdict = try_piece(tmp_path, "raw_text", environment_of("raw_text"), model="weights", samples=samples)

    assert verdict.problems == ()
    assert "model is loaded" in verdict.output


def test_a_model_folder_and_files_beside_the_script_are_found(tmp_path):
    """get_model_path returns the folder; own modules and files work as in v1; an optional import may be absent."""
    samples = [{"input": {"values": [1, 2]}, "output": {"label": "low"}}, {"input": {"values": [9]}}]
    verdict = try_piece(tmp_path, "folder_model", environment_of("folder_model"), model="centres", samples=samples)

    assert verdict.problems == ()
    assert verdict.samples[1]["output"] == {"label": "high"}


def test_a_wrong_answer_to_a_sample_is_a_problem(tmp_path):
    """Expected and given are shown."""
    samples = [{"input": {"values": [1, 2]}, "output": {"label": "high"}}]
    verdict = try_piece(tmp_path, "folder_model", environment_of("folder_model"), model="centres", samples=samples)

    assert not verdict.ok
    assert 'score.py:18: sample 0: expected {"label": "high"}, got {"label": "low"}' in verdict.problems[0].message


def test_a_raw_script_runs_unmodified(tmp_path):
    """AMLRequest and AMLResponse come from the stand-ins; there is no sample to answer."""
    verdict = try_piece(tmp_path, "image_raw", environment_of("image_raw"))

    assert verdict.problems == ()
    assert "this is init()" in verdict.output


def test_a_power_bi_script_runs_unmodified(tmp_path):
    """A data frame, a parameter with a default, an array as answer."""
    verdict = try_piece(tmp_path, "power_bi", environment_of("power_bi"))

    assert verdict.problems == ()
    assert verdict.samples[0]["output"] == [45.0]


def test_python_2_is_refused_at_its_line():
    """The first print statement is where it breaks."""
    (problem,) = problems_of("printing")

    assert problem.startswith("score.py:5: ")
    assert "missing parentheses in call to 'print'" in problem


def test_packages_that_are_not_asked_for_are_named_with_what_to_add():
    """Both at once, each by the name that pip knows."""
    section = "to the pip section of env.yml"

    assert problems_of("missing_package", models=["booster"]) == [
        f"score.py:3: no module named 'cv2' in the environment; add opencv-python-headless {section}",
        f"score.py:4: no module named 'xgboost' in the environment; add it {section}",
    ]


def test_a_script_that_dies_in_init_is_refused_with_its_line(tmp_path):
    """v1's most repeated complaint: here it is found before anything is deployed."""
    spec = with_runtime(environment_from(python=OWN), runtime_requirements(entry_script=True))
    verdict = try_piece(tmp_path, "dies_in_init", spec)

    assert not verdict.ok
    assert verdict.problems[0].message.startswith("score.py:7: ")
    assert "No such file or directory" in verdict.problems[0].message
    assert "get_model_path" in verdict.problems[0].message


def test_an_environment_made_for_training_on_gpus_is_refused_line_by_line():
    """Channels, CUDA, build strings and addresses in one answer, further indexes not, passwords in none."""
    with pytest.raises(InvalidInputError) as caught:
        environment_from(conda_text=(CORPUS / "gpu_training/env.yml").read_text())
    told = str(caught.value)

    assert re.findall(r"env\.yml:(\d+)", told) == ["6", "7", "8", "9", "10", "13"]
    assert "hunter2" not in told


def test_a_wrong_model_name_and_a_second_argument_are_refused_together():
    """The model's right name is proposed."""
    name, argument = problems_of("wrong_model", models=["diabetes-ridge"])

    assert name.endswith("in the image, it has diabetes-ridge; did you mean 'diabetes-ridge'?")
    assert argument.startswith("score.py:9: run() needs a second argument, got threshold, and there is one input")
