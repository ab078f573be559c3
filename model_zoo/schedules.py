"""Schedules for recipes: how long, how fast and with what optimizer. Each call gives a new config."""

import dataclasses

from tfseg.config import TrainingConfig


def recurrent_paper() -> TrainingConfig:
    """As the recurrent paper trains on VOC 2012 and Cityscapes (McIntosh et al. 2018, arXiv:1711.10151)."""
    return TrainingConfig(
        total_steps=30_000,
        global_batch_size=16,
        optimizer="sgd",
        momentum=0.95,
        learning_rate=1e-3,
        end_learning_rate=1e-6,
        power=0.9,
        validate_every=1000,
    )


def sgd(total_steps: int, global_batch_size: int, validate_every: int) -> TrainingConfig:
    """Momentum SGD, 0.01 falling to 0, with the momentum and power of DeepLab's code (tensorflow/models)."""
    return TrainingConfig(
        total_steps=total_steps,
        global_batch_size=global_batch_size,
        optimizer="sgd",
        momentum=0.9,
        learning_rate=1e-2,
        end_learning_rate=0.0,
        power=0.9,
        validate_every=validate_every,
    )


def large_set() -> TrainingConfig:
    """For data sets of tens of thousands of images. Our choice, not tried out."""
    return sgd(200_000, global_batch_size=16, validate_every=5000)


