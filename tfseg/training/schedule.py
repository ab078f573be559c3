"""The learning-rate schedule and the optimizers."""

import tensorflow as tf
from tensorflow import keras


class PolynomialSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """(learning_rate - end) * (1 - step / total)^power + end, after a linear ramp of `warmup_steps` updates."""

    def __init__(self, learning_rate, end_learning_rate, power, total_steps, warmup_steps=0):
        super().__init__()
        self.learning_rate, self.end_learning_rate = learning_rate, end_learning_rate
        self.power, self.total_steps, self.warmup_steps = power, total_steps, warmup_steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        remaining = tf.maximum(1 - step / self.total_steps, 0)
        rate = (self.learning_rate - self.end_learning_rate) * remaining**self.power + self.end_learning_rate
        return rate * tf.minimum(1.0, (step + 1) / (self.warmup_steps + 1))

    def get_config(self):
        names = ("learning_rate", "end_learning_rate", "power", "total_steps", "warmup_steps")
        return {name: getattr(self, name) for name in names}


def build_optimizer(training, precision):
    """Returns the Keras optimizer of a run, which skips updates that are not finite.

    It is wrapped in a `LossScaleOptimizer`, which checks the gradients of all replicas before it applies any. With
    float16 this also scales the loss; otherwise its scale is constantly 1. It does not run on TPUs, so there the
    optimizer stays bare, and the trainer zeroes the gradients of such an update.

    Args:
      training: the training part of an ExperimentConfig.
      precision: "bfloat16", "float16" or "off".
    """
    schedule = PolynomialSchedule(
        training.learning_rate, training.end_learning_rate, training.power, training.total_steps, training.warmup_steps
    )
    arguments = {"learning_rate": schedule, "weight_decay": training.weight_decay or None}
    if training.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=training.momentum, **arguments)
    else:
        optimizer = keras.optimizers.AdamW(**arguments | {"weight_decay": training.weight_decay})
    if training.weight_decay:
        # These patterns are searched for in names such as bn/gamma:0 and, on a second device, bn/gamma/replica_1:0.
        kept = r"(gamma|beta|bias)(/replica_\d+)?:"
        depthwise = [] if training.decay_depthwise else [r"depthwise_kernel(/replica_\d+)?:"]
        optimizer.exclude_from_weight_decay(var_names=[kept, *depthwise])
    if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        return optimizer
    if precision == "float16":
        return keras.mixed_precision.LossScaleOptimizer(optimizer)
    return keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=1, dynamic_growth_steps=2**31 - 1)
