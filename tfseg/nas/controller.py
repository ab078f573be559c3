"""The controller of the search: a recurrent network that says how likely every number of a genotype is.

Nekrasov et al. 2020 (arXiv:1904.02371, Sec. 5) have two LSTM layers of 100 units with weights from a uniform
distribution. What they leave open is as in the code of their paper of 2019 (arXiv:1810.10804): the first steps, one for
every input of a cell, only advance the state, and a step's input is the output of the step before. So the numbers of a
genotype do not depend on each other, and one pass scores any number of genotypes.
"""

import functools
import math

import numpy as np
import tensorflow as tf

from tfseg.models.cells.genotype import AGGREGATIONS, INPUTS, OPERATIONS, TOKENS, Genotype, choices

UNITS = 100
NUM_LSTMS = 2
LARGEST = 0.1  # all weights are drawn from [-LARGEST, LARGEST]
OPERATION, AGGREGATION = "operation", "aggregation"


class Controller(tf.Module):
    """Gives every number of a genotype a distribution.

    Args:
      num_layers: layers of a cell.
      seed: seed of the weights.
      feed_tokens: whether the input of a step is what was chosen in the step before, through a table of embeddings
        (Pham et al. 2018, arXiv:1802.03268, Sec. 2.2), and not that step's output.
    """

    def __init__(self, num_layers: int, seed: int = 0, feed_tokens: bool = False):
        super().__init__(name="controller")
        self.num_layers, self.feed_tokens = num_layers, feed_tokens
        self.num_choices = [count for index in range(num_layers) for count in choices(index)]
        self._new = functools.partial(_drawn, iter(range(1 << 20)), seed)
        self.start = self._new([1, UNITS])
        self.lstms = [(self._new([2 * UNITS, 4 * UNITS]), self._new([4 * UNITS])) for _ in range(NUM_LSTMS)]
        shared = {OPERATION: len(OPERATIONS), AGGREGATION: len(AGGREGATIONS)}
        self.shared_heads = {name: self._head(count) for name, count in shared.items()}
        # The heads of places are those of their layer and side alone; the others serve all layers.
        self.place_heads = [[self._head(choices(index)[0]) for _ in range(2)] for index in range(num_layers)]
        self.embeddings = {}
        if feed_tokens:
            counts = shared | {"place": len(INPUTS) + num_layers}
            self.embeddings = {name: self._new([count, UNITS]) for name, count in counts.items()}
        signature = [tf.TensorSpec([None, len(self.num_choices)], tf.int32)]
        self.score = tf.function(self._score, input_signature=signature, autograph=False)
        signature = [tf.TensorSpec([len(self.num_choices)], tf.float32)]
        self._draw = tf.function(self._draw_tokens, input_signature=signature, autograph=False)

    @property
    def num_parameters(self) -> int:
        """Number of weights, counted as Keras does: one bias for each gate of an LSTM."""
        return sum(math.prod(variable.shape) for variable in self.trainable_variables)

    def sample(self, seed) -> tuple[Genotype, float]:
        """Draws a genotype.

        Args:
          seed: what numpy.random.default_rng takes; equal seeds and weights give equal genotypes.
        Returns:
          (the genotype, the logarithm of its probability).
        """
        shares = np.random.default_rng(seed).random(len(self.num_choices))
        tokens = self._draw(tf.constant(shares, tf.float32))
        log_probs, _ = self.score(tokens[tf.newaxis])
        return Genotype.of_tokens(tokens.numpy()), float(log_probs[0])

    def _score(self, tokens):
        """Scores genotypes: tokens [batch, num_tokens] int32, whose numbers must be in range.

        Returns:
          (log-probabilities [batch] in nats; entropy in nats, a scalar: the sum of those of all numbers' distributions,
          the mean over the batch where they differ).
        """
        log_probs, entropies = [], []

        def choose(step, logits):
            log_softmax = tf.nn.log_softmax(logits)  # [1 or batch, choices]
            chosen = tokens[:, step]
            one_hot = tf.one_hot(chosen, logits.shape[-1])
            log_probs.append(tf.reduce_sum(one_hot * log_softmax, -1))
            entropies.append(-tf.reduce_mean(tf.reduce_sum(tf.exp(log_softmax) * log_softmax, -1)))
            return chosen

        self._unrolled(choose, tf.shape(tokens)[0] if self.feed_tokens else 1)
        return tf.add_n(log_probs), tf.add_n(entropies)

    def _draw_tokens(self, shares):
        """Returns [num_tokens]: the numbers at which the cumulated probabilities pass shares of [0, 1)."""
        tokens = []

        def choose(step, logits):
            reached = tf.cumsum(tf.nn.softmax(logits[0]))
            token = tf.math.count_nonzero(reached <= shares[step], dtype=tf.int32)
            tokens.append(tf.minimum(token, logits.shape[-1] - 1))
            return tokens[-1][tf.newaxis]

        self._unrolled(choose, 1)
        return tf.stack(tokens)

    def _unrolled(self, choose, batch):
        """Runs all steps; `choose`, (step, logits [batch, choices]) -> chosen [batch], is called for each number."""
        inputs = tf.broadcast_to(self.start, [batch, UNITS])
        states = [(tf.zeros([batch, UNITS]), tf.zeros([batch, UNITS]))] * NUM_LSTMS
        for step in range(-len(INPUTS), len(self.num_choices)):
            for index, (kernel, bias) in enumerate(self.lstms):
                states[index] = _lstm_step(inputs, states[index], kernel, bias)
                inputs = states[index][0]
            if step < 0:
                continue
            layer, slot = divmod(step, len(TOKENS))
            kind = TOKENS[slot]
            kernel, bias = self.shared_heads[kind] if kind in self.shared_heads else self.place_heads[layer][slot]
            chosen = choose(step, inputs @ kernel + bias)
            if self.feed_tokens:
                inputs = tf.gather(self.embeddings[kind], chosen)

    def _head(self, num_choices):
        return self._new([UNITS, num_choices]), self._new([num_choices])


def _drawn(counter, seed, shape):
    seed = tf.constant([seed, next(counter)], tf.int32)
    return tf.Variable(tf.random.stateless_uniform(shape, seed, -LARGEST, LARGEST), trainable=True)


def _lstm_step(inputs, state, kernel, bias):
    """Returns (output, memory) of an LSTM, each [batch, UNITS], from its input and its last output and memory."""
    output, memory = state
    gates = tf.concat([inputs, output], -1) @ kernel + bias
    entering, kept, candidate, leaving = tf.split(gates, 4, -1)
    memory = tf.sigmoid(kept) * memory + tf.sigmoid(entering) * tf.tanh(candidate)
    return tf.sigmoid(leaving) * tf.tanh(memory), memory
