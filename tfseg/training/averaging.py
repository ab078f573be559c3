"""The moving average of weights that is validated, saved and exported (Polyak averaging)."""

import contextlib

import tensorflow as tf

from tfseg.layers.conv import growing_decay


class WeightAverage(tf.Module):
    """Moving averages of all weights of a network, the moving statistics of batch normalisation among them.

    The statistics are averaged like the weights, so that they belong to them. Each replica keeps its own copy.

    Args:
      network: the network; its variables exist.
      decay: largest decay of the average, see `growing_decay`; 0 averages nothing.
    """

    def __init__(self, network, decay):
        super().__init__()
        # A function: a checkpoint would store the network a second time under an attribute that holds its variables.
        self._averaged = lambda: network.variables if decay else []
        self.decay = decay
        self.num_updates = local_variable(tf.zeros([], tf.int64))
        self.values = [local_variable(tf.zeros(one.shape, one.dtype)) for one in self._averaged()]
        self.restart()

    def restart(self):
        """Starts anew from the network's present weights."""
        self.num_updates.assign(0)
        _assign(self.values, [variable.numpy() for variable in self._averaged()])

    def update(self, is_applied):
        """Takes in the weights after an update, in each replica; nothing changes unless `is_applied`, a bool scalar."""
        if not self.values:
            return
        self.num_updates.assign_add(tf.cast(is_applied, tf.int64))
        rest = 1 - growing_decay(self.num_updates, self.decay)
        for average, variable in zip(self.values, self._averaged(), strict=True):
            average.assign_add(tf.where(is_applied, rest * (variable - average), 0.0))

    @contextlib.contextmanager
    def applied(self):
        """Context in which the network holds the averages; afterwards it gets its own weights back."""
        kept = [variable.numpy() for variable in self._averaged()]
        _assign(self._averaged(), [average.numpy() for average in self.values])
        try:
            yield
        finally:
            _assign(self._averaged(), kept)


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def local_variable(initial_value):
    """A variable that each replica updates on its own; what is read from outside is the first replica's."""
    return tf.Variable(
        initial_value,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
