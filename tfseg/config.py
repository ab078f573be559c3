"""ExperimentConfig: everything a run is made of, as typed dataclasses.

A recipe builds one, flags override its fields, and the run directory keeps it as config.json. Treat it as read-only
after parsing.
"""

import dataclasses
import json
import math
import reprlib

from tfseg import architectures
from tfseg.data import augment
from tfseg.data.datasets.table import check_name
from tfseg.errors import InputError, listed, shortened
from tfseg.models.segmenter import SegmenterConfig
from tfseg.system.small_files import FieldError, refuse_unknown, typed

OPTIMIZERS = ("sgd", "adamw")
BACKBONE_OPTIMIZERS = ("same", "sgd")
WARMUPS = ("linear", "exponential")
DECAYS = ("decoupled", "l2")
LOSSES = ("cross_entropy", "ohem")
AUTO = "auto"
CHOSEN_CROP = (0, 0)
CHOSEN_SCALES = (0, 0)
PRECISIONS = ("auto", "bfloat16", "float16", "off")


@dataclasses.dataclass
class DataConfig:
    """Which data are read, and how they are augmented.

    Attributes:
      dataset: a key of `tfseg.data.datasets.table.DATASETS`, e.g. camvid.
      data_dir: folder of TFRecords with their manifest, or folder of the raw data, which are converted into the cache
        on first use. None means the cache folder; only generated data can fill it by themselves.
      train_split, validation_split: names of the splits that are read for training and for validation.
      crop_size: (height, width) of training crops, in pixels; `CHOSEN_CROP` chooses it by the size of the images, see
        `training.planning`.
      min_scale, max_scale: smallest and largest factor of the random resizing before the crop; `CHOSEN_SCALES` chooses
        them by the number of images.
      scales: factors one of which is picked in place of that range; empty for the range.
      flip: whether half of the training images are mirrored.
      color_jitter: strength of random brightness, contrast, saturation and hue, 0 (off) to 1.
      rotation: largest random rotation in degrees, 0 (off) to 180.
      blur_rate: share of the training images that are blurred, 0 (off) to 1.
      blur_radius: largest standard deviation of this blur in pixels of the crop; each image's is drawn, from 0.
      fold: "K/N" for cross-validation of people's own data: the labelled images of train and val are divided into N
        equal parts, of which part K is val; "" takes the splits as they are.
      paste_rate: share of the training images into which the pixels of `paste_classes` from another one are pasted, 0
        (off) to 1.
      paste_classes: names of these classes.
      fill: what image crops show outside of their image: "grey", "mean" (ImageNet's mean colour) or "reflect". Labels
        have the ignore label there. In use, images are padded with grey: a network that never saw grey beyond a border
        may find objects along the right and lower one.
      shuffle_buffer: number of examples held for shuffling.
      frame_gap: for training on videos: largest difference of the frame numbers of a training image and of the frame
        before it, which is loaded with it; 0 loads none. Records must be in the order of the frames.
    """

    dataset: str = "scenes"
    data_dir: str | None = None
    train_split: str = "train"
    validation_split: str = "val"
    crop_size: tuple[int, int] = (513, 513)
    min_scale: float = 0.5
    max_scale: float = 2.0
    flip: bool = True
    color_jitter: float = 0.0
    rotation: float = 0.0
    scales: tuple[float, ...] = ()
    blur_rate: float = 0.0
    blur_radius: float = 1.0
    paste_rate: float = 0.0
    paste_classes: tuple[str, ...] = ()
    fill: str = "grey"
    shuffle_buffer: int = 1000
    frame_gap: int = 0
    fold: str = ""

    def check(self):
        """Raises InputError for values that no run can use."""
        check_name(self.dataset)
        _check_finite(self)
        scales = (self.min_scale, self.max_scale)
        if not 0 < self.min_scale <= self.max_scale and scales != CHOSEN_SCALES:
            raise InputError(
                f"config: data.min_scale {self.min_scale} and max_scale {self.max_scale} must be 0 < min <= max; or "
                "both 0, which chooses them by the number of images"
            )
        if self.frame_gap < 0:
            raise InputError(f"config: data.frame_gap is {self.frame_gap}; a number of frames, or 0 for none")
        if min(self.crop_size) < 1 and tuple(self.crop_size) != CHOSEN_CROP:
            raise InputError(
                f"config: data.crop_size {self.crop_size} must be two positive numbers, height and width; or 0x0, "
                "which chooses them by the size of the images"
            )
        for name, most in (("color_jitter", 1), ("rotation", 180), ("blur_rate", 1), ("paste_rate", 1)):
            if not 0 <= getattr(self, name) <= most:
                raise InputError(f"config: data.{name} is {getattr(self, name)}; it must be from 0 (off) to {most}")
        _check_in_use(self, "data.blur_rate", self.blur_rate > 0, ("blur_radius",))
        _check_in_use(self, "data.paste_rate", self.paste_rate > 0, ("paste_classes",))
        if self.paste_rate and not self.paste_classes:
            raise InputError("config: data.paste_rate needs data.paste_classes, the names of the classes to paste")
        if not 0 < self.blur_radius <= 100:
            raise InputError(f"config: data.blur_radius is {self.blur_radius}; it must be above 0 and at most 100")
        if self.scales and scales not in (CHOSEN_SCALES, (DataConfig.min_scale, DataConfig.max_scale)):
            raise InputError(
                "config: data.scales is given beside min_scale and max_scale, which then do nothing; leave these at "
                f"{DataConfig.min_scale} and {DataConfig.max_scale}"
            )
        if not all(0 < scale < math.inf for scale in self.scales):
            raise InputError(f"config: data.scales is {listed(self.scales)}; they must be finite and above 0")
        if self.fill not in augment.FILLS:
            raise InputError(f"config: data.fill is {shortened(self.fill, 60)}; one of {listed(augment.FILLS)}")


