"""CVAT's XML for images, written by hand in the documented form."""

import pytest

from tfseg.errors import InputError
from tfseg.formats.annotations import cvat_xml

SQUARE = "1.00,1.00;4.00,1.00;4.00,4.00;1.00,4.00"
RECTANGLE = "2,2;8,2;8,5;2,5"


def polygon(label="dog", points=SQUARE, z_order=0, **others):
    more = "".join(f' {name}="{value}"' for name, value in others.items())
    return (
        f'<polygon label="{label}" source="manual" occluded="0" points="{points}" z_order="{z_order}"{more}></polygon>'
    )


def mask(rle="1, 4, 1", left=3, top=2, width=3, height=2):
    return f'<mask label="car" rle="{rle}" left="{left}" top="{top}" width="{width}" height="{height}" z_order="0"/>'


@pytest.fixture
def write(tmp_path):
    """write(shapes, ...) writes annotations.xml with an image of 6x8 pixels for each text; returns its path."""

    def save(*images, attributes='width="8" height="6"', labels=("dog", "car")):
        names = "".join(f"<label><name>{name}</name><type>any</type></label>" for name in labels)
        entries = "".join(
            f'<image id="{i}" name="{"ab"[i]}.png" {attributes}>{shapes}</image>' for i, shapes in enumerate(images)
        )
        path = tmp_path / "annotations.xml"
        path.write_text(
            '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task><labels>'
            f"{names}</labels></task></meta>{entries}</annotations>"
        )
        return path

    return save


@pytest.fixture
def read(files_in):
    return lambda: cvat_xml.read(files_in("*.xml"))


def test_objects_lie_by_z_order_and_then_in_the_order_of_the_file(write, read, drawn):
    write(polygon("dog", SQUARE) + polygon("car", RECTANGLE))
    assert drawn(read().photographs[0])[0][2:5] == [".2111111", ".2111111", "..111111"]
    write(polygon("dog", SQUARE, z_order=1) + polygon("car", RECTANGLE))
    assert drawn(read().photographs[0])[0][2:5] == [".2221111", ".2221111", "..111111"]


def test_classes_are_the_labels_of_the_task_in_its_order(write, read):
    write(polygon("car"))
    assert read().class_names == ["dog", "car"]


def test_a_mask_has_runs_along_the_rows_of_its_box(write, read, drawn):
    write(mask())
    assert drawn(read().photographs[0])[0][2:4] == ["....11..", "...11..."]


def test_shapes_of_one_group_and_label_are_one_object(write, read, drawn):
    parts = (SQUARE, "6,1;8,1;8,2;6,2")
    write("".join(polygon(points=part, group_id=3) for part in parts))
    assert drawn(read().photographs[0])[1][1] == ".111..11"
    write("".join(polygon(points=part, group_id=0) for part in parts))
    assert drawn(read().photographs[0])[1][1] == ".111..22"


def test_the_subset_is_the_split_and_default_is_none(write, read):
    for subset, split in (("Train", "Train"), ("default", None)):
        write(polygon(), attributes=f'width="8" height="6" subset="{subset}"')
        assert read().photographs[0].split == split


def test_an_image_without_shapes_and_one_with_tags_have_no_objects(write, read):
    write("", '<tag label="car" source="manual"></tag>')
    assert [each.objects for each in read().photographs] == [(), ()]


@pytest.mark.parametrize(
    "wrong, reason",
    [
        ('<box label="car" xtl="1" ytl="1" xbr="3" ybr="3" z_order="0"/>', r"box 1 \(car\): a box has no outline"),
        ('<points label="car" points="1,1" z_order="0"/>', "a points has no outline"),
        (polygon(points="1,1;4,4"), "a polygon has 2 points"),
        (polygon(points="1,1;4,4;nan,1"), "a coordinate is not a finite number"),
        (polygon(points="1,1;4,4;x,1"), "points that are no numbers"),
        (polygon(points="1,1;4,4;4"), "not a list of pairs of numbers"),
        (polygon("cat"), r"polygon 1 \(cat\): no label of the task"),
        (polygon(z_order="up"), "the z_order is 'up'"),
        (mask(rle="1, 4"), "an RLE of 5 pixels for 3x2"),
        (mask(rle="1, x"), "an rle that is not whole numbers"),
        (mask(left="-1"), "the left is '-1'; it must be a whole number, 0 or more"),
    ],
)
def test_a_bad_shape_makes_its_image_a_bad_file_and_no_other(write, read, wrong, reason):
    write(polygon() + wrong, polygon())
    found = read()
    with pytest.raises(InputError, match=rf"annotations\.xml: a\.png: .*{reason}"):
        raise InputError(*found.problems)
    assert [each.file_name for each in found.photographs] == ["b.png"]


def test_a_video_a_document_type_and_damage_are_one_line_that_names_the_file(write, read):
    path = write(polygon())
    text = path.read_text()
    for content, reason in [
        (text.replace("<image ", '<track id="0" label="car"/><image '), "tracks of a video; export as"),
        (text.replace("<annotations>", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotations>"), "with a document type"),
        (text[:-30], "damaged XML"),
    ]:
        path.write_text(content)
        assert cvat_xml.is_one(path)
        with pytest.raises(InputError, match=rf"annotations\.xml: .*{reason}"):
            read()


def test_boxes_of_pascal_voc_are_not_taken_for_cvat(tmp_path):
    (tmp_path / "a.xml").write_text("<annotation><object><name>car</name></object></annotation>")
    assert not cvat_xml.is_one(tmp_path / "a.xml")
