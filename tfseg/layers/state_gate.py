"""A learned gate on what a video frame takes over from the one before."""

import math

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import Conv2D

ERROR_SCALE = 16.0  # grey levels
OPEN_AT_START = 0.25


class StateGate(keras.layers.Layer):
    """Says for every position and every map of a state how much of it the next frame keeps, 0 to 1.

    It sees the new frame's features, the classes that the old canvas shows there, and how badly the moved picture fits.
    Two convolutions, 1x1 on the features and 3x3 on all, and a third for the gates. At the start every gate is at
    OPEN_AT_START.

    Args:
      channels: {name: number of channels} of the state; it has "canvas".
      width: channels of the hidden layers.
    """

    def __init__(self, channels: dict[str, int], width: int = 32, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = dict(sorted(channels.items()))
        start = keras.initializers.Constant(math.log(OPEN_AT_START / (1 - OPEN_AT_START)))
        self.reduction = Conv2D(width // 2, use_bias=True, name="reduction")
        self.hidden = Conv2D(width, 3, use_bias=True, name="hidden")
        self.gates = Conv2D(
            sum(channels.values()), use_bias=True, initializer="zeros", bias_initializer=start, name="gates"
        )

    def call(self, features, state, error):
        """Applies the gate.

        Args:
          features: [batch, h, w, any number of channels] of the new frame.
          state: {name: [batch, h, w, channels]}, moved along with the picture.
          error: [batch, h, w, 1] grey levels by which the moved picture differs, 0 to 255.
        Returns:
          The state, with every map multiplied by its gates.
        """
        seen = [tf.nn.relu(self.reduction(features)), tf.nn.softmax(state["canvas"]), error / ERROR_SCALE]
        gates = tf.sigmoid(self.gates(tf.nn.relu(self.hidden(tf.concat(seen, -1)))))
        parts = tf.split(gates, list(self.channels.values()), axis=-1)
        return {name: state[name] * part for name, part in zip(self.channels, parts, strict=True)}
