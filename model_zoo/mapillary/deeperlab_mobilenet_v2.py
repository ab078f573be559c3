"""DeeperLab on Wider MobileNetV2 on Mapillary Vistas v1.2 (65 classes), as in the paper (arXiv:1902.05093).

python train.py --config=model_zoo/mapillary/deeperlab_mobilenet_v2.py --data_dir=records/mapillary \
    --init_backbone_from=mobilenet_v2/model.ckpt --workdir=runs/mapillary_deeperlab_mobilenet_v2

Records: python prepare_data.py --dataset=mapillary --raw_dir=Vistas --data_dir=records/mapillary --longest_side=1441

The paper trains its backbone of 5x5 kernels on ImageNet first; a checkpoint of 3x3 kernels starts it as well: they are
centred in the larger ones.

Paper, on val: PQ 25.20, PC 49.80 (1441 pixels). Not trained by us.
What the paper does not print has the defaults of `DeeperLabConfig`.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.deeperlab_config import DeeperLabConfig


def get_config():
    return ExperimentConfig(
        model=DeeperLabConfig(BackboneConfig("mobilenet_v2", kernel_size=5, stem_kernel_size=5, padding="symmetric")),
        data=DataConfig(dataset="mapillary", crop_size=(721, 721)),
        training=TrainingConfig(
            total_steps=500_000,
            global_batch_size=28,
            optimizer="sgd",
            momentum=0.9,
            weight_decay=4e-5,
            decay_depthwise=False,
            learning_rate=1e-2,
            end_learning_rate=0.0,
            power=0.9,
            validate_every=10_000,
        ),
    )
