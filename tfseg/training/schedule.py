"""The learning-rate schedule and the optimizers."""

import tensorflow as tf
from tensorflow import keras


class PolynomialSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """(learning_rate - end) * (1 - step / total)^power + end, after a warm-up of `warmup_steps` updates.

    With `warmup_start` the warm-up has this rate at step 0, and the schedule's own at step `warmup_steps`. Between them
    it is their mean, weighed by the share of the steps done: arithmetic if `warmup` is "linear", geometric if it is
    "exponential". Without it, update i of the warm-up (from 1) has i / (warmup_steps + 1) of the schedule's rate.
    """

    def __init__(
        self, learning_rate, end_learning_rate, power, total_steps, warmup_steps=0, warmup="linear", warmup_start=0.0
    ):
        super().__init__()
        self.learning_rate, self.end_learning_rate = learning_rate, end_learning_rate
        self.power, self.total_steps, self.warmup_steps = power, total_steps, warmup_steps
        self.warmup, self.warmup_start = warmup, warmup_start

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        remaining = tf.maximum(1 - step / self.total_steps, 0)
        rate = (self.learning_rate - self.end_learning_rate) * remaining**self.power + self.end_learning_rate
        if not self.warmup_start:
            return rate * tf.minimum(1.0, (step + 1) / (self.warmup_steps + 1))
        done, start = tf.minimum(1.0, step / self.warmup_steps), self.warmup_start
        return start * (rate / start) ** done if self.warmup == "exponential" else start + (rate - start) * done

    def get_config(self):
        names = ("learning_rate", "end_learning_rate", "power", "total_steps")
        return {name: getattr(self, name) for name in (*names, "warmup_steps", "warmup", "warmup_start")}


class _OfParts:
    """Lets a Keras optimizer have a learning rate for each variable, and weight decay by rules of ours."""

    _multiplier = 1.0

    def configure(self, training, backbone_variables):
        """Sets weight decay, and what is different for the backbone, as `training` says."""
        of_backbone = {self._var_key(variable) for variable in backbone_variables}
        # Functions, because a checkpoint would keep attributes that hold variables.
        self._is_of_backbone = lambda variable: self._var_key(variable) in of_backbone
        self._training = lambda: training
        self.weight_decay = None  # Keras' own knows one learning rate only
        # These patterns are searched for in names such as bn/gamma:0 and, on a second device, bn/gamma/replica_1:0.
        kept = [] if training.decay_biases else [r"(gamma|beta|bias)(/replica_\d+)?:"]
        depthwise = [] if training.decay_depthwise else [r"depthwise_kernel(/replica_\d+)?:"]
        self.exclude_from_weight_decay(var_names=[*kept, *depthwise])

    @property
    def learning_rate(self):
        rate = super().learning_rate
        return rate if self._multiplier == 1 else rate * self._multiplier

    def update_step(self, gradient, variable):
        training, is_of_backbone = self._training(), self._is_of_backbone(variable)
        self._multiplier = training.backbone_multiplier if is_of_backbone else training.head_multiplier
        if training.weight_decay and self._use_weight_decay(variable):
            if training.decay == "l2":
                gradient += training.weight_decay * variable
            else:
                variable.assign_sub(variable * training.weight_decay * self.learning_rate)
        if is_of_backbone and training.backbone_optimizer == "sgd":
            # The slot of adamw's mean of gradients, which a checkpoint holds, is there for every variable.
            momentum = self._momentums[self._index_dict[self._var_key(variable)]]
            momentum.assign(training.momentum * momentum - self.learning_rate * gradient)
            variable.assign_add(momentum)
        else:
            super().update_step(gradient, variable)
        self._multiplier = 1.0


class _SGD(_OfParts, keras.optimizers.SGD):
    pass


class _AdamW(_OfParts, keras.optimizers.AdamW):
    pass


def build_optimizer(training, precision, backbone_variables=()):
    """Returns the Keras optimizer of a run, which skips updates that are not finite.

    It is wrapped in a `LossScaleOptimizer`, which checks the gradients of all replicas before it applies any. With
    float16 this also scales the loss; otherwise its scale is constantly 1. It does not run on TPUs, so there the
    optimizer stays bare, and the trainer zeroes the gradients of such an update.

    Args:
      training: the training part of an ExperimentConfig.
      precision: "bfloat16", "float16" or "off".
      backbone_variables: the variables to which `training.backbone_multiplier` and `training.backbone_optimizer` apply.
    """
    schedule = PolynomialSchedule(
        training.learning_rate,
        training.end_learning_rate,
        training.power,
        training.total_steps,
        training.warmup_steps,
        training.warmup,
        training.warmup_start,
    )
    if training.optimizer == "sgd":
        optimizer = _SGD(learning_rate=schedule, momentum=training.momentum)
    else:
        optimizer = _AdamW(learning_rate=schedule, weight_decay=0.0)
    optimizer.configure(training, backbone_variables)
    if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        return optimizer
    if precision == "float16":
        return keras.mixed_precision.LossScaleOptimizer(optimizer)
    return keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=1, dynamic_growth_steps=2**31 - 1)
