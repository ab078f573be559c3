"""DeeperLab, light form, on MobileNetV2 for your own images with instances.

python train.py --model=deeperlab --dataset=folder --data_dir=DIR --workdir=runs/mine
    DIR is the export of an annotation tool, e.g. COCO instances (docs/annotations.md), or holds images/ and instances/
    (docs/data.md). Masks of class ids have no instances.

Good to change first: --crop_size (16 n + 1, a little less than your images), --steps, --batch_size. Not yet trained by
us on anybody's annotations.
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.deeperlab(backbones.mobilenet_v2(padding="symmetric"), kernel_size=3, width=128),
        data=dataclasses.replace(data.folder(), crop_size=(321, 321)),
        training=schedules.folder(),
    )
