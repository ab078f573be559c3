"""Runs a network on images of any size, under any strategy, for any number of iterations.

Memory stays bounded. Images of more than `WHOLE_IMAGE_PIXELS` go through the network in overlapping tiles. Only an
image's canvases at the network's stride are kept; logits at full resolution exist for one strip of rows at a time.
"""

import dataclasses
import functools
import itertools
import math
import time

import tensorflow as tf

from tfseg.inference.refinement import Layer, Refinement, Stopped
from tfseg.inference.views import (
    PAD_VALUE,
    SINGLE_VIEW,
    TILE_GRID,
    WHOLE_IMAGE_PIXELS,
    join,
    network_inputs,
    tiling_of,
    windows_of,
)
from tfseg.layers import settling
from tfseg.models.segmenter import Segmenter


def canvas_of(state):
    """Returns the [batch, h, w, num_classes] logits of a state."""
    return state["canvas"]


class Inference:
    """Runs a network on all local replicas of the strategy it was built under.

    Images of any size share one trace.

    Example:
      _, _, network = load_run("runs/photos")  # from tfseg.runs.run_directory
      [answer] = Inference(network).refine([image], iterations=3)
      answer.class_ids()  # [height, width] uint8 after the last iteration; class_ids(0) after the first

    Args:
      network: a `Segmenter`.
      whole_image_pixels: number of pixels above which a view is cut into tiles.
      read: state -> [batch, h, w, channels], which is kept after each iteration.
    """

    def __init__(self, network: Segmenter, whole_image_pixels=WHOLE_IMAGE_PIXELS, read=canvas_of):
        self.network, self._whole_image_pixels, self._read = network, whole_image_pixels, read
        self._strategy = network.distribute_strategy
        is_single = self._strategy.num_replicas_in_sync == 1
        self.num_replicas = 1 if is_single else len(self._strategy.extended.worker_devices)
        image = tf.TensorSpec([1, None, None, 3], tf.float32)
        numbers = [tf.TensorSpec([], dtype) for dtype in (tf.int32, tf.float64, tf.float32)]
        self._run = tf.function(self._run_replicas, input_signature=[(image,) * self.num_replicas, *numbers])
        self._carried = network.state_spec()
        specs = network.start_spec()
        start = {name: tf.TensorSpec([1, *spec.shape[1:]], spec.dtype) for name, spec in specs.items()}
        self._run_from = tf.function(self._run_one, input_signature=[image, *numbers, start])

    def refine(self, images, iterations, views=SINGLE_VIEW, last_only=False, fusion="logits") -> list[Refinement]:
        """Sends images through the network.

        Args:
          images: list of [height, width, 3] RGB, 0 to 255, uint8 or float32; sizes may differ. To keep all replicas
            busy, pass at least as many images as there are replicas.
          iterations: number of iterations; a feed-forward network always runs one.
          views: forms in which the network sees each image; they are fused when the result is read.
          last_only: whether to keep only the canvas after the last iteration.
          fusion: how the views are fused, one of `views.FUSIONS`; see `Refinement`.
        Returns:
          One `Refinement` for each image, in order.
        """
        iterations = iterations if self.network.is_recurrent else 1
        plan = [(image, view, self._tiling(image.shape[:2], view)) for image in images for view in views]
        inputs = itertools.chain.from_iterable(network_inputs(*step) for step in plan)
        outputs = self._map(inputs, iterations, last_only)
        layers = [self._layer(outputs, view, tiling, image.shape[:2]) for image, view, tiling in plan]
        count, upright = len(views), [dataclasses.replace(view, is_flipped=False) for view in views]
        arguments = {"fusion": fusion, "groups": [upright.index(view) for view in upright]}
        return [
            Refinement(layers[i * count : (i + 1) * count], tuple(image.shape[:2]), **arguments)
            for i, image in enumerate(images)
        ]

    def refine_until(
        self,
        image,
        iterations,
        latest_start=math.inf,
        tolerance=settling.NEVER,
        view=SINGLE_VIEW[0],
        start=None,
        last_only=True,
    ) -> Stopped:
        """Refines one image until a given time or until its canvas has settled. The first iteration always runs.

        Args:
          image: one image, as in `refine`. An image that is cut into tiles always runs all `iterations`, because all
            tiles must run the same number.
          iterations: largest number of iterations.
          latest_start: latest time, as time.perf_counter(), at which an iteration may begin.
          tolerance: the run stops after an iteration that changed the class of at most this share of the canvas'
            positions. Without `start`, the first iteration counts as changing all of them.
          view: the form in which the network sees the image.
          start: the state to start from, e.g. `Stopped.state` of the frame before, which must have the same size, or
            any maps in the shapes of the network's `start_spec`. None is the network's own start.
          last_only: whether to keep only the canvas after the last iteration.
        Returns:
          The answer, and the state from which the next frame can start.
        Raises:
          ValueError: `start` is given, but the network keeps no state or the image is cut into tiles.
        """
        size = tuple(image.shape[:2])
        tiling = self._tiling(size, view)
        if start is not None and (len(tiling.corners) > 1 or not self._carried):
            raise ValueError("only a network that keeps a state starts from one, on images that are not cut into tiles")
        if len(tiling.corners) > 1 or not (self.network.is_recurrent or self._carried):
            [answer] = self.refine([image], iterations, (view,), last_only)
            return Stopped(answer, iterations if self.network.is_recurrent else 1)
        inputs, to_wall_clock = network_inputs(image, view, tiling), _to_wall_clock()
        limits = latest_start + to_wall_clock, tolerance
        if start is None:
            [(canvases, began, state)] = self._run_group(list(inputs), iterations, *limits)
        else:
            start = {name: tf.convert_to_tensor(start[name]) for name in self.network.start_spec()}
            canvases, began, state = self._run_from(next(inputs), *_numbers(iterations, *limits), start)
        answer = Refinement([self._layer(iter([canvases[-1:] if last_only else canvases]), view, tiling, size)], size)
        began = float(began) - to_wall_clock if len(canvases) > 1 else None
        return Stopped(answer, len(canvases), began, state or None)

    def network_sizes(self, image_size, views=SINGLE_VIEW) -> list[tuple[int, int]]:
        """Returns (height, width) of each network input that an image of this size needs."""
        tilings = [self._tiling(image_size, view) for view in views]
        return [tiling.tile for tiling in tilings for _ in tiling.corners]

    def _tiling(self, image_size, view):
        size = view.size(image_size)
        return windows_of(size, view.window) if view.window else tiling_of(size, self._whole_image_pixels)

    def _layer(self, outputs, view, tiling, image_size):
        """Takes the canvases of a view's tiles from `outputs` and joins them."""
        tiles = itertools.islice(outputs, len(tiling.corners))
        if view.is_flipped:
            tiles = (canvases[:, :, ::-1] for canvases in tiles)  # each [iterations, h, w, channels]
        canvases = next(tiles) if len(tiling.corners) == 1 else join(tiles, tiling)
        if self.network.padding == "same":
            extent = [image_size[i] * tiling.padded_size[i] / tiling.size[i] for i in range(2)]
            return Layer(canvases, tuple(canvases.shape[1 + i] / extent[i] for i in range(2)))
        stride = self.network.canvas_stride
        pitch = tuple(tiling.size[i] / image_size[i] / stride for i in range(2))
        # The grid begins at the view's first pixel; in a mirrored view this is the image's last column.
        skipped = (tiling.tile[1] - 1) % stride if view.is_flipped else 0
        return Layer(canvases, pitch, (0.5 / stride, (0.5 + skipped) / stride))

    def _map(self, inputs, iterations, last_only):
        """Yields what is kept of each [1, height, width, 3] input, in order: [iterations or 1, h, w, channels]."""
        while group := list(itertools.islice(inputs, self.num_replicas)):
            outputs = self._run_group(group, iterations)
            yield from (canvases[-1:] if last_only else canvases for canvases, *_ in outputs)

    def _run_group(self, inputs, iterations, latest_start=math.inf, tolerance=settling.NEVER):
        """Returns what `_run_one` returns for each input; there are at most as many inputs as replicas."""
        idle = tf.fill([1, TILE_GRID, TILE_GRID, 3], PAD_VALUE)
        filled = (*inputs, *[idle] * (self.num_replicas - len(inputs)))
        outputs = self._run(filled, *_numbers(iterations, latest_start, tolerance))
        return outputs[: len(inputs)]

    def _run_replicas(self, images, *limits):
        """Returns a list of what `_run_one` returns, one for each local replica."""
        outputs = self._strategy.run(self._run_of_replica, args=(images, *limits))
        local = [self._strategy.experimental_local_results(output) for output in tf.nest.flatten(outputs)]
        return [tf.nest.pack_sequence_as(outputs, parts) for parts in zip(*local, strict=True)]

    def _run_of_replica(self, images, *limits):
        # Replicas are numbered over all workers, but `images` holds only this worker's images.
        replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
        return self._run_one(images[replica % self.num_replicas], *limits)

    def _run_one(self, image, iterations, latest_start, tolerance, start=None):
        """Runs an image through the network.

        Returns:
          (what is kept of each iteration that ran, [iterations, h, w, channels]; wall-clock time in seconds at which
          the last iteration began; the state after it, an empty dict for a network that keeps none).
        """
        features = self.network.encode(image, training=False)
        start = start and self.network.gated(features, start)
        state = self.network.refine(features, start)
        if not self.network.is_recurrent:
            return self._read(state), _time_after(state), self._state_to_keep(state)
        canvases = tf.TensorArray(tf.float32, iterations, clear_after_read=False).write(0, self._read(state)[0])

        def step(index, now, began, changed, state, canvases):
            refined = self.network.refine(features, state)
            changed = settling.changed_share(state["canvas"], refined["canvas"])
            return index + 1, _time_after(refined), now, changed, refined, canvases.write(index, self._read(refined)[0])

        def has_more(index, now, began, changed, *_):
            return (index < iterations) & (now <= latest_start) & (changed > tolerance)

        now = _time_after(state)
        changed = tf.constant(1.0) if start is None else settling.changed_share(start["canvas"], state["canvas"])
        variables = (tf.constant(1), now, now, changed, state, canvases)
        count, _, began, _, state, canvases = tf.while_loop(has_more, step, variables, parallel_iterations=1)
        return canvases.gather(tf.range(count)), began, self._state_to_keep(state)

    def _state_to_keep(self, state):
        return {name: state[name] for name in self._carried}


def _numbers(iterations, latest_start, tolerance):
    return tf.constant(iterations), tf.constant(latest_start, tf.float64), tf.constant(tolerance, tf.float32)


def _to_wall_clock():
    """Returns the seconds to add to time.perf_counter() to get time.time().

    A pause between reading the two clocks makes the difference too small, so the largest of three is taken.
    """
    return max(time.time() - time.perf_counter() for _ in range(3))


def _time_after(state):
    """Returns the wall-clock time in seconds, read once a state has been computed."""
    with tf.control_dependencies(tf.nest.flatten(state)):
        return tf.timestamp()


@functools.lru_cache(maxsize=8)
def inference_of(network) -> Inference:
    """Returns the network's `Inference`, made only once, so that repeated evaluation does not trace it again."""
    return Inference(network)
