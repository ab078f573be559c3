"""DeepLabV3 in its mobile form on Mapillary Vistas v2.0 (the evaluated of its 124 labels).

python train.py --config=model_zoo/mapillary_v2/deeplabv3_mobilenet_v2.py --data_dir=records/mapillary_v2 \
    --init_backbone_from=mobilenet_v2/model.ckpt --workdir=runs/mapillary_v2_deeplabv3_mobile

Records: python prepare_data.py --dataset=mapillary_v2 --raw_dir=Vistas --data_dir=records/mapillary_v2 \
    --longest_side=1441

The images are those of v1.2, and so are size of records, crops and schedule. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.mobile_deeplabv3(backbones.mobilenet_v2()),
        data=data.mapillary_v2(),
        training=schedules.large_set(),
    )
