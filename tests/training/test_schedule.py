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


def test_a_linear_warm_up_starts_from_its_rate_and_ends_at_the_schedules():
    schedule = PolynomialSchedule(1.0, 1.0, 0.9, 100, warmup_steps=4, warmup_start=0.2)
    np.testing.assert_allclose([float(schedule(step)) for step in range(6)], [0.2, 0.4, 0.6, 0.8, 1.0, 1.0], rtol=1e-6)


def test_an_exponential_warm_up_grows_by_equal_factors():
    schedule = PolynomialSchedule(0.01, 0.01, 0.9, 80_000, 1000, "exponential", 1e-5)
    rates = [float(schedule(step)) for step in (0, 250, 500, 1000, 2000)]
    np.testing.assert_allclose(rates, [1e-5, 1e-5 * 1000**0.25, 1e-5 * 1000**0.5, 0.01, 0.01], rtol=1e-5)


def test_a_warm_up_ends_at_what_the_schedule_has_fallen_to_by_then():
    for kind in ("linear", "exponential"):
        schedule = PolynomialSchedule(1.0, 0.0, 1.0, 100, 50, kind, 0.01)
        np.testing.assert_allclose([float(schedule(step)) for step in (0, 50, 75)], [0.01, 0.5, 0.25], rtol=1e-5)


def test_a_schedule_is_made_again_from_its_config():
    schedule = PolynomialSchedule(1e-3, 1e-6, 0.9, 30_000, 7, "exponential", 1e-5)
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


def test_biases_and_batch_normalisation_may_decay_as_well():
    config = constant_rate(optimizer="sgd", weight_decay=0.5, decay_biases=True)
    history = updated(build_optimizer(config, "off"), [0.0], ("kernel", "bn/gamma", "bn/beta", "bias"))
    np.testing.assert_allclose(history, [[0.95] * 4], rtol=1e-6)


def test_an_l2_penalty_is_part_of_the_gradient_and_has_momentum():
    config = constant_rate(weight_decay=0.5, decay="l2")
    history = updated(build_optimizer(config, "off"), [1.0, 1.0], ("kernel", "bias"))
    # Kernel: velocity -0.1 * (1 + 0.5 * 1) = -0.15; then 0.5 * -0.15 - 0.1 * (1 + 0.5 * 0.85) = -0.2175.
    np.testing.assert_allclose(history, [[0.85, 0.9], [0.6325, 0.75]], rtol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_backbone_and_head_have_learning_rates_of_their_own(name):
    variables = [tf.Variable(1.0, name="kernel") for _ in range(3)]
    config = constant_rate(optimizer=name, weight_decay=0.5, backbone_multiplier=0.1, head_multiplier=2.0)
    optimizer = build_optimizer(config, "off", variables[:1])
    for _ in range(2):
        optimizer.apply_gradients([(tf.constant(4.0), variable) for variable in variables])
    for variable, multiplier in zip(variables, (0.1, 2.0, 2.0), strict=True):
        plain = constant_rate(optimizer=name, weight_decay=0.5)
        plain.learning_rate = plain.end_learning_rate = 0.1 * multiplier
        assert float(variable) == pytest.approx(updated(build_optimizer(plain, "off"), [4.0, 4.0])[1][0], rel=1e-6)
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


def test_the_backbone_may_have_an_optimizer_of_its_own():
    """By hand: SGD with a rate of 0.1 * 0.5 and momentum 0.5 beside Adam, whose steps are as long as its rate."""
    variables = [tf.Variable(1.0, name=name) for name in ("backbone/kernel", "head/kernel")]
    config = constant_rate(optimizer="adamw", backbone_optimizer="sgd", backbone_multiplier=0.5)
    optimizer = build_optimizer(config, "off", variables[:1])
    values = []
    for _ in range(2):
        optimizer.apply_gradients([(tf.constant(4.0), variable) for variable in variables])
        values.append([float(variable) for variable in variables])
    # Backbone: velocity -0.05 * 4 = -0.2; then 0.5 * -0.2 - 0.2 = -0.3.
    np.testing.assert_allclose(values, [[0.8, 0.9], [0.5, 0.8]], rtol=1e-5)


def test_the_backbones_momentum_is_in_a_checkpoint(tmp_path):
    def stepped(optimizer, variables, count):
        for _ in range(count):
            optimizer.apply_gradients([(tf.constant(4.0), variable) for variable in variables])

    def made():
        variables = [tf.Variable(1.0, name=name) for name in ("backbone/kernel", "head/kernel")]
        config = constant_rate(optimizer="adamw", backbone_optimizer="sgd", backbone_multiplier=0.5)
        optimizer = build_optimizer(config, "off", variables[:1])
        optimizer.build(variables)
        return variables, optimizer, tf.train.Checkpoint(variables=variables, optimizer=optimizer)

    variables, optimizer, checkpoint = made()
    stepped(optimizer, variables, 2)
    path = checkpoint.save(str(tmp_path / "step"))
    others, other, continued = made()
    continued.restore(path).assert_existing_objects_matched()
    stepped(optimizer, variables, 1)
    stepped(other, others, 1)
    assert [float(one) for one in others] == [float(one) for one in variables]


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
