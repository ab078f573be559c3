"""One training step, under Keras' fit and any tf.distribute strategy."""

import time

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import statistics_after
from tfseg.training.averaging import local_variable


class Trainer(keras.Model):
    """Wraps a network for `fit`: forward pass, loss over all replicas, guarded update.

    An update is applied only if loss and gradients are finite on every replica. Otherwise the weights, the optimizer's
    moments and the moving statistics stay as they were, and `is_finite` is 0 for that step.

    An update may be made from several batches, which need no more memory than one. Their gradients are averaged,
    weighed by the totals of their first loss term, e.g. their numbers of labelled pixels. So the update is that of one
    large batch, except that batch normalisation and the choice of hard pixels see each batch by itself, and that
    further terms weigh a little differently if their totals are not in proportion to the first's.

    Args:
      network: the keras.Model that is trained.
      training_outputs: (network, batch, seed) -> outputs.
      losses: (batch, outputs) -> {name: (weight, sum, total)}; a loss term is sum / total over all replicas.
      average: the WeightAverage that follows the network's weights.
      clip_norm: global gradient norm above which gradients are scaled down; 0 is off.
      seed: together with the step, the seed for random draws in the forward pass.
      accumulated_batches: number of batches of an update.

    Attributes:
      filenames: file names of the last step's images, for each of its batches as the strategy distributed them.
      wait_seconds: time that the last step waited for its batches.
    """

    def __init__(self, network, training_outputs, losses, average, *, clip_norm=0.0, seed=0, accumulated_batches=1):
        super().__init__(name="trainer", autocast=False)
        self.network, self.average = network, average
        self._training_outputs, self._losses = training_outputs, losses
        self._clip_norm, self._seed = clip_norm, seed
        self.filenames, self.wait_seconds = [], 0.0
        self._num_batches, self._sums, self._statistics_before = accumulated_batches, [], []
        if accumulated_batches > 1:
            zeros = [tf.zeros([]), *map(tf.zeros_like, network.trainable_variables)]
            self._sums = [local_variable(value) for value in zeros]  # of the batches' weights, and of each gradient
            self._statistics_before = [local_variable(variable) for variable in network.non_trainable_variables]

    def call(self, images, training=False):
        return self.network(images, training=training)

    def make_train_function(self, force=False):
        """Like Keras' method, but fetches the batch outside the graph, so that waiting for data can be timed."""
        if self.train_function is not None and not force:
            return self.train_function

        def on_replicas(step):
            @tf.function(reduce_retracing=True)
            def run(*arguments):
                logs = self.distribute_strategy.run(step, args=arguments)
                local = self.distribute_strategy.experimental_local_results
                return {name: local(value)[0] for name, value in logs.items()}

            return run

        run_step, add_batch, apply_sums = map(on_replicas, (self.train_step, self.add_batch, self.apply_sums))

        def train_function(iterator):
            self.filenames, self.wait_seconds = [], 0.0
            if self._num_batches == 1:
                return run_step(self._next(iterator))
            parts = [add_batch(self._next(iterator), tf.constant(index)) for index in range(self._num_batches)]
            return _weighted_means(parts) | apply_sums()

        self.train_function = train_function
        return train_function

    def _next(self, iterator):
        start = time.perf_counter()
        batch = next(iterator)
        self.wait_seconds += time.perf_counter() - start
        self.filenames += [batch["filename"]] if "filename" in batch else []
        return batch

    def train_step(self, batch):
        """Makes one guarded update from one replica's share of a batch; returns scalars equal on all replicas."""
        before = [tf.identity(variable) for variable in self.network.non_trainable_variables]
        gradients, logs, _ = self._gradients(batch, 0)
        return logs | self._update(gradients, logs["loss"], before)

    def add_batch(self, batch, index):
        """Adds the gradients of batch `index` of an update (from 0); returns scalars equal on all replicas."""
        statistics = self.network.non_trainable_variables
        for before, variable in zip(self._statistics_before, statistics, strict=True):
            before.assign(tf.where(index == 0, variable, before))
        gradients, logs, weight = self._gradients(batch, index)
        # A loss that is not finite must be seen in the sum even if this batch weighs nothing.
        weight = tf.where(tf.math.is_finite(logs["loss"]), weight, float("nan"))
        for total, value in zip(self._sums, [1.0, *gradients], strict=True):
            total.assign(tf.where(index == 0, weight * value, total + weight * value))
        return logs | {"weight": weight}

    def apply_sums(self):
        """Makes one guarded update from what `add_batch` added up; returns scalars equal on all replicas."""
        weight, *gradients = [tf.identity(total) for total in self._sums]
        gradients = [tf.math.divide_no_nan(gradient, weight) for gradient in gradients]
        return self._update(gradients, weight, self._statistics_before)

    def _gradients(self, batch, index):
        """Returns (gradients of this replica's part of the loss; logs; weight of the batch in an update)."""
        context = tf.distribute.get_replica_context()
        step = self.optimizer.iterations * self._num_batches + tf.cast(index, tf.int64)
        is_guarded = isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)
        with tf.GradientTape() as tape, statistics_after(step):
            seed = tf.stack([tf.cast(self._seed, tf.int32), tf.cast(step, tf.int32)])
            outputs = self._training_outputs(self.network, batch, seed)
            terms, counts = {}, []
            loss = tf.constant(0.0)
            for name, (weight, total, count) in self._losses(batch, outputs).items():
                # The count is summed over replicas, so that every pixel weighs the same, whatever a replica ignores.
                counts.append(context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stop_gradient(count)))
                terms[name] = tf.math.divide_no_nan(total, counts[-1])
                loss += weight * terms[name]
            scaled_loss = self.optimizer.get_scaled_loss(loss) if is_guarded else loss
        variables = self.network.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)
        gradients = self.optimizer.get_unscaled_gradients(gradients) if is_guarded else gradients
        gradients = [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, variables, strict=True)]
        return gradients, context.all_reduce(tf.distribute.ReduceOp.SUM, {"loss": loss} | terms), counts[0]

    def _update(self, gradients, must_be_finite, statistics_before):
        """Sums the gradients over the replicas and applies them, or takes everything back to before the update."""
        context = tf.distribute.get_replica_context()
        learning_rate = self.optimizer.learning_rate
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        norm = tf.linalg.global_norm(gradients)
        is_finite = tf.math.is_finite(norm) & tf.math.is_finite(must_be_finite)
        if self._clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm, use_norm=norm)
        if isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer):
            # One gradient that is not finite makes the optimizer refuse the whole update.
            gradients[0] = gradients[0] + tf.where(is_finite, 0.0, float("nan"))
        else:
            gradients = [tf.where(is_finite, gradient, 0.0) for gradient in gradients]
        variables = self.network.trainable_variables
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True), skip_gradients_aggregation=True)
        for variable, before in zip(self.network.non_trainable_variables, statistics_before, strict=True):
            variable.assign(tf.where(is_finite, variable, before))
        self.average.update(is_finite)
        return {
            "learning_rate": tf.identity(learning_rate),
            "gradient_norm": norm,
            "is_finite": tf.cast(is_finite, tf.float32),
        }


def _weighted_means(parts):
    """Returns the means of the scalars that `add_batch` returned for each batch, weighed by "weight"."""
    weights = tf.stack([part["weight"] for part in parts])
    return {
        name: tf.math.divide_no_nan(
            tf.reduce_sum(weights * tf.stack([part[name] for part in parts])), tf.reduce_sum(weights)
        )
        for name in parts[0]
        if name != "weight"
    }
