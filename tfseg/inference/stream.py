"""A video, frame by frame: each frame starts from what the model made of the one before.

The state of a network at the end of a frame (its canvas, and what else it remembers) is moved along with the picture,
reduced where the picture does not fit, and given to the next frame, which then costs less. The model says in its
`CarryConfig` how much of that is done.
"""

import collections
import concurrent.futures
import dataclasses
import math
import time

import numpy as np

from tfseg.errors import InputError
from tfseg.formats.images import as_rgb
from tfseg.inference.motion import CUT_SHARE, Carrier, MotionEstimator, motion_image, no_motion
from tfseg.inference.refinement import Stopped
from tfseg.layers import settling
from tfseg.models.segmenter import CarryConfig
from tfseg.system import timing

FIRST, SIZE, CUT, KEY, LOST = "first frame", "frame size", "scene cut", "key frame", "frame lost"
NOT_KEPT = "no state is kept"
LAST_FRAMES = 20  # whose last iteration tells how long the next one will take
# Names of the arrays of a state beside the network's own.
PICTURE, SHOWN, COUNTS, REASON, ANSWER = "motion_image", "class_ids", "counts", "why_afresh", "answer"


@dataclasses.dataclass(frozen=True)
class StreamOptions:
    """How a stream runs.

    Attributes:
      iters: iterations of a frame that starts from the one before; None is what the model's `CarryConfig` says.
      key_iters: iterations of a frame that starts afresh; None is the model's default.
      key_every: every so many frames one starts afresh; 0 means only when that is needed: at the beginning, after a
        cut, after a lost frame, and when the size changes.
      carry: how a frame starts from the one before; None is as the model says.
      tolerance: share of the canvas, 0 to 1; a frame ends after an iteration that changed at most this share.
      budget_ms: milliseconds from a frame to its class map. In place of `iters`, as many iterations run as the clock
        allows, from one to `key_iters`.
      with_confidence: whether every frame's confidence is returned, too.
    """

    iters: int | None = None
    key_iters: int | None = None
    key_every: int = 0
    carry: CarryConfig | None = None
    tolerance: float | None = None
    budget_ms: float | None = None
    with_confidence: bool = False

    def check(self):
        """Raises InputError for values that no stream can use."""
        if isinstance(self.key_every, bool) or not isinstance(self.key_every, int) or self.key_every < 0:
            raise InputError(f"key_every is {self.key_every!r}; a number of frames, or 0 for only when it is needed")
        if self.budget_ms is not None and not 0 < self.budget_ms < math.inf:
            raise InputError(f"budget_ms is {self.budget_ms!r}; milliseconds above 0")
        if self.budget_ms is not None and self.iters is not None:
            raise InputError("budget_ms and iters are both given: the budget chooses the iterations; omit one")


@dataclasses.dataclass(frozen=True)
class StreamFrame:
    """What a stream says about one frame.

    Attributes:
      class_ids: [height, width] uint8, in the frame's size.
      iterations: number of iterations that ran.
      milliseconds: time that the frame took, from its pixels to all that is kept for the next one, motion included.
      reset: why the frame started afresh, e.g. "scene cut"; empty if it started from the one before.
      changed_share: share of the pixels whose class is another than in the frame before, 0 to 1; None for a frame that
        has none of its size before it.
      confidence: [height, width] float32 softmax probability of the class; None unless it was asked for.
    """

    class_ids: np.ndarray
    iterations: int
    milliseconds: float
    reset: str
    changed_share: float | None
    confidence: np.ndarray | None = None


