"""COCO's panoptic format: a PNG of segment ids for every image, and one JSON file that says what the ids mean.

See Kirillov et al. 2019 (arXiv:1801.00868); COCO, Cityscapes and Mapillary publish panoptic labels in this format. In a
PNG, id = red + 256 * green + 65536 * blue, and 0 is void. The JSON file has "categories" [{"id", "name", "isthing"}],
"images", and "annotations" [{"image_id", "file_name", "segments_info": [{"id", "category_id", "iscrowd", "area",
"bbox"}]}]. The PNGs are in the folder with the JSON file's name without .json, or beside the file.
"""
