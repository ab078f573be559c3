"""arch2 on CamVid as in the paper of the dynamic cells: 2000 epochs, 32 crops of 600x600 an update.

python train.py --config=model_zoo/camvid/arch2_mobilenet_v2_paper.py --data_dir=CamVid \
    --init_backbone_from=mobilenet_v2.h5 --workdir=runs/camvid_arch2_paper

The first of three stages (arXiv:1904.02371, Sec. 6); arch2_video_mobilenet_v2_paper.py is the second and
arch2_video_mobilenet_v2_joint_paper.py the third. Not trained by us: the paper has 65.3 % mIoU on the test split, frame
by frame.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.arch2(backbones.mobilenet_v2(output_stride=32)),
        data=data.dynamic_cells_paper(data.camvid(), crop_size=(600, 600), has_scales=True),
        training=schedules.arch2_paper(num_images=367, epochs=2000, global_batch_size=32),
    )
