"""A network on images of any size, under any strategy, for any number of iterations.

Memory stays bounded: images above `WHOLE_IMAGE_PIXELS` go through the network in overlapping tiles, and what is kept of
an image is its canvases at the network's stride; logits at full resolution exist for a strip of rows at a time.
"""

import functools
import itertools
import math
import time

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
from tfseg.layers import settling


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
        numbers = [tf.TensorSpec([], dtype) for dtype in (tf.int32, tf.float64, tf.float32)]
        self._run = tf.function(self._run_replicas, input_signature=[(image,) * self.num_replicas, *numbers])

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

    def refine_until(
        self, image, iterations, latest_start=math.inf, tolerance=settling.NEVER, view=SINGLE_VIEW[0]
    ) -> tuple[Refinement, int, float | None]:
        """One image, until a time or until its canvas has settled; the first iteration always runs.

        Args:
          image: as of `refine`. Where it is cut into tiles all of them have to have the same iterations, and all run.
          iterations: the most that run.
          latest_start: time.perf_counter() of the latest moment at which an iteration may begin.
          tolerance: no iteration follows one that changed the class of at most this share of the canvas' positions; the
            first changes all of them.
          view: in which the network sees the image.
        Returns:
          (Refinement of the last canvas only, iterations that ran, time.perf_counter() at which the last of them began,
          None if it is not known).
        """
        size = tuple(image.shape[:2])
        tiling = self._tiling(size, view)
        if not self.network.is_recurrent or len(tiling.corners) > 1:
            [answer] = self.refine([image], iterations, (view,), last_only=True)
            return answer, iterations if self.network.is_recurrent else 1, None
        inputs, to_wall_clock = network_inputs(image, view, tiling), _to_wall_clock()
        [(canvases, began)] = self._run_group(list(inputs), iterations, latest_start + to_wall_clock, tolerance)
        answer = Refinement([self._layer(iter([canvases[-1:]]), view, tiling, size)], size)
        return answer, len(canvases), float(began) - to_wall_clock if len(canvases) > 1 else None

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
        while group := list(itertools.islice(inputs, self.num_replicas)):
            outputs = self._run_group(group, iterations)
            yield from (canvases[-1:] if last_only else canvases for canvases, _ in outputs)

    def _run_group(self, inputs, iterations, latest_start=math.inf, tolerance=settling.NEVER):
        """For each of at most as many inputs as there are replicas what `_run_one` says."""
        idle = tf.fill([1, TILE_GRID, TILE_GRID, 3], PAD_VALUE)
        filled = (*inputs, *[idle] * (self.num_replicas - len(inputs)))
        numbers = tf.constant(latest_start, tf.float64), tf.constant(tolerance, tf.float32)
        outputs = self._run(filled, tf.constant(iterations), *numbers)
        return list(zip(*outputs, strict=True))[: len(inputs)]

    def _run_replicas(self, images, *limits):
        outputs = self._strategy.run(self._run_one, args=(images, *limits))
        return tuple(map(self._strategy.experimental_local_results, outputs))

    def _run_one(self, images, iterations, latest_start, tolerance):
        """(canvases [iterations that ran, h, w, num_classes], wall-clock seconds at which the last iteration began)."""
        # Replicas are numbered over all workers, images are this worker's.
        replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
        features = self.network.encode(images[replica % self.num_replicas], training=False)
        state = self.network.refine(features, None)
        if not self.network.is_recurrent:
            return state["canvas"], _time_after(state)
        canvases = tf.TensorArray(tf.float32, iterations, clear_after_read=False).write(0, state["canvas"][0])

        def step(index, now, began, changed, state, canvases):
            refined = self.network.refine(features, state)
            changed = settling.changed_share(state["canvas"], refined["canvas"])
            return index + 1, _time_after(refined), now, changed, refined, canvases.write(index, refined["canvas"][0])

        def has_more(index, now, began, changed, *_):
            return (index < iterations) & (now <= latest_start) & (changed > tolerance)

        now = _time_after(state)
        variables = (tf.constant(1), now, now, tf.constant(1.0), state, canvases)
        count, _, began, *_, canvases = tf.while_loop(has_more, step, variables, parallel_iterations=1)
        return canvases.gather(tf.range(count)), began


def _to_wall_clock():
    """Seconds from time.perf_counter() to time.time(). A pause between the two makes it less: the most of three."""
    return max(time.time() - time.perf_counter() for _ in range(3))


def _time_after(state):
    """Wall-clock seconds once a state has been computed."""
    with tf.control_dependencies(tf.nest.flatten(state)):
        return tf.timestamp()


@functools.lru_cache(maxsize=8)
def inference_of(network) -> Inference:
    """The network's `Inference`, made once, so that repeated evaluation does not trace it again."""
    return Inference(network)