def shelfnet_paper(
    num_images: int, epochs: int, global_batch_size: int = 12, learning_rate: float = 1e-2
) -> TrainingConfig:
    """A stage of ShelfNet's training (Zhuang et al. 2018, arXiv:1811.11254): a rate that falls to 0, a decay of 1e-4.

    Momentum and power, which the paper does not print, are 0.9 in its code, which decays all weights by a penalty.
    """
    training = sgd(num_images * epochs // global_batch_size, global_batch_size, validate_every=5000)
    return dataclasses.replace(training, learning_rate=learning_rate, weight_decay=1e-4, decay="l2", decay_biases=True)


def deeperlab_paper(global_batch_size: int) -> TrainingConfig:
    """For Tables 1 and 2 of DeeperLab's paper (Yang et al. 2019, arXiv:1902.05093): steps, rate and batch.

    It prints no momentum, power or decay: they are those of DeepLab's code, which leaves depthwise kernels undecayed.
    """
    training = sgd(500_000, global_batch_size, validate_every=10_000)
    return dataclasses.replace(training, weight_decay=4e-5, decay_depthwise=False)


def light_shelfnet() -> TrainingConfig:
    """As light-weight ShelfNet's authors train on Cityscapes (ICCV Workshops 2019): hard pixels, a slow beginning."""
    return dataclasses.replace(
        sgd(80_000, global_batch_size=16, validate_every=5000),
        warmup_steps=1000,
        warmup="exponential",
        warmup_start=1e-5,
        head_multiplier=10.0,
        weight_decay=5e-4,
        decay="l2",
        loss="ohem",
    )


def adamw(total_steps: int, learning_rate: float, weight_decay: float, average_decay: float) -> TrainingConfig:
    """AdamW with 8 images an update, for runs of minutes to hours: warmed up, with averaged weights."""
    return TrainingConfig(
        total_steps=total_steps,
        global_batch_size=8,
        optimizer="adamw",
        learning_rate=learning_rate,
        warmup_steps=100,
        weight_decay=weight_decay,
        average_decay=average_decay,
        validate_every=500,
        checkpoint_every=250,
    )


def scenes() -> TrainingConfig:
    """A few minutes on the generated scenes, from random weights; rare classes (persons, poles) weigh more."""
    training = adamw(2500, learning_rate=2e-3, weight_decay=1e-3, average_decay=0.99)
    return dataclasses.replace(training, warmup_steps=50, class_weights="root_median")


def scenes_video() -> TrainingConfig:
    """About 8 times through the 600 frames of the generated clips, from a network trained on the single scenes."""
    return dataclasses.replace(scenes(), total_steps=600, learning_rate=5e-4)


def crowds() -> TrainingConfig:
    """Half an hour on the crowded streets, from a pre-trained backbone, without validation on the way."""
    training = adamw(5000, learning_rate=1.5e-3, weight_decay=1e-3, average_decay=0.99)
    return dataclasses.replace(training, validate_every=0)


def round_objects() -> TrainingConfig:
    """20 to 60 minutes on 2 cores, for 400 images of 300 pixels, without validation on the way."""
    training = adamw(2000, learning_rate=2e-3, weight_decay=1e-2, average_decay=0.995)
    return dataclasses.replace(
        training, init_backbone_from="auto", few_images_from="zoo:nuclei_deeperlab_mobilenet_v2", validate_every=0
    )


def folder() -> TrainingConfig:
    """Your own images: as many updates as their number asks for, see `tfseg.training.planning`.

    Chosen on a part of the nuclei's training images, as two classes, from which 131 were taken (mIoU on 223 others
    after 490 updates): learning rate 1e-3 90.4, 2e-3 90.9; 1e-3 with twice as many updates of half as many images 90.9.
    """
    training = adamw(0, learning_rate=2e-3, weight_decay=1e-2, average_decay=0.998)
    start = "zoo:camvid_fcn_mobilenet_v2"
    return dataclasses.replace(
        training, init_backbone_from="auto", few_images_from=start, validate_every=-1, patience=5
    )


def camvid_video() -> TrainingConfig:
    """About 10 times through CamVid's 367 images, from a network that was trained on them as single images."""
    training = dataclasses.replace(camvid(), total_steps=450, learning_rate=2e-4, average_decay=0.99)
    return dataclasses.replace(training, backbone_multiplier=0.1)


def arch2_paper(num_images: int, epochs: int, global_batch_size: int) -> TrainingConfig:
    """As the paper trains arch2 (arXiv:1904.02371, Sec. 6): 5e-2 for the encoder, 1e-2 for the decoder, falling to 0.

    It prints no optimizer, momentum, power or decay: SGD, 0.9 and 0.9 are ours, 1e-5 is that of its authors' code.
    """
    training = sgd(num_images * epochs // global_batch_size, global_batch_size, validate_every=1000)
    return dataclasses.replace(training, backbone_multiplier=5.0, weight_decay=1e-5, decay="l2")


def cells_paper(num_images: int, epochs: int, global_batch_size: int) -> TrainingConfig:
    """As the paper trains a cell before it trains the whole network (arXiv:1904.02371, Sec. 6): 8e-3 throughout."""
    training = cells(num_images * epochs // global_batch_size, global_batch_size)
    return dataclasses.replace(
        training, end_learning_rate=8e-3, warmup_steps=0, clip_norm=0.0, class_weights="none", average_decay=0.0
    )


def joint_cells_paper(num_images: int, epochs: int, global_batch_size: int) -> TrainingConfig:
    """As the paper trains cell and arch2 together (arXiv:1904.02371, Sec. 6): Adam at 4e-3, SGD at 5e-4 and 0.9.

    It prints no batch size for this stage: that of the stage before is taken.
    """
    return dataclasses.replace(
        cells_paper(num_images, epochs, global_batch_size),
        learning_rate=4e-3,
        end_learning_rate=4e-3,
        backbone_optimizer="sgd",
        backbone_multiplier=0.125,
        momentum=0.9,
    )


def cells(total_steps: int, global_batch_size: int = 8) -> TrainingConfig:
    """A dynamic cell on a frozen arch2: the paper's 8e-3 of Adam (arXiv:1904.02371, Sec. 6), here falling to 0.

    Clipped at a norm of 3, as in the search. Rare classes weigh as in the training of our arch2.
    """
    training = adamw(total_steps, learning_rate=8e-3, weight_decay=0.0, average_decay=0.99)
    return dataclasses.replace(
        training,
        global_batch_size=global_batch_size,
        warmup_steps=20,
        clip_norm=3.0,
        class_weights="root_median",
        validate_every=0,
    )


def camvid() -> TrainingConfig:
    """About 80 times through CamVid's 367 images, from a pre-trained backbone; its rare classes weigh more."""
    training = adamw(3700, learning_rate=1e-3, weight_decay=1e-2, average_decay=0.995)
    return dataclasses.replace(training, class_weights="root_median", validate_every=0, checkpoint_every=100)


def camvid_start() -> TrainingConfig:
    """About 11 times through CamVid's images; the backbone learns at a hundredth of the rate, the head at the whole."""
    return dataclasses.replace(camvid(), total_steps=500, average_decay=0.99, backbone_multiplier=0.01)
