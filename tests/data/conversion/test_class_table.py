"""Tables of classes as other tools write them: what they mean, or one clear line."""

import pytest

from tfseg.data.conversion.palette import read_names, read_palette
from tfseg.errors import MAX_MESSAGE, InputError

RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)
IDS = {BLACK: 0, RED: 1, BLUE: 2}


@pytest.fixture
def text(tmp_path):
    """text(content) writes a file with this content and returns its path."""

    def write(content):
        path = tmp_path / "table.txt"
        path.write_text(content)
        return path

    return write


@pytest.mark.parametrize(
    "content",
    [
        "bg 0 0 0\nred 255 0 0\nblue 0 0 255\n",
        "name,r,g,b\nbg,0,0,0\nred,255,0,0\nblue,0,0,255\n",
        "name,r,g,b,class_11\nbg,0,0,0,1\nred,255,0,0,1\nblue,0,0,255,1\n",
        "bg,0,0,0\nred,255,0,0\nblue,0,0,255\n",
        "bg,0,0,0,1\nred,255,0,0,1\nblue,0,0,255,1\n",
        "bg;0;0;0\nred;255;0;0\nblue;0;0;255\n",
        "bg\t0\t0\t0\nred\t255\t0\t0\nblue\t0\t0\t255\n",
        "# label:color_rgb:parts:actions\nbg:0,0,0::\nred:255,0,0::\nblue:0,0,255:head,arm:walk\n",
        "0 0 0 0 bg\n1 255 0 0 red\n2 0 0 255 blue\n",
        "2 0 0 255 blue\n0 0 0 0 bg\n1 255 0 0 red\n",
        "0,bg,0,0,0\n1,red,255,0,0\n2,blue,0,0,255\n",
        "bg,0,0,0,0\nred,1,255,0,0\nblue,2,0,0,255\n",
        "id;name;color\n2;blue;#0000ff\n0;bg;#000000\n1;red;#FF0000\n",
        "bg #000000\nred #ff0000\nblue #0000FF\n",
        "#000000 bg\n#ff0000 red\n# a comment\n#0000ff blue\n",
        "bg (0, 0, 0)\nred (255, 0, 0)\nblue [0, 0, 255]\n",
        'bg,"0,0,0"\nred,"255,0,0"\nblue,"0,0,255"\n',
        "Class Name,Red,Green,Blue\nbg,0,0,0\nred,255,0,0\nblue,0,0,255\n",
        "Name,Index,R,G,B\nblue,2,0,0,255\nbg,0,0,0,0\nvoid,255,9,9,9\nred,1,255,0,0\n",
    ],
)
def test_one_table_in_the_forms_of_many_tools(text, content):
    palette = read_palette(text(content))
    assert palette.class_names == ("bg", "red", "blue")
    assert palette.colors == (BLACK, RED, BLUE)
    assert {color: class_id for color, class_id in palette.class_ids.items() if class_id != 255} == IDS


def test_names_of_several_words_and_with_numbers_stay_whole(text):
    assert read_palette(text("traffic light 1 2 3\nlane 1 4 5 6\nlane 2 7 8 9\n")).class_names == (
        "traffic light",
        "lane 1",
        "lane 2",
    )
    assert read_palette(text("name r g b\ntraffic light 1 2 3\n")).class_names == ("traffic light",)
    assert read_palette(text('"building, edifice",1,2,3\n')).class_names == ("building, edifice",)


@pytest.mark.parametrize(
    "content,message",
    [
        ("1 255 0 0 red\n2 0 0 255 blue\n", "the ids are 1, 2; they must be 0 to 1"),
        ("id,name,r,g,b\n0,a,1,1,1\n7,b,2,2,2\n", "the ids are 0, 7; they must be 0 to 1"),
        ("id,name,r,g,b\n0,a,1,1,1\n0,b,2,2,2\n", "the ids are 0; they must be 0 to 1"),
        ("bg 0 0 0 1\nred 255 0 0 1\n", "line 1: 'bg 0 0 0 1': it is not clear what the fourth number means"),
        ("bg,0,0,0,1,2\n", "line 1: 'bg,0,0,0,1,2' is not 'name red green blue'"),
        ("name,r,g,b\nbg,0,0,256\n", "line 2: 'bg,0,0,256' does not have the columns name, r, g, b"),
        ("name,r,g,b\nbg,0,0\n", "line 2: 'bg,0,0' does not have the columns"),
        ("name,r,g,b\n", "no class"),
        ("{\n", "line 1: '{' is not 'name red green blue'"),
        ("\n".join(f"c{index} {index % 256} {index // 256} 0" for index in range(256)), "256 classes; 1 to 255"),
        (f"{'x' * 5000} 1 2\n", "line 1: "),
    ],
)
def test_what_cannot_be_read_in_one_way_is_one_short_line(text, content, message):
    with pytest.raises(InputError) as caught:
        read_palette(text(content))
    assert message in str(caught.value) and len(str(caught.value)) <= MAX_MESSAGE


@pytest.mark.parametrize(
    "content",
    [
        "bg\nred\nblue\n",
        "0 bg\n1 red\n2 blue\n",
        "0: bg\n2: blue\n1: red\n",
        "bg,0\nred,1\nblue,2\n",
        "blue,2\n\nbg,0\nred,1\n",
        "bg 0\nred 1\nblue 2\n",
        "name,\nbg,\nred,\nblue,\n",
        "bg,\nred,\nblue,\n",
        "id,name\n1,red\n0,bg\n2,blue\n",
        "name;id\nbg;0\nred;1\nblue;2\n",
        "# classes\nbg\nred\nblue\n",
        "__ignore__\nbg\nred\nblue\n",
        "-1 __ignore__\n0 bg\n1 red\n2 blue\n255 void\n",
    ],
)
def test_one_list_of_names_in_the_forms_of_many_tools(text, content):
    assert read_names(text(content)) == ("bg", "red", "blue")


def test_the_background_of_labelme_is_class_0(text):
    assert read_names(text("__ignore__\n_background_\ncat\n")) == ("_background_", "cat")
    with pytest.raises(InputError, match="_background_ is class 0, so it must be the first name"):
        read_names(text("cat\n_background_\n"))
    with pytest.raises(InputError, match="line 2: __ignore__ is no class"):
        read_names(text("cat\n__ignore__\n"))


@pytest.mark.parametrize(
    "content",
    ["building, edifice\nroad, route\n", "lane 1\nlane 2\n", "area 51\nzone 5\n", "0\n1\n", "unlabeled\nroad\n"],
)
def test_names_with_commas_and_numbers_are_names(text, content):
    assert read_names(text(content)) == tuple(content.splitlines())


@pytest.mark.parametrize(
    "content,message",
    [
        ("1 red\n2 blue\n", "its lines begin with 1, 2; ids must be 0 to 1"),
        ("red,1\nblue,5\n", "the ids are 1, 5; they must be 0 to 1"),
        ("bg 0 0 0\nred 255 0 0\n", "its lines have colours; give it as --palette"),
        ("name\nbg\nred\n", "line 1: 'name' looks like a header; remove the line"),
        ("id,name\n0,bg\nred\n", "line 3: 'red' does not have the columns id and name"),
        ('{"0": "bg"}\n', "no list of names"),
    ],
)
def test_a_list_of_names_that_is_doubtful_is_one_line(text, content, message):
    with pytest.raises(InputError, match=message):
        read_names(text(content))
