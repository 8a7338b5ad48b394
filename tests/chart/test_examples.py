"""The examples: manifests hold the text of main.py, and keep the rules that the kinds set."""

import base64
import io
from pathlib import Path

import pytest
import yaml
from PIL import Image

from mayfly.api.v1alpha1.model import Model
from mayfly.api.v1alpha1.pipeline import Pipeline
from mayfly.api.v1alpha1.pipelinerun import PipelineRun

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(file.parent.name for file in EXAMPLES.glob("*/main.py"))
FILES = sorted(str(file.relative_to(EXAMPLES)) for file in EXAMPLES.glob("*/*.yaml"))
OTHERS = {"secret/secret.yaml", "models/models.yaml"}
MANIFESTS = [file for file in FILES if file not in OTHERS]


def manifest(path):
    return yaml.safe_load((EXAMPLES / path).read_text())


def unknown(written, read, path="spec"):
    """The fields that the kind did not read as they are written; it may add defaults."""
    if not isinstance(written, dict) or not isinstance(read, dict):
        return [] if written == read else [path]
    return [
        name
        for field, value in written.items()
        for name in unknown(value, read.get(field), f"{path}.{field}")
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_has_a_run_that_needs_nothing_else(folder):
    spec = manifest(f"{folder}/run.yaml")["spec"]
    assert "pipelineRef" not in spec
    assert spec["input"]


@pytest.mark.parametrize("path", MANIFESTS)
def test_the_source_is_main_py(path):
    spec = manifest(path)["spec"]
    holder = spec.get("pipelineSpec", spec)
    if "source" in holder:
        assert holder["source"] == {"inline": (EXAMPLES / path).with_name("main.py").read_text()}


@pytest.mark.parametrize("path", MANIFESTS)
def test_the_kinds_take_it_and_know_every_field(path):
    written = manifest(path)
    kind = {"Pipeline": Pipeline, "PipelineRun": PipelineRun}[written["kind"]]
    assert unknown(written["spec"], kind.model_validate(written).body()["spec"]) == []


@pytest.mark.parametrize("path", MANIFESTS)
def test_names_fit(path):
    metadata = manifest(path)["metadata"]
    # Kubernetes adds five characters to generateName; a Pipeline's name has 52, a run's 63.
    assert len(metadata.get("name", "")) <= 52
    assert len(metadata.get("generateName", "")) <= 58
    assert ("generateName" in metadata) == (manifest(path)["kind"] == "PipelineRun")


def test_the_example_models_are_models():
    for written in manifest("models/models.yaml")["items"]:
        if written["kind"] == "Model":
            assert unknown(written["spec"], Model.model_validate(written).body()["spec"]) == []


def test_the_secret_is_the_one_that_the_run_names_and_the_gateway_may_read_it(default):
    text = (EXAMPLES / "secret/secret.yaml").read_text()
    secret, role, binding = yaml.safe_load_all(text)
    reference = manifest("secret/run.yaml")["spec"]["input"]["key"]["secretKeyRef"]
    assert secret["metadata"]["name"] == reference["name"]
    assert set(secret["stringData"]) == {reference["key"]}
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    assert role["rules"] == [{**rule, "resourceNames": [reference["name"]]}]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    account = default.named("ServiceAccount", "mayfly-gateway")["metadata"]
    (subject,) = binding["subjects"]
    assert (subject["namespace"], subject["name"]) == (account["namespace"], account["name"])


def test_the_named_pipeline_is_the_one_beside_it():
    run = manifest("image/run-by-name.yaml")["spec"]
    assert run["pipelineRef"]["name"] == manifest("image/pipeline.yaml")["metadata"]["name"]


@pytest.mark.parametrize("path", ["image/run.yaml", "image/run-by-name.yaml"])
def test_the_picture_is_a_picture(path):
    head, _, data = manifest(path)["spec"]["input"]["image"].partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as picture:
        picture.load()
        assert picture.size == (320, 200)


def test_the_readme_names_every_folder_and_no_other_file():
    text = (EXAMPLES / "README.md").read_text()
    for folder in FOLDERS:
        assert f"examples/{folder}/run.yaml" in text
    named = {word.strip("`") for word in text.split() if word.strip("`").startswith("examples/")}
    for path in named:
        assert (EXAMPLES.parent / path).exists(), path
