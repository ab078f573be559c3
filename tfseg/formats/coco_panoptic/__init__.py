"""The panoptic format of COCO: a PNG of segment ids for every image, and one JSON file that says what they are.

Kirillov et al. 2019 (arXiv:1801.00868); COCO, Cityscapes and Mapillary publish their panoptic labels in it. In a PNG,
id = red + 256 * green + 65536 * blue, and 0 is void. The JSON file has "categories" [{"id", "name", "isthing"}],
"images", and "annotations" [{"image_id", "file_name", "segments_info": [{"id", "category_id", "iscrowd", "area",
"bbox"}]}]. The PNGs are in the folder that is called like the JSON file without .json, or beside the file.
"""
