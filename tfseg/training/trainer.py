"""One training step, under Keras' fit and any tf.distribute strategy."""

import time

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import statistics_after


class Trainer(keras.Model):
    """Wraps a network for `fit`: forward pass, loss over all replicas, guarded update.

    An update is applied only if loss and gradients are finite on every replica. Otherwise the weights, the optimizer's
    moments and the moving statistics stay as they were, and `is_finite` is 0 for that step.

    Args:
      network: the keras.Model that is trained.
      training_outputs: (network, images, seed) -> outputs.
      losses: (batch, outputs) -> {name: (weight, sum, total)}; a loss term is sum / total over all replicas.
      average: the WeightAverage that follows the network's weights.
      clip_norm: global gradient norm above which gradients are scaled down; 0 is off.
      seed: together with the step, the seed for random draws in the forward pass.

    Attributes:
      filenames: file names of the last step's images, as the strategy distributed them.
      wait_seconds: time that the last step waited for its batch.
    """

    def __init__(self, network, training_outputs, losses, average, *, clip_norm=0.0, seed=0):
        super().__init__(name="trainer", autocast=False)
        self.network, self.average = network, average
        self._training_outputs, self._losses = training_outputs, losses
        self._clip_norm, self._seed = clip_norm, seed
        self.filenames, self.wait_seconds = None, 0.0

    def call(self, images, training=False):
        return self.network(images, training=training)

    def make_train_function(self, force=False):
        """Like Keras' method, but fetches the batch outside the graph, so that waiting for data can be timed."""
        if self.train_function is not None and not force:
            return self.train_function

        @tf.function(reduce_retracing=True)
        def run_step(batch):
            logs = self.distribute_strategy.run(self.train_step, args=(batch,))
            return {name: self.distribute_strategy.experimental_local_results(value)[0] for name, value in logs.items()}

        def train_function(iterator):
            start = time.perf_counter()
            batch = next(iterator)
            self.wait_seconds = time.perf_counter() - start
            self.filenames = batch.get("filename")
            return run_step(batch)

        self.train_function = train_function
        return train_function

    def train_step(self, batch):
        """Makes one guarded update from one replica's share of the batch; returns scalars equal on all replicas."""
        context = tf.distribute.get_replica_context()
        step = self.optimizer.iterations
        statistics = self.network.non_trainable_variables
        statistics_before = [tf.identity(variable) for variable in statistics]
        learning_rate = self.optimizer.learning_rate
        is_guarded = isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)
        with tf.GradientTape() as tape, statistics_after(step):
            seed = tf.stack([tf.cast(self._seed, tf.int32), tf.cast(step, tf.int32)])
            outputs = self._training_outputs(self.network, batch["image"], seed)
            terms = {}
            loss = tf.constant(0.0)
            for name, (weight, total, count) in self._losses(batch, outputs).items():
                # The count is summed over replicas, so that every pixel weighs the same, whatever a replica ignores.
                count = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stop_gradient(count))
                terms[name] = tf.math.divide_no_nan(total, count)
                loss += weight * terms[name]
            scaled_loss = self.optimizer.get_scaled_loss(loss) if is_guarded else loss
        variables = self.network.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)
        gradients = self.optimizer.get_unscaled_gradients(gradients) if is_guarded else gradients
        gradients = [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, variables, strict=True)]
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        logs = context.all_reduce(tf.distribute.ReduceOp.SUM, {"loss": loss} | terms)
        norm = tf.linalg.global_norm(gradients)
        is_finite = tf.math.is_finite(norm) & tf.math.is_finite(logs["loss"])
        if self._clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm, use_norm=norm)
        if is_guarded:
            # One gradient that is not finite makes the optimizer refuse the whole update.
            gradients[0] = gradients[0] + tf.where(is_finite, 0.0, float("nan"))
        else:
            gradients = [tf.where(is_finite, gradient, 0.0) for gradient in gradients]
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True), skip_gradients_aggregation=True)
        for variable, before in zip(statistics, statistics_before, strict=True):
            variable.assign(tf.where(is_finite, variable, before))
        self.average.update(is_finite)
        return logs | {
            "learning_rate": tf.identity(learning_rate),
            "gradient_norm": norm,
            "is_finite": tf.cast(is_finite, tf.float32),
        }
