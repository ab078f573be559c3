"""DeeperLab on Wider MobileNetV2 on Mapillary Vistas v1.2 (65 classes), as in the paper (arXiv:1902.05093).

python train.py --config=model_zoo/mapillary/deeperlab_mobilenet_v2.py --data_dir=records/mapillary \
    --init_backbone_from=mobilenet_v2/model.ckpt --workdir=runs/mapillary_deeperlab_mobilenet_v2

Records: python prepare_data.py --dataset=mapillary --raw_dir=Vistas --data_dir=records/mapillary --longest_side=1441

The paper trains its backbone of 5x5 kernels on ImageNet first; a checkpoint of 3x3 kernels starts it as well: they are
centred in the larger ones.

Paper, on val: PQ 25.20, PC 49.80 (1441 pixels). Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.deeperlab(backbones.wider_mobilenet_v2()),
        data=data.mapillary(),
        training=schedules.deeperlab_paper(global_batch_size=28),
    )
