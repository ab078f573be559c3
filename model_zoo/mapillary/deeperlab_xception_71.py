"""DeeperLab on Xception-71 on Mapillary Vistas v1.2 (65 classes), as in the paper (arXiv:1902.05093).

python train.py --config=model_zoo/mapillary/deeperlab_xception_71.py --data_dir=records/mapillary \
    --init_backbone_from=xception_71/model.ckpt --workdir=runs/mapillary_deeperlab_xception_71

Records: python prepare_data.py --dataset=mapillary --raw_dir=Vistas --data_dir=records/mapillary --longest_side=1441

Paper, on val: PQ 31.95, PC 55.26 (1441 pixels). Not trained by us.
What the paper does not print has the defaults of `DeeperLabConfig`.
"""

from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.deeperlab_config import DeeperLabConfig


def get_config():
    return ExperimentConfig(
        model=DeeperLabConfig(),
        data=DataConfig(dataset="mapillary", crop_size=(721, 721)),
        training=TrainingConfig(
            total_steps=500_000,
            global_batch_size=16,
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