class Stream:
    """Segments the frames of one video in their order. Any number of streams share a model; none sees another's state.

    Example:
      stream = tfseg.load("runs/photos").stream()
      for frame in frames:  # each [height, width, 3] uint8 RGB
          class_ids = stream.next(frame).class_ids

    Attributes:
      num_frames: number of frames that were segmented.
    """

    def __init__(self, engine, options: StreamOptions):
        """Begins a stream; made by `Predictor.stream`, which checks the numbers of iterations.

        Args:
          engine: an `engines.engine.Engine`.
          options: a StreamOptions.
        Raises:
          InputError: values that no stream can use.
        """
        options.check()
        if engine.carry is None:
            options = _of_single_frames(options, engine.path)
        elif not engine.is_recurrent and options.budget_ms is not None:
            raise InputError(f"budget_ms does nothing here: {engine.path} runs once a frame")
        self._engine, self._options = engine, options
        self._carry = engine.carry
        if engine.carry is not None and options.carry is not None:
            # Whether there is a gate is the network's matter.
            self._carry = dataclasses.replace(options.carry, has_gate=engine.carry.has_gate)
        self._key_iterations = (options.key_iters or engine.default_iterations) if engine.is_recurrent else 1
        self._estimator = MotionEstimator()
        self._endings = collections.deque(maxlen=LAST_FRAMES)
        self.num_frames, self._since_key = 0, 0
        self._state, self._picture, self._shown, self._why_afresh = None, None, None, FIRST
        self._answer, self._beside = None, None

    def reset(self, reason: str = LOST):
        """Makes the next frame start afresh, e.g. because frames before it are missing. The reason is in its result."""
        self._state, self._why_afresh = None, reason

    def next(self, frame) -> StreamFrame:
        """Segments the next frame.

        Args:
          frame: [height, width, 3] uint8 RGB. It may have another size than the one before.
        Raises:
          InputError: the frame is of another kind. The stream goes on as if it had not been given.
        """
        begin = time.perf_counter()
        frame = as_rgb(frame)
        (start, reset, picture, carrier), features = self._start_and_features(frame)
        run = self._run(frame, start, features, begin)
        answer = run.answer
        canvas = None
        if self._carry is not None and self._carry.blend and run.state is not None:
            canvas = np.asarray(answer.canvas())
            if carrier is not None:
                canvas = carrier.blended(canvas, self._answer)
                answer = answer.with_canvas(canvas)
        class_ids, confidence = (
            answer.class_ids_and_confidence() if self._options.with_confidence else (answer.class_ids(), None)
        )
        is_comparable = self._shown is not None and self._shown.shape == class_ids.shape
        changed = float(np.mean(self._shown != class_ids)) if is_comparable else None
        self._keep(run.state, picture, class_ids, is_fresh=start is None)
        self._answer = canvas
        end = time.perf_counter()
        if run.began is not None:
            self._endings.append(end - run.began)
        elif self._options.budget_ms is not None and self._endings:
            self._endings.popleft()  # a single iteration tells nothing, and slow moments must not count for ever
        return StreamFrame(class_ids, run.iterations, 1000 * (end - begin), reset, changed, confidence)

    def state(self) -> dict[str, np.ndarray]:
        """Returns all that the stream remembers, as arrays that `np.savez` writes and `restore` takes."""
        arrays = {COUNTS: np.int64([self.num_frames, self._since_key]), REASON: np.array(self._why_afresh)}
        if self._shown is not None:
            arrays[SHOWN] = self._shown
        if self._state is not None:
            arrays |= {PICTURE: self._picture} | {f"state/{name}": value for name, value in self._state.items()}
            arrays |= {} if self._answer is None else {ANSWER: self._answer}
        return arrays

    def restore(self, arrays):
        """Continues where another stream of the same model stood.

        Args:
          arrays: what `state` returned, or the same read by `np.load`.
        Raises:
          InputError: they are not a stream's.
        """
        arrays = {name: np.asarray(arrays[name]) for name in arrays}
        kept = {name.removeprefix("state/"): value for name, value in arrays.items() if name.startswith("state/")}
        needed = {COUNTS, REASON} | ({PICTURE, SHOWN} if kept else set())
        needed |= {ANSWER} if kept and self._carry and self._carry.blend else set()
        if not needed <= set(arrays) or arrays[COUNTS].shape != (2,):
            raise InputError("these arrays are not the state of a stream")
        channels = {name: maps.shape[-1] if maps.ndim == 4 else None for name, maps in kept.items()}
        if kept and not (self._carry and channels == self._engine.state_channels):
            raise InputError("these arrays are the state of another model's stream")
        self.num_frames, self._since_key = (int(count) for count in arrays[COUNTS])
        self._shown = arrays.get(SHOWN)
        self._state, self._picture = (kept, arrays[PICTURE]) if kept else (None, None)
        self._answer, self._why_afresh = arrays.get(ANSWER), str(arrays[REASON])

    def _start_and_features(self, frame):
        """Finds the motion beside the network's first part, where that runs by itself.

        Returns:
          (what `_start` returns, the frame's features or None).
        """
        if self._state is None or not self._engine.encode:
            return self._start(frame), None
        if self._beside is None:
            self._beside = concurrent.futures.ThreadPoolExecutor(1)
        start = self._beside.submit(self._start, frame)
        features = self._engine.encode(frame)
        return start.result(), features

    def _start(self, frame):
        """Returns (state to start from or None, why it starts afresh or "", its motion image, its Carrier or None)."""
        if self._carry is None:
            return None, NOT_KEPT, None, None
        every = self._options.key_every
        if every == 1 and self._state is not None:
            return None, KEY, self._picture, None  # nothing is ever compared with it
        picture = motion_image(frame)
        if self._state is None:
            return None, self._why_afresh, picture, None
        if every and self._since_key >= every:
            return None, KEY, picture, None
        if self._shown.shape != frame.shape[:2]:
            return None, SIZE, picture, None
        motion = self._motion_to(picture)
        if motion.unlike_share > CUT_SHARE:
            return None, CUT, picture, None
        carrier = Carrier(motion, self._carry)
        return carrier.start(self._state), "", picture, carrier

    def _motion_to(self, picture):
        """Returns the Motion to a frame. Where nothing is moved, it is estimated only for what may be a scene cut."""
        if not (self._carry.with_motion or self._carry.has_gate):
            motion = no_motion(self._picture, picture)
            if motion.unlike_share <= CUT_SHARE:
                return motion
        return self._estimator.between(self._picture, picture)

    def _run(self, frame, start, features, begin) -> Stopped:
        options = self._options
        iterations = self._key_iterations if start is None or options.budget_ms else options.iters
        iterations = iterations or min(self._carry.iterations, self._key_iterations)
        if not self._engine.answer_until:
            return Stopped(self._engine.answer(frame, iterations, last_only=True), iterations)
        ending = timing.p95(self._endings) if self._endings else 0.0
        latest = math.inf if options.budget_ms is None else begin + options.budget_ms / 1000 - ending
        tolerance = settling.NEVER if options.tolerance is None else options.tolerance
        given = {} if features is None else {"features": features}
        return self._engine.answer_until(frame, iterations, latest, tolerance, start=start, **given)

    def _keep(self, state, picture, class_ids, is_fresh):
        self.num_frames += 1
        self._since_key = 1 if is_fresh else self._since_key + 1
        self._shown, self._picture = class_ids, picture
        self._state = None if state is None else {name: np.asarray(maps) for name, maps in state.items()}
        self._why_afresh = NOT_KEPT


def _of_single_frames(options, path):
    """Returns the options for a model that keeps no state. Raises InputError for those that would do nothing."""
    for name in ("key_every", "carry", "budget_ms"):
        if getattr(options, name):
            raise InputError(f"{name} does nothing here: {path} keeps no state, so every frame is segmented by itself")
    return dataclasses.replace(options, key_iters=options.key_iters or options.iters)
