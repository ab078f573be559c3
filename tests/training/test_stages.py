"""Training in stages: one command line a stage, each from the weights of the one before."""

import re
import shutil

import numpy as np
import pytest

from tests.conftest import write_toy_folder
from tfseg.data import opening

RECIPE = """
import sys
sys.path.insert(0, {root!r})
from tests.tiny_backbone import tiny
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.fcn import FCNConfig

def get_config():
    training = {{"total_steps": 2, "global_batch_size": 2, "validate_every": 0, "checkpoint_every": 1, "log_every": 1}}
    return ExperimentConfig(
        FCNConfig(tiny(), widths=(8,)), DataConfig(dataset="folder", crop_size=(32, 32)), TrainingConfig(**training)
    )
"""


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory):
    """Records of the toy images whose third class is ignored."""
    root = tmp_path_factory.mktemp("two_classes")
    write_toy_folder(root / "raw")
    (root / "raw" / "classes.txt").write_text("bright\ndark\n")
    options = opening.ConvertOptions(value_map={2: 255})
    opening.prepare("folder", root / "raw", root / "records", options)
    return root / "records"


@pytest.fixture(scope="module")
def stage(command, request):
    """stage(records, workdir, *flags) runs train.py -> what it printed on stderr."""
    recipe = command.folder / "recipe.py"
    recipe.write_text(RECIPE.format(root=str(request.config.rootpath)))

    def run(records, workdir, *flags):
        done = command("train.py", f"--config={recipe}", f"--data_dir={records}", f"--workdir={workdir}", *flags)
        assert done["code"] == 0, done["err"]
        return done["err"]

    return run


@pytest.fixture(scope="module")
def first(command, stage, toy_records):
    """The run of the first stage, with three classes."""
    stage(toy_records, command.folder / "first")
    return command.folder / "first"


def weights(workdir):
    return dict(np.load(workdir / "weights" / "last.npz").items())


# At this rate the weights stay where they start.
STILL = ("--learning_rate=1e-30", "--config.training.end_learning_rate=0", "--config.training.freeze_batch_norm")


@pytest.mark.slow
def test_a_second_stage_starts_from_all_weights_of_the_first(stage, first, toy_records, command):
    said = stage(toy_records, command.folder / "second", f"--init_from={first}", *STILL)
    assert f"{first}/weights/last.npz: 0 weights left as they were" in said
    ours = weights(command.folder / "second")
    for name, array in weights(first).items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)


@pytest.mark.slow
def test_a_second_stage_of_other_classes_keeps_all_but_the_classifier_and_goes_on_without_the_first(
    stage, first, two_classes, command
):
    before, workdir = command.folder / "before", command.folder / "second of two classes"
    shutil.copytree(first, before)
    said = stage(two_classes, workdir, f"--init_from={before}", *STILL)
    assert f"{before}/weights/last.npz: 2 weights left as they were" in said
    lines = [line for line in said.splitlines() if "in the file" in line]
    assert [re.sub(r":.*", "", line).split("/")[-1] for line in lines] == ["bias", "kernel"]
    assert "(1, 1, 8, 3) in the file, (1, 1, 8, 2) in this model" in lines[1]
    ours, theirs = weights(workdir), weights(first)
    kept = {name for name, array in theirs.items() if array.shape == ours[name].shape}
    assert len(theirs) - len(kept) == 2
    for name in kept:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)

    # After a kill it neither loads the first stage again nor needs it.
    for path in workdir.glob("checkpoints/step-2.*"):
        path.unlink()
    shutil.rmtree(before)
    said = stage(two_classes, workdir, f"--init_from={before}", *STILL)
    assert "going on from step 1 of 2" in said and "weights left as they were" not in said
    for name, array in weights(workdir).items():
        np.testing.assert_array_equal(array, ours[name], err_msg=name)


@pytest.mark.slow
def test_a_new_run_needs_what_it_starts_from(command, stage, toy_records):
    recipe = command.folder / "recipe.py"
    words = (f"--config={recipe}", f"--data_dir={toy_records}", "--workdir=new", "--init_from=nowhere")
    done = command("train.py", *words)
    assert done["code"] == 2
    assert done["err"] == "error: --init_from=nowhere: no such run directory, model zoo folder or file\n"
