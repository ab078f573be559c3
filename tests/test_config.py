"""Configs survive the way to JSON and back, and a mistake is named."""

import pytest

from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.errors import InputError
from tfseg.models.deeperlab_config import DeeperLabConfig
from tfseg.models.fcn import FCNConfig
from tfseg.models.rnn import RNNConfig

RNN = ExperimentConfig(RNNConfig(widths=(8, 6), loss_at=((3, 0.5),), canvas_stride=8), DataConfig(crop_size=(33, 65)))


FCN = ExperimentConfig(FCNConfig(widths=(4, 5, 6)), training=TrainingConfig(seed=3))


@pytest.mark.parametrize("config", [RNN, FCN])
def test_a_config_equals_itself_after_a_round_trip(config):
    assert ExperimentConfig.from_dict(config.to_dict()) == config


def changed(path, value):
    values = RNN.to_dict()
    *parents, last = path.split(".")
    part = values
    for parent in parents:
        part = part[parent]
    part[last] = value
    return values


@pytest.mark.parametrize(
    "path,value,message",
    [
        ("training.learning_rte", 1.0, "did you mean 'learning_rate'"),
        ("model.backbone.output_strid", 8, "did you mean 'output_stride'"),
        ("training.total_steps", "many", "training.total_steps takes int"),
        ("training.total_steps", True, "training.total_steps takes int"),
        ("data.crop_size", [1, 2, 3], "data.crop_size takes 2 values"),
        ("data.dataset", 7, "data.dataset takes str"),
        ("model.name", "unet", "model.name 'unet' is unknown"),
        ("extra", 1, "config has no field 'extra'"),
        ("data", 5, "data is a group of fields"),
    ],
)
def test_a_wrong_value_is_named_with_its_field(path, value, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        ExperimentConfig.from_dict(changed(path, value))


def test_a_whole_number_is_taken_where_a_float_is_wanted():
    assert ExperimentConfig.from_dict(changed("training.learning_rate", 1)).training.learning_rate == 1.0


def test_an_optional_value_may_be_absent():
    assert ExperimentConfig.from_dict(changed("data.data_dir", None)).data.data_dir is None
    assert ExperimentConfig.from_dict(changed("data.data_dir", "x")).data.data_dir == "x"


def checked(model=None, **fields):
    """What is wrong with an experiment whose training has these fields."""
    with pytest.raises(InputError) as error:
        ExperimentConfig(model or FCNConfig(), training=TrainingConfig(**fields)).check()
    assert "\n" not in str(error.value) and len(str(error.value)) < 300
    return str(error.value)


def test_an_option_that_would_do_nothing_is_refused():
    needed = "which does nothing without training.loss=ohem"
    assert checked(ohem_threshold=0.5) == f"config: ohem_threshold is 0.5, {needed}"
    assert checked(ohem_share=0.5) == f"config: ohem_share is 0.5, {needed}"
    assert "does nothing without training.warmup_steps" in checked(warmup="exponential")
    assert "does nothing without training.warmup_steps" in checked(warmup_start=1e-5)
    for field in ({"decay": "l2"}, {"decay_biases": True}):
        assert "does nothing without training.weight_decay" in checked(**field)


def test_hard_pixels_are_checked():
    assert "--loss=focal is unknown" in checked(loss="focal")
    for threshold in (0.0, 1.0, -0.5):
        assert "must be between 0 and 1" in checked(loss="ohem", ohem_threshold=threshold)
    assert "must be from 0 to 1" in checked(loss="ohem", ohem_share=1.5)
    assert "deeperlab has model.losses.hard_pixel_fraction" in checked(DeeperLabConfig(), loss="ohem")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"warmup": "cosine"}, "--warmup=cosine is unknown; one of linear, exponential"),
        ({"warmup": "exponential", "warmup_steps": 9}, "needs a training.warmup_start above 0"),
        ({"warmup_start": 0.1, "warmup_steps": 9}, "warmup_start is 0.1, above the learning_rate 0.001"),
        ({"warmup_start": -0.1, "warmup_steps": 9}, "warmup_start is -0.1; it must be 0 or more"),
        ({"head_multiplier": 0.0}, "head_multiplier is 0.0; it must be above 0"),
        ({"accumulated_batches": 0}, "accumulated_batches is 0; it must be above 0"),
        ({"accumulated_batches": 3}, "accumulated_batches is 3, which does not divide the 16 images"),
        ({"backbone_optimizer": "adam"}, "--backbone_optimizer=adam is unknown; one of same, sgd"),
        ({"backbone_optimizer": "sgd"}, "backbone_optimizer is sgd, which trains all weights; omit it"),
        ({"decay": "lasso"}, "--decay=lasso is unknown; one of decoupled, l2"),
        ({"decay": "l2", "weight_decay": 0.1, "optimizer": "adamw"}, "training.decay=l2 is for sgd"),
    ],
)
def test_a_training_that_cannot_be_is_refused_in_one_line(fields, message):
    assert message in checked(**fields)


def test_a_network_without_a_backbone_has_one_learning_rate():
    network = FCNConfig(backbone=None)
    for name in ("backbone_multiplier", "head_multiplier"):
        assert f"{name} is 2.0, but fcn has no backbone; change the learning_rate" in checked(network, **{name: 2.0})
    message = checked(network, optimizer="adamw", backbone_optimizer="sgd")
    assert "backbone_optimizer is sgd, but fcn has no backbone; omit it" in message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"color_jitter": 1.5}, "color_jitter is 1.5; it must be from 0 (off) to 1"),
        ({"rotation": 200.0}, "rotation is 200.0; it must be from 0 (off) to 180"),
        ({"blur_rate": -0.5}, "blur_rate is -0.5; it must be from 0 (off) to 1"),
        ({"blur_radius": 2.0}, "blur_radius is 2.0, which does nothing without data.blur_rate"),
        ({"blur_rate": 0.5, "blur_radius": 0.0}, "blur_radius is 0.0; it must be above 0"),
        ({"scales": (1.0, 0.0)}, "scales is 1.0, 0.0; they must be finite and above 0"),
        ({"scales": (1.0,), "max_scale": 1.5}, "data.scales is given beside min_scale and max_scale"),
        ({"max_scale": 0.0}, "min_scale 0.5 and max_scale 0.0 must be 0 < min <= max; or both 0"),
        ({"fill": "black"}, "fill is black; one of grey, mean, reflect"),
    ],
)
def test_an_augmentation_that_cannot_be_is_refused_in_one_line(fields, message):
    with pytest.raises(InputError) as error:
        DataConfig(**fields).check()
    assert message in str(error.value) and "\n" not in str(error.value)
