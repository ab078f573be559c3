"""What a run chooses by the number and size of its training images, where its recipe leaves it open."""

import dataclasses
import importlib
import pkgutil
from pathlib import Path

import pytest

from tests.training.toy_run import toy_config
from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.evaluation.publish import training_facts
from tfseg.models.fcn import FCNConfig
from tfseg.models.rnn import RNNConfig
from tfseg.runs import run_directory
from tfseg.training import planning, validation
from tfseg.training.planning import planned
from tfseg.training.train import train

ROOT = Path(__file__).resolve().parents[2]
ZOO = "zoo:camvid_rnn_mobilenet_v2"
OPEN = {"total_steps": 0, "validate_every": -1, "init_backbone_from": "auto", "global_batch_size": 8}


def planned_training(num_images, model=None, **fields):
    model = model or RNNConfig(BackboneConfig("mobilenet_v2"))
    config = ExperimentConfig(model, training=TrainingConfig(**OPEN | {"few_images_from": ZOO} | fields))
    return planned(config, num_images)[0].training


@pytest.mark.parametrize(
    ("num_images", "steps"),
    [
        (20, 400),  # at least 400
        (131, 655),  # 40 times each, 8 at once
        (199, 995),
        (200, 5000),  # no longer few: at least 5000
        (4000, 10_000),  # 20 times each
    ],
)
def test_the_number_of_updates_follows_that_of_images(num_images, steps):
    training = planned_training(num_images)
    assert (training.total_steps, training.validate_every) == (steps, steps // 10)


def test_few_images_start_from_a_trained_model_more_from_imagenet():
    few, many = planned_training(199), planned_training(200)
    assert (few.init_from, few.init_backbone_from) == (ZOO, None)
    assert (many.init_from, many.init_backbone_from) == (None, "imagenet")
    assert planned_training(20, few_images_from=None).init_backbone_from == "imagenet"


def test_of_a_model_of_another_kind_only_the_backbone_is_taken():
    few = planned_training(20, FCNConfig(BackboneConfig("mobilenet_v2")))
    assert (few.init_from, few.init_backbone_from) == (None, ZOO)


@pytest.mark.parametrize(
    "backbone", [BackboneConfig("resnet50_torchvision"), BackboneConfig("mobilenet_v2", width_multiplier=0.5)]
)
def test_a_model_with_another_backbone_is_no_start(backbone):
    few = planned_training(20, RNNConfig(backbone))
    assert (few.init_from, few.init_backbone_from) == (None, "imagenet")


def test_every_recipe_for_folders_has_a_start_for_few_images():
    for module in pkgutil.iter_modules([ROOT / "model_zoo" / "folder"]):
        config = importlib.import_module(f"model_zoo.folder.{module.name}").get_config()
        if "video" not in module.name:  # which starts from a trained model of single images
            training = planned(config, 20, lambda: (200, 200))[0].training
            assert (training.init_from or training.init_backbone_from).startswith("zoo:"), module.name


@pytest.mark.parametrize(
    ("image_size", "crop_size"),
    [
        ((256, 256), (256, 256)),
        ((97, 300), (128, 320)),  # up to the next multiple of 32, at most 320
        ((1080, 720), (320, 320)),
    ],
)
def test_crops_are_as_large_as_the_images_up_to_a_limit(image_size, crop_size):
    config = ExperimentConfig(RNNConfig(), DataConfig(crop_size=(0, 0)))
    config, lines = planned(config, 50, lambda: image_size)
    assert config.data.crop_size == crop_size
    height, width = image_size
    assert lines == [
        f"note: 50 training images of {height}x{width}: crops of {crop_size[0]}x{crop_size[1]} (--crop_size)"
    ]


@pytest.mark.parametrize(("num_images", "scales"), [(199, (0.7, 1.4)), (200, (0.5, 2.0))])
def test_few_images_are_scaled_less(num_images, scales):
    config, (line,) = planned(ExperimentConfig(RNNConfig(), DataConfig(min_scale=0, max_scale=0)), num_images)
    assert (config.data.min_scale, config.data.max_scale) == scales
    assert line.endswith(f"scales of {scales[0]} to {scales[1]} (--config.data.min_scale, max_scale)")


def test_scales_that_are_listed_are_kept():
    data = DataConfig(min_scale=0, max_scale=0, scales=(1.0, 1.5))
    config, lines = planned(ExperimentConfig(RNNConfig(), data), 20)
    config.data.check()
    assert config.data.scales == (1.0, 1.5) and lines == []


def test_images_far_larger_than_the_crops_bring_a_warning():
    _, (_, warning) = planned(ExperimentConfig(RNNConfig(), DataConfig(crop_size=(0, 0))), 50, lambda: (3024, 4032))
    assert "the crops show only 1% of an image of 3024x4032" in warning
    assert "--longest_side" in warning


def test_crops_that_are_given_are_kept_and_no_image_is_measured():
    config = ExperimentConfig(RNNConfig(), DataConfig(crop_size=(48, 64)))
    assert planned(config, 50, None) == (config, [])


@pytest.mark.parametrize(
    "given",
    [
        {"total_steps": 7},
        {"validate_every": 0},
        {"init_backbone_from": "none"},
        {"init_backbone_from": "weights.npz"},
        {"init_from": "runs/mine", "init_backbone_from": None},
    ],
)
def test_what_is_given_is_kept(given):
    training = dataclasses.asdict(planned_training(20, **given))
    assert {name: training[name] for name in given} == given


def test_one_line_says_what_was_chosen_and_by_which_flag_to_choose_otherwise():
    config = ExperimentConfig(
        RNNConfig(BackboneConfig("mobilenet_v2")), training=TrainingConfig(**OPEN, few_images_from=ZOO, patience=4)
    )
    assert planned(config, 131)[1] == [
        f"note: 131 training images: start from {ZOO}, 655 updates (--steps), validation every 65 (--validate_every), "
        "end after 4 without a better one (--patience)"
    ]
    assert planned(planned(config, 131)[0], 131)[1] == []


def test_a_run_keeps_what_it_chose_and_goes_on_with_it(toy_records, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(planning, "FEW_LEAST", 1)
    monkeypatch.setattr(planning, "FEW_PASSES", 2)  # of 8 images, 4 at once
    config = toy_config(toy_records, {"training": {"total_steps": 0, "validate_every": -1, "patience": 3}})
    train(config, tmp_path)
    assert "training images: 4 updates (--steps), validation every 1" in capsys.readouterr().err
    assert run_directory.read_config(tmp_path)[0].training.total_steps == 4
    train(config, tmp_path)
    assert "going on from step 4 of 4" in capsys.readouterr().err


def test_a_run_that_ends_early_keeps_the_weights_of_its_best_validation(toy_records, tmp_path, capsys, monkeypatch):
    scores = iter([0.2, 0.4, 0.3, 0.4])

    def validate(network):
        return {"miou": (score := next(scores)), "miou_1": score}, []

    monkeypatch.setattr(validation, "validator", lambda split, draw: validate)
    config = toy_config(toy_records, {"training": {"total_steps": 8, "validate_every": 1, "patience": 2}})
    train(config, tmp_path)
    assert "ended early: 2 validations without a better one" in capsys.readouterr().err
    weights = tmp_path / "weights"
    assert (weights / "last.npz").read_bytes() == (weights / "best.npz").read_bytes()
    train(config, tmp_path)  # ends at once: another validation would find no score left
    assert "going on from step 4 of 8" in capsys.readouterr().err
    assert training_facts(config, tmp_path / "metrics.csv", "last")["steps"] == 2
