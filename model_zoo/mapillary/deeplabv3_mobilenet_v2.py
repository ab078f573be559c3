"""DeepLabV3 in its mobile form on Mapillary Vistas v1.2 (65 classes).

python train.py --config=model_zoo/mapillary/deeplabv3_mobilenet_v2.py --data_dir=records/mapillary \
    --init_backbone_from=mobilenet_v2/model.ckpt --workdir=runs/mapillary_deeplabv3_mobile

The images have about 9 megapixels; records that hold what a crop of 721 can use come from
python prepare_data.py --dataset=mapillary --raw_dir=Vistas --data_dir=records/mapillary --longest_side=1441

Not trained by us.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.deeplabv3 import DeepLabV3Config


def get_config():
    return ExperimentConfig(
        model=DeepLabV3Config(BackboneConfig("mobilenet_v2", output_stride=16), atrous_rates=()),
        data=DataConfig(dataset="mapillary", crop_size=(721, 721)),
        training=TrainingConfig(
            total_steps=200_000,
            global_batch_size=16,
            optimizer="sgd",
            momentum=0.9,
            learning_rate=1e-2,
            end_learning_rate=0.0,
            power=0.9,
            validate_every=5000,
        ),
    )
