"""DeeperLab on Xception-71 on Mapillary Vistas v1.2 (65 classes), as in the paper (arXiv:1902.05093).

python train.py --config=model_zoo/mapillary/deeperlab_xception_71.py --data_dir=records/mapillary \
    --init_backbone_from=xception_71/model.ckpt --workdir=runs/mapillary_deeperlab_xception_71

Records: python prepare_data.py --dataset=mapillary --raw_dir=Vistas --data_dir=records/mapillary --longest_side=1441

Paper, on val: PQ 31.95, PC 55.26, mIoU 55.30 (1441 pixels). Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.deeperlab(backbones.xception_71()),
        data=data.mapillary(),
        training=schedules.deeperlab_paper(global_batch_size=16),
    )
