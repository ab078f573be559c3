"""A network on images of any size, under any strategy, for any number of iterations.

Memory stays bounded: images above `WHOLE_IMAGE_PIXELS` go through the network in overlapping tiles, and what is kept of
an image is its canvases at the network's stride; logits at full resolution exist for a strip of rows at a time.
"""

import functools
import itertools

import tensorflow as tf

from tfseg.inference.refinement import Layer, Refinement
from tfseg.inference.views import (
    PAD_VALUE,
    SINGLE_VIEW,
    TILE_GRID,
    WHOLE_IMAGE_PIXELS,
    join,
    network_inputs,
    tiling_of,
)


class Inference:
    """Runs a network, on all local replicas of the strategy it was built under.

    Images of any size share one trace.

    Args:
      network: has `encode(images, training) -> features`, `refine(features, state) -> state` with "canvas",
        `is_recurrent`, `canvas_stride`, `padding` and `distribute_strategy`.
      whole_image_pixels: larger views are cut into tiles.
    """

    def __init__(self, network, whole_image_pixels=WHOLE_IMAGE_PIXELS):
        self.network, self._whole_image_pixels = network, whole_image_pixels
        self._strategy = network.distribute_strategy
        is_single = self._strategy.num_replicas_in_sync == 1
        self.num_replicas = 1 if is_single else len(self._strategy.extended.worker_devices)
        image = tf.TensorSpec([1, None, None, 3], tf.float32)
        count = tf.TensorSpec([], tf.int32)
        self._run = tf.function(self._run_replicas, input_signature=[(image,) * self.num_replicas, count])

    def refine(self, images, iterations, views=SINGLE_VIEW, last_only=False) -> list[Refinement]:
        """Sends images through the network.

        Args:
          images: list of [height, width, 3] RGB, 0 to 255, uint8 or float32; sizes may differ. As many at a time as
            there are replicas keeps all of them busy.
          iterations: how many; a feed-forward network has one, whatever is asked.
          views: averaged when the result is read.
          last_only: keep the canvas after the last iteration only.
        """
        iterations = iterations if self.network.is_recurrent else 1
        plan = [(image, view, self._tiling(image.shape[:2], view)) for image in images for view in views]
        inputs = itertools.chain.from_iterable(network_inputs(*step) for step in plan)
        outputs = self._map(inputs, iterations, last_only)
        layers = [self._layer(outputs, view, tiling, image.shape[:2]) for image, view, tiling in plan]
        count = len(views)
        return [
            Refinement(layers[i * count : (i + 1) * count], tuple(image.shape[:2])) for i, image in enumerate(images)
        ]

    def network_sizes(self, image_size, views=SINGLE_VIEW) -> list[tuple[int, int]]:
        """(height, width) of every network input that an image of this size takes."""
        tilings = [self._tiling(image_size, view) for view in views]
        return [tiling.tile for tiling in tilings for _ in tiling.corners]

    def _tiling(self, image_size, view):
        return tiling_of(view.size(image_size), self._whole_image_pixels)

    def _layer(self, outputs, view, tiling, image_size):
        """Takes the canvases of a view's tiles from `outputs` and joins them."""
        tiles = itertools.islice(outputs, len(tiling.corners))
        if view.is_flipped:
            tiles = (canvases[:, :, ::-1] for canvases in tiles)
        canvases = next(tiles) if len(tiling.corners) == 1 else join(tiles, tiling)
        if self.network.padding == "same":
            extent = [image_size[i] * tiling.padded_size[i] / tiling.size[i] for i in range(2)]
            return Layer(canvases, tuple(canvases.shape[1 + i] / extent[i] for i in range(2)))
        stride = self.network.canvas_stride
        pitch = tuple(tiling.size[i] / image_size[i] / stride for i in range(2))
        # The grid begins at the first pixel, of a mirrored view on the other side.
        skipped = (tiling.tile[1] - 1) % stride if view.is_flipped else 0
        return Layer(canvases, pitch, (0.5 / stride, (0.5 + skipped) / stride))

    def _map(self, inputs, iterations, last_only):
        """Canvases [iterations or 1, h, w, num_classes] of each [1, height, width, 3] input, in order."""
        iterations = tf.constant(iterations)
        idle = tf.fill([1, TILE_GRID, TILE_GRID, 3], PAD_VALUE)
        while group := list(itertools.islice(inputs, self.num_replicas)):
            filled = (*group, *[idle] * (self.num_replicas - len(group)))
            outputs = self._run(filled, iterations)[: len(group)]
            yield from (canvases[-1:] if last_only else canvases for canvases in outputs)

    def _run_replicas(self, images, iterations):
        outputs = self._strategy.run(self._run_one, args=(images, iterations))
        return self._strategy.experimental_local_results(outputs)

    def _run_one(self, images, iterations):
        # Replicas are numbered over all workers, images are this worker's.
        replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
        features = self.network.encode(images[replica % self.num_replicas], training=False)
        state = self.network.refine(features, None)
        if not self.network.is_recurrent:
            return state["canvas"]
        canvases = tf.TensorArray(tf.float32, iterations, clear_after_read=False).write(0, state["canvas"][0])

        def step(index, state, canvases):
            state = self.network.refine(features, state)
            return index + 1, state, canvases.write(index, state["canvas"][0])

        _, _, canvases = tf.while_loop(
            lambda index, *_: index < iterations, step, (tf.constant(1), state, canvases), parallel_iterations=1
        )
        return canvases.stack()


@functools.lru_cache(maxsize=8)
def inference_of(network) -> Inference:
    """The network's `Inference`, made once, so that repeated evaluation does not trace it again."""
    return Inference(network)
