"""arch2 on Cityscapes as in the paper of the dynamic cells: 1000 epochs, 28 crops of 800x800 an update.

python train.py --config=model_zoo/cityscapes/arch2_mobilenet_v2.py --data_dir=cityscapes \
    --init_backbone_from=mobilenet_v2.h5 --workdir=runs/cityscapes_arch2

The first of three stages (arXiv:1904.02371, Sec. 6); arch2_video_mobilenet_v2.py is the second and
arch2_video_mobilenet_v2_joint.py the third. Not trained by us: the paper has 74.4 % mIoU on val, frame by frame.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.arch2(backbones.mobilenet_v2(output_stride=32)),
        data=data.dynamic_cells_paper(data.cityscapes(), crop_size=(800, 800), has_scales=True),
        training=schedules.arch2_paper(num_images=2975, epochs=1000, global_batch_size=28),
    )