@dataclasses.dataclass
class TrainingConfig:
    """How the weights are trained.

    Attributes:
      total_steps: number of optimizer updates; 0 chooses it by the number of images, see `training.planning`.
      global_batch_size: number of images per update, over all replicas.
      optimizer: "sgd" (with momentum) or "adamw".
      learning_rate, end_learning_rate, power: the schedule is (learning_rate - end) * (1 - step / total)^power + end.
      warmup_steps: length of the ramp up to the schedule, in updates.
      warmup, warmup_start: form of this ramp, "linear" or "exponential", and the learning rate at its start; "linear"
        may start from 0.
      backbone_multiplier, head_multiplier: factors of the learning rate (and of decoupled decay) of the backbone and
        of all other weights. Of an arch2_video, all of arch2 counts as the backbone, and the cell as the others.
      backbone_optimizer: "same" trains the backbone like all other weights; "sgd" trains it by SGD with `momentum`,
        beside adamw for the others.
      accumulated_batches: number of equal parts into which the images of an update are divided, which go through the
        network one after another, see `training.trainer`.
      momentum: momentum of SGD.
      weight_decay: weight decay of the kernels.
      decay: "decoupled" (weights shrink by this share per update and unit of learning rate) or "l2" (the gradient of a
        penalty, weight_decay * weight, is added to that of the loss, so that it has momentum as well).
      decay_depthwise: whether the kernels of depthwise convolutions decay as well.
      decay_biases: whether biases, and gamma and beta of batch normalisation, decay as well.
      clip_norm: global gradient norm above which gradients are scaled down; 0 is off.
      average_decay: largest decay of the moving average of weights that is evaluated and exported, see
        `training.averaging`; 0 is off.
      freeze_batch_norm: whether to normalise with the loaded statistics and leave them unchanged.
      precision: auto | bfloat16 | float16 | off.
      loss: "cross_entropy" of all labelled pixels, or "ohem", of the hard ones, see `losses.semantic.HardPixels`.
      ohem_threshold, ohem_share: threshold and min_share of these hard pixels.
      class_weights: "none", "median" (median frequency balancing), "root_median" (its square root) or a text file with
        one weight per line.
      init_from: run directory, model zoo folder, zoo:NAME or weights file to start from.
      init_backbone_from: backbone weights: "imagenet" (those of Keras applications), a file (.npz, .safetensors, .h5,
        or a checkpoint of TF-Slim, DeepLab or Model Garden), or the backbone of a run directory or zoo:NAME; "none"
        overrides a recipe; "auto" is `few_images_from` or "imagenet", see `training.planning`.
      few_images_from: run directory, model zoo folder or zoo:NAME that a run with "auto" starts from if it has few
        images; a model with the same backbone.
      validate_every, checkpoint_every, log_every: intervals in updates; for validation, 0 is never and -1 a tenth of
        the updates.
      patience: number of validations in a row without a better mIoU after which the run ends, and takes the weights of
        the best one; 0 is off.
      max_bad_steps: number of non-finite updates in a row that are skipped before the last checkpoint is restored.
      seed: seed for weights, order and augmentation.
    """

    total_steps: int = 30_000
    global_batch_size: int = 16
    optimizer: str = "sgd"
    learning_rate: float = 1e-3
    end_learning_rate: float = 1e-6
    power: float = 0.9
    warmup_steps: int = 0
    warmup: str = "linear"
    warmup_start: float = 0.0
    backbone_multiplier: float = 1.0
    head_multiplier: float = 1.0
    backbone_optimizer: str = "same"
    accumulated_batches: int = 1
    momentum: float = 0.95
    weight_decay: float = 0.0
    decay: str = "decoupled"
    decay_depthwise: bool = True
    decay_biases: bool = False
    clip_norm: float = 0.0
    average_decay: float = 0.0
    freeze_batch_norm: bool = False
    precision: str = "auto"
    loss: str = "cross_entropy"
    ohem_threshold: float = 0.7
    ohem_share: float = 1 / 16
    class_weights: str = "none"
    init_from: str | None = None
    init_backbone_from: str | None = None
    few_images_from: str | None = None
    validate_every: int = 1000
    checkpoint_every: int = 500
    log_every: int = 20
    patience: int = 0
    max_bad_steps: int = 3
    seed: int = 0

    def check(self):
        """Raises InputError for values that no run can use."""
        known = {"optimizer": OPTIMIZERS, "loss": LOSSES, "precision": PRECISIONS, "warmup": WARMUPS, "decay": DECAYS}
        known["backbone_optimizer"] = BACKBONE_OPTIMIZERS
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise InputError(f"--{name}={shortened(getattr(self, name), 60)} is unknown; one of {listed(values)}")
        _check_finite(self)
        above_0 = ("global_batch_size", "learning_rate", "checkpoint_every", "log_every")
        for name in (*above_0, "accumulated_batches", "backbone_multiplier", "head_multiplier"):
            if getattr(self, name) <= 0:
                raise InputError(f"config: training.{name} is {getattr(self, name)}; it must be above 0")
        at_least_0 = ("end_learning_rate", "weight_decay", "clip_norm", "warmup_steps", "warmup_start")
        for name in (*at_least_0, "total_steps", "max_bad_steps", "patience"):
            if getattr(self, name) < 0:
                raise InputError(f"config: training.{name} is {getattr(self, name)}; it must be 0 or more")
        for name in ("momentum", "average_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"config: training.{name} is {getattr(self, name)}; it must be in [0, 1)")
        if self.validate_every < -1:
            raise InputError(
                f"config: training.validate_every is {self.validate_every}; a number of updates, 0 for never, -1 for a "
                "tenth of the run"
            )
        self._check_loss()
        self._check_warmup()
        if self.backbone_optimizer == self.optimizer:
            raise InputError(
                f"config: training.backbone_optimizer is {self.optimizer}, which trains all weights; omit it, or set "
                "training.optimizer=adamw"
            )
        _check_in_use(self, "training.weight_decay", self.weight_decay > 0, ("decay", "decay_biases"))
        if self.decay == "l2" and self.optimizer != "sgd":
            raise InputError(f"config: training.decay=l2 is for sgd; the decay of {self.optimizer} is decoupled")
        if self.global_batch_size % self.accumulated_batches:
            raise InputError(
                f"config: training.accumulated_batches is {self.accumulated_batches}, which does not divide the "
                f"{self.global_batch_size} images of an update (--batch_size)"
            )

    def _check_loss(self):
        _check_in_use(self, "training.loss=ohem", self.loss == "ohem", ("ohem_threshold", "ohem_share"))
        if not 0 < self.ohem_threshold < 1:
            raise InputError(f"config: training.ohem_threshold is {self.ohem_threshold}; it must be between 0 and 1")
        if not 0 <= self.ohem_share <= 1:
            raise InputError(f"config: training.ohem_share is {self.ohem_share}; it must be from 0 to 1")

    def _check_warmup(self):
        _check_in_use(self, "training.warmup_steps", self.warmup_steps > 0, ("warmup", "warmup_start"))
        if self.warmup == "exponential" and not self.warmup_start:
            raise InputError("config: training.warmup=exponential needs a training.warmup_start above 0")
        if self.warmup_start > self.learning_rate:
            raise InputError(
                f"config: training.warmup_start is {self.warmup_start}, above the learning_rate {self.learning_rate}"
            )


def _check_finite(part):
    for name, value in vars(part).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"config: {name} is {value}; it must be a finite number")


