"""DeepLabV3 in its mobile form on COCO panoptic 2017, things and stuff as 133 classes.

python train.py --config=model_zoo/coco_panoptic/deeplabv3_mobilenet_v2.py --data_dir=COCO \
    --init_backbone_from=mobilenet_v2/model.ckpt --workdir=runs/coco_panoptic_deeplabv3_mobile

Not trained by us, so the schedule is untried.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.mobile_deeplabv3(backbones.mobilenet_v2()),
        data=data.coco_panoptic(),
        training=schedules.large_set(),
    )
