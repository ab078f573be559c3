"""The list of what was made on this machine: who may write it, and what it vouches for."""

import os
import stat

import pytest

from tfseg.errors import InputError
from tfseg.formats import export_manifest, trusted_files


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TFSEG_HOME", str(tmp_path / "home" / "tfseg"))
    return tmp_path / "home" / "tfseg"


@pytest.fixture
def artifact(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"network")
    return tmp_path / "a.tflite"


def note(artifact):
    return trusted_files.note_made_here({artifact: export_manifest.sha256(artifact)})


def test_what_was_made_here_is_vouched_for_wherever_it_lies(home, artifact, tmp_path):
    assert trusted_files.vouched(artifact) is None
    assert note(artifact) is None
    assert trusted_files.vouched(artifact) == export_manifest.sha256(artifact)
    moved = artifact.rename(tmp_path / "b.tflite")
    assert trusted_files.vouched(moved)
    moved.write_bytes(b"Network")
    assert trusted_files.vouched(moved) is None


def test_only_its_owner_may_read_and_write_the_list(home, artifact):
    old = os.umask(0)
    try:
        assert note(artifact) is None
    finally:
        os.umask(old)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "made_here.txt").stat().st_mode) == 0o600


@pytest.mark.parametrize("place,mode", [("made_here.txt", 0o666), ("made_here.txt", 0o620), (".", 0o777), (".", 0o770)])
def test_a_list_that_others_may_write_vouches_for_nothing(home, artifact, capsys, place, mode):
    assert note(artifact) is None
    (home / place).chmod(mode)
    assert trusted_files.vouched(artifact) is None
    assert "can be written by others and is not used; chmod go-w it and its folder" in capsys.readouterr().err
    assert "can be written by others" in note(artifact)


def test_lines_that_were_cut_or_written_by_hand_do_no_harm(home, artifact):
    home.mkdir(parents=True, mode=0o700)
    sha256 = export_manifest.sha256(artifact)
    path = home / "made_here.txt"
    path.touch(mode=0o600)
    path.write_bytes(b"\xff\xfe\n" + sha256[:40].encode())
    assert trusted_files.vouched(artifact) is None
    assert note(artifact) is None
    assert trusted_files.vouched(artifact) == sha256
    strange = artifact.with_name("a\nb\udcff.tflite")
    assert trusted_files.note_made_here({strange: "1" * 64}) is None
    assert len(path.read_bytes().splitlines()) == 5  # two before, one, and an empty one that ends what was cut


def test_the_list_is_in_the_users_own_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("TFSEG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert trusted_files.list_path() == tmp_path / ".local" / "share" / "tfseg" / "made_here.txt"
    monkeypatch.setenv("XDG_DATA_HOME", "data")  # must be absolute to count
    assert trusted_files.list_path() == tmp_path / ".local" / "share" / "tfseg" / "made_here.txt"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert trusted_files.list_path() == tmp_path / "data" / "tfseg" / "made_here.txt"
    monkeypatch.setenv("TFSEG_HOME", str(tmp_path / "own"))
    assert trusted_files.list_path() == tmp_path / "own" / "made_here.txt"
    monkeypatch.setenv("TFSEG_HOME", "own")
    with pytest.raises(InputError, match="TFSEG_HOME=own: not an absolute path"):
        trusted_files.list_path()


@pytest.mark.parametrize("place", ["/dev/null/tfseg", "/proc/tfseg", "own"])
def test_a_home_that_cannot_be_written_is_a_reason_and_no_failure(monkeypatch, artifact, place):
    monkeypatch.setenv("TFSEG_HOME", place)
    reason = note(artifact)
    assert reason and "\n" not in reason
    assert trusted_files.vouched(artifact) is None


def test_a_pipe_in_place_of_the_list_holds_nobody_up(home, artifact):
    home.mkdir(parents=True, mode=0o700)
    os.mkfifo(home / "made_here.txt", 0o600)
    assert trusted_files.vouched(artifact) is None
    assert note(artifact)


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64, "0" * 65, 12])
def test_what_is_no_sha256_is_refused(home, artifact, sha256):
    with pytest.raises(InputError, match="a sha256 has 64 hex digits"):
        trusted_files.vouched(artifact, sha256)