def _check_in_use(part, needed, is_on, names):
    """Raises InputError if a field was changed that does nothing, because what it belongs to is off."""
    defaults = {field.name: field.default for field in dataclasses.fields(part)}
    for name in names:
        if not is_on and getattr(part, name) != defaults[name]:
            value = shortened(getattr(part, name), 60)
            raise InputError(f"config: {name} is {value}, which does nothing without {needed}")


@dataclasses.dataclass
class ExperimentConfig:
    """One run: a model, its data and its training."""

    model: SegmenterConfig
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)

    def check(self):
        """Raises InputError for values that no run can use. Each part checks its own fields."""
        self.data.check()
        self.model.check(self.data)
        self.training.check()
        if self.training.loss == "ohem" and architectures.architecture_of(self.model).is_panoptic:
            raise InputError(
                f"config: training.loss=ohem is for semantic models; {architectures.name_of(self.model)} has "
                "model.losses.hard_pixel_fraction"
            )
        if self.model.backbone is None:
            for name in ("backbone_multiplier", "head_multiplier"):
                if getattr(self.training, name) != 1:
                    raise InputError(
                        f"config: training.{name} is {getattr(self.training, name)}, but "
                        f"{architectures.name_of(self.model)} has no backbone; change the learning_rate"
                    )
            if self.training.backbone_optimizer != "same":
                raise InputError(
                    f"config: training.backbone_optimizer is {self.training.backbone_optimizer}, but "
                    f"{architectures.name_of(self.model)} has no backbone; omit it"
                )
        if self.training.init_backbone_from and self.model.backbone is None:
            raise InputError(
                f"--init_backbone_from={self.training.init_backbone_from}: {architectures.name_of(self.model)} has no "
                "backbone; --init_from takes whole models"
            )

    def to_dict(self) -> dict:
        """Returns the config in JSON types; the model's name is stored beside its fields."""
        values = dataclasses.asdict(self)
        values["model"] = {"name": architectures.name_of(self.model), **values["model"]}
        return json.loads(json.dumps(values))

    @classmethod
    def from_dict(cls, values: dict, source: str = "config") -> "ExperimentConfig":
        """Returns the config that `to_dict` wrote.

        Args:
          values: JSON types.
          source: the file of the values, with which messages begin.
        Raises:
          InputError: a field is unknown or has a value of a wrong type.
        """
        try:
            return cls._typed(values)
        except FieldError as error:
            raise InputError(f"{source}: {error}") from None

    @classmethod
    def _typed(cls, values):
        if not isinstance(values, dict):
            raise FieldError("config", f"is a group of fields, not {reprlib.repr(values)}")
        refuse_unknown(values, ("model", "data", "training"), "config")
        model = values.get("model", {})
        name = model.get("name") if isinstance(model, dict) else None
        if not isinstance(name, str) or name not in architectures.ARCHITECTURES:
            known = listed(architectures.ARCHITECTURES)
            raise FieldError("model.name", f"{reprlib.repr(name)} is unknown; one of {known}")
        model_config = architectures.ARCHITECTURES[name].config
        try:
            fields = model_config.current_fields({key: value for key, value in model.items() if key != "name"})
        except TypeError:
            raise FieldError("model", "has a single value where a group of fields or a list belongs") from None
        return cls(
            typed(model_config, fields, "model"),
            typed(DataConfig, values.get("data", {}), "data"),
            typed(TrainingConfig, values.get("training", {}), "training"),
        )
