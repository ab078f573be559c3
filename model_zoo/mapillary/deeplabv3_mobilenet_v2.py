"""DeepLabV3 in its mobile form on Mapillary Vistas v1.2 (65 classes).

python train.py --config=model_zoo/mapillary/deeplabv3_mobilenet_v2.py --data_dir=records/mapillary \
    --init_backbone_from=mobilenet_v2/model.ckpt --workdir=runs/mapillary_deeplabv3_mobile

The images have about 9 megapixels; records that hold what a crop of 721 can use come from
python prepare_data.py --dataset=mapillary --raw_dir=Vistas --data_dir=records/mapillary --longest_side=1441

Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.mobile_deeplabv3(backbones.mobilenet_v2()),
        data=data.mapillary(),
        training=schedules.large_set(),
    )
