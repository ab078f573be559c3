"""Learning rates and single updates, worked out by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.config import TrainingConfig
from tfseg.models.fcn import FCNConfig
from tfseg.training.schedule import PolynomialSchedule, build_optimizer


def test_the_papers_schedule_by_hand():
    schedule = PolynomialSchedule(1e-3, 1e-6, 0.9, 30_000)
    # 0.5^0.9 = 0.535887, 0.1^0.9 = 0.125893
    expected = {0: 1e-3, 15_000: 999e-6 * 0.535887 + 1e-6, 27_000: 999e-6 * 0.125893 + 1e-6, 30_000: 1e-6, 40_000: 1e-6}
    for step, rate in expected.items():
        assert float(schedule(step)) == pytest.approx(rate, rel=1e-4)


def test_warm_up_rises_in_equal_parts_to_the_schedule():
    schedule = PolynomialSchedule(1.0, 1.0, 0.9, 100, warmup_steps=4)
    np.testing.assert_allclose([float(schedule(step)) for step in range(6)], [0.2, 0.4, 0.6, 0.8, 1.0, 1.0], rtol=1e-6)


def test_a_schedule_is_made_again_from_its_config():
    schedule = PolynomialSchedule(1e-3, 1e-6, 0.9, 30_000, 7)
    assert PolynomialSchedule.from_config(schedule.get_config()).get_config() == schedule.get_config()


def constant_rate(**fields):
    return TrainingConfig(**{"learning_rate": 0.1, "end_learning_rate": 0.1, "momentum": 0.5} | fields)


def updated(optimizer, gradients, names=("kernel",)):
    """Values after each of the updates, all starting at 1."""
    variables = [tf.Variable(1.0, name=name) for name in names]
    history = []
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), variable) for variable in variables])
        history.append([float(variable) for variable in variables])
    return history


def test_momentum_sgd_by_hand():
    # Velocity -0.1, then 0.5 * -0.1 - 0.1 = -0.15.
    history = updated(build_optimizer(constant_rate(), "off"), [1.0, 1.0])
    np.testing.assert_allclose(history, [[0.9], [0.75]], rtol=1e-6)


def test_adamw_moves_by_the_rate_at_first_and_decays_by_rate_times_decay():
    history = updated(build_optimizer(constant_rate(optimizer="adamw", weight_decay=0.5), "off"), [4.0])
    # 1 - 0.1 * 0.5 * 1 (decay) - 0.1 * sign of the gradient.
    np.testing.assert_allclose(history, [[0.85]], rtol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_only_kernels_decay(name):
    optimizer = build_optimizer(constant_rate(optimizer=name, weight_decay=0.5), "off")
    names = ("kernel", "depthwise_kernel", "resnet_beta/conv/kernel", "bn/gamma", "bn/beta", "bias", "projection_bias")
    history = updated(optimizer, [0.0], names)
    np.testing.assert_allclose(history, [[0.95] * 3 + [1.0] * 4], rtol=1e-6)


def test_depthwise_kernels_may_be_left_out_of_the_decay():
    config = constant_rate(optimizer="sgd", weight_decay=0.5, decay_depthwise=False)
    history = updated(build_optimizer(config, "off"), [0.0], ("kernel", "block/depthwise/conv/depthwise_kernel"))
    np.testing.assert_allclose(history, [[0.95, 1.0]], rtol=1e-6)


def test_no_decay_is_asked_for_and_none_happens():
    for name in ("sgd", "adamw"):
        assert updated(build_optimizer(constant_rate(optimizer=name), "off"), [0.0]) == [[1.0]]


def test_every_kernel_of_a_network_decays_and_nothing_else():
    network = architectures.build(FCNConfig(BackboneConfig("mobilenet_v2", width_multiplier=0.1), widths=(8,)), 3)
    optimizer = build_optimizer(TrainingConfig(weight_decay=0.1), "off").inner_optimizer
    decayed = {v.name for v in network.trainable_variables if optimizer._use_weight_decay(v)}
    assert decayed == {v.name for v in network.trainable_variables if v.name.split("/")[-1].find("kernel") >= 0}
    assert len(decayed) > 50


@pytest.mark.parametrize("precision", ["off", "bfloat16", "float16"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_update_with_a_gradient_that_is_not_finite_is_not_applied(precision, bad):
    optimizer = build_optimizer(constant_rate(weight_decay=0.5), precision)
    assert updated(optimizer, [bad, bad]) == [[1.0], [1.0]]


def test_the_loss_is_scaled_for_float16_alone():
    scales = {name: float(build_optimizer(constant_rate(), name).loss_scale) for name in ("off", "bfloat16", "float16")}
    assert scales == {"off": 1.0, "bfloat16": 1.0, "float16": 2.0**15}
