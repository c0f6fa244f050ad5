import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from corruptions import CORRUPTIONS, corrupt
from cvgl_bench import corrupting
from cvgl_bench.cli import main
from cvgl_bench.contact_sheet import SHEET, small
from cvgl_bench.corrupted_page import PAGE, WORK, read_corrupted_page
from cvgl_bench.corrupting import folders_of
from cvgl_bench.errors import DataError
from cvgl_bench.files import sha256_of_file
from cvgl_bench.own_pictures import find_pictures
from cvgl_bench.seeding import generator

FEW = ("--corruptions", "fog,contrast", "--severities", "1,4")
ORIENTATION = 0x0112
# How a camera has stored an upright picture that it gives this orientation.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def picture(seed=0, size=(60, 40)):
    rng = np.random.default_rng(seed)
    small_one = Image.fromarray(rng.integers(0, 256, (5, 8, 3), dtype=np.uint8))
    return small_one.resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(("garden.jpg", "street.png")):
        picture(number).save(folder / name, quality=90)
    return folder


def files_in(folder):
    return {
        path.relative_to(folder).as_posix(): sha256_of_file(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_photo_becomes_a_folder_of_corrupted_pictures(photos, tmp_path):
    out = tmp_path / "out"
    result = run("corrupt", photos, "--out", out)
    assert result.exit_code == 0, result.output
    assert "2 photos, 162 pictures: profile standard, seed 0." in result.output
    assert not (out / WORK).exists()
    for name in ("garden", "street"):
        page = read_corrupted_page(out / name)
        states = {(one.corruption, one.severity) for one in page.pictures.values()}
        assert states == {("codec_only", 0), *((c, s) for c in CORRUPTIONS for s in range(1, 6))}
        assert next(iter(page.pictures)) == "codec_only.jpg"
        assert {path.name for path in (out / name).iterdir()} == {*page.pictures, PAGE, SHEET}
        for file, one in page.pictures.items():
            assert sha256_of_file(out / name / file) == one.sha256
            with Image.open(out / name / file) as made:
                assert made.size == (60, 40)


def test_a_png_holds_exactly_what_the_library_makes_of_the_photo(photos, tmp_path):
    out = tmp_path / "out"
    run("corrupt", photos / "street.png", "--out", out, "--format", "png", *FEW)
    pixels = np.array(Image.open(photos / "street.png"))
    page = read_corrupted_page(out / "street")
    assert list(page.pictures) == [
        *("clean.png", "fog-1.png", "fog-4.png", "contrast-1.png", "contrast-4.png")
    ]
    for file, one in page.pictures.items():
        found = np.array(Image.open(out / "street" / file))
        wanted = pixels
        if one.severity:
            rng = generator(int(one.seed, 16))
            wanted = corrupt(pixels, one.corruption, one.severity, rng=rng)
        assert np.array_equal(found, wanted)


def test_the_same_photo_has_the_same_pictures_wherever_it_lies(photos, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(photos / "garden.jpg", elsewhere / "IMG 0001.JPG")
    assert run("corrupt", photos, "--out", tmp_path / "one", *FEW).exit_code == 0
    run("corrupt", elsewhere, "--out", tmp_path / "two", "--corruptions", "fog", "--no-sheet")
    one, two = (files_in(tmp_path / name) for name in ("one", "two"))
    assert one["garden/fog-4.jpg"] == two["IMG 0001/fog-4.jpg"]
    assert one["garden/fog-4.jpg"] != one["street/fog-4.jpg"]


def test_number_of_processes_and_order_change_no_byte(photos, tmp_path):
    files = [photos / "garden.jpg", photos / "street.png"]
    run("corrupt", *files, "--out", tmp_path / "one", *FEW, "--no-sheet")
    many = (*FEW, "--no-sheet", "--workers", 2)
    result = run("corrupt", *files[::-1], "--out", tmp_path / "two", *many)
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")


def test_another_seed_changes_what_is_drawn_and_nothing_else(photos, tmp_path):
    for seed in (0, 1):
        run("corrupt", photos / "garden.jpg", "--out", tmp_path / str(seed), "--seed", seed, *FEW)
    one, two = (files_in(tmp_path / seed / "garden") for seed in "01")
    assert one["contrast-4.jpg"] == two["contrast-4.jpg"]
    assert one["fog-4.jpg"] != two["fog-4.jpg"]


@pytest.mark.parametrize("orientation", STORED)
def test_photos_are_turned_as_their_exif_data_say(orientation, tmp_path):
    upright = picture()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    upright.transpose(STORED[orientation]).save(tmp_path / "photo.png", exif=exif)
    run("corrupt", tmp_path / "photo.png", "--out", tmp_path, "--format", "png", *FEW)
    found = np.array(Image.open(tmp_path / "photo" / "clean.png"))
    assert np.array_equal(found, np.array(upright))


def test_large_photos_are_shrunk_only_if_asked_and_the_user_is_told(tmp_path):
    picture(size=(2600, 1300)).save(tmp_path / "large.jpg")
    arguments = ("corrupt", tmp_path / "large.jpg", "--corruptions", "contrast", "--out")
    result = run(*arguments, tmp_path / "whole", "--severities", "1")
    assert "--max-side 1232" in result.stderr
    result = run(*arguments, tmp_path / "less", "--severities", "1", "--max-side", "200")
    assert result.stderr == ""
    for name, size in (("whole", (2600, 1300)), ("less", (200, 100))):
        with Image.open(tmp_path / name / "large" / "contrast-1.jpg") as made:
            assert made.size == size


def test_unusable_photos_are_all_named_and_nothing_is_made(photos, tmp_path):
    rgba = picture().convert("RGBA")
    rgba.putalpha(99)
    rgba.save(photos / "see-through.png")
    Image.fromarray(np.full((30, 30), 40_000, np.uint16)).save(photos / "deep.png")
    whole = (photos / "garden.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "letter.jpg").write_text("Dear Madam")
    (photos / "empty.jpg").touch()
    picture(size=(40, 12)).save(photos / "low.png")
    result = run("corrupt", photos, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "6 of the 8 photos cannot be used" in result.stderr
    for name in ("see-through", "deep", "cut", "letter", "empty", "low"):
        assert f"{name}." in result.stderr
    assert "16-bit" in result.stderr
    assert "RGBA" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_one_unusable_photo_is_one_sentence(photos, tmp_path):
    (photos / "letter.jpg").write_text("Dear Madam")
    result = run("corrupt", photos, "--out", tmp_path / "out")
    assert len(result.stderr.splitlines()) == 1
    assert "neither JPEG nor PNG" in result.stderr


def test_a_broken_exif_block_is_refused(photos, tmp_path, monkeypatch):
    def broken(self):
        raise ValueError("not a TIFF file")

    monkeypatch.setattr(Image.Image, "getexif", broken)
    result = run("corrupt", photos / "garden.jpg", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "EXIF block that cannot be read" in result.stderr


def test_a_killed_run_goes_on(photos, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole", tmp_path / "out"
    run("corrupt", photos, "--out", whole, *FEW)
    real, done = corrupting.render, []

    def killed(task):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(task)
        return real(task)

    monkeypatch.setattr(corrupting, "render", killed)
    result = run("corrupt", photos, "--out", out, *FEW)
    assert result.exit_code == 130
    assert "run the same command again" in result.stderr
    monkeypatch.setattr(corrupting, "render", real)
    result = run("corrupt", photos, "--out", out, *FEW)
    # Of each photo there are three tasks: itself, fog and contrast.
    assert "10 pictures, of which 6 were there" in result.output
    assert files_in(out) == files_in(whole)


def test_more_corruptions_join_those_that_are_there(photos, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    run("corrupt", photos, "--out", one, *FEW)
    run("corrupt", photos, "--out", two, "--corruptions", "contrast", "--severities", "4,1")
    result = run("corrupt", photos, "--out", two, "--corruptions", "fog", "--severities", "1,4")
    assert "6 pictures, of which 2 were there" in result.output
    assert files_in(one) == files_in(two)


def test_an_altered_or_missing_picture_is_made_again(photos, tmp_path):
    out = tmp_path / "out"
    run("corrupt", photos, "--out", out, *FEW)
    before = files_in(out)
    (out / "garden" / "fog-1.jpg").write_bytes(b"")
    (out / "street" / "fog-4.jpg").unlink()
    with pytest.raises(DataError, match=r"fog-4\.jpg is on .* and not there"):
        find_pictures([out])
    result = run("corrupt", photos, "--out", out, *FEW)
    assert "10 pictures, of which 8 were there" in result.output
    assert files_in(out) == before


@pytest.mark.parametrize(
    ("option", "what"),
    [
        (("--seed", 7), "seed"),
        (("--quality", 30), "encoding"),
        (("--max-side", 30), "width, height, max_side"),
    ],
)
def test_a_folder_holds_pictures_of_one_kind(option, what, photos, tmp_path):
    run("corrupt", photos, "--out", tmp_path / "out", *FEW)
    before = files_in(tmp_path / "out")
    result = run("corrupt", photos, "--out", tmp_path / "out", *FEW, *option)
    assert result.exit_code == 1
    assert f"another {what} than asked for" in result.stderr
    assert files_in(tmp_path / "out") == before


def test_another_photo_of_the_same_name_is_refused(photos, tmp_path):
    run("corrupt", photos, "--out", tmp_path / "out", *FEW)
    picture(9).save(photos / "garden.jpg")
    result = run("corrupt", photos, "--out", tmp_path / "out", *FEW)
    assert result.exit_code == 1
    assert "another photo_sha256 than asked for" in result.stderr


def test_a_folder_of_something_else_is_left_alone(photos, tmp_path):
    foreign = tmp_path / "out" / "street"
    foreign.mkdir(parents=True)
    (foreign / "letter.txt").write_text("Dear Madam")
    result = run("corrupt", photos, "--out", tmp_path / "out", *FEW)
    assert result.exit_code == 1
    assert "not of cvgl-bench corrupt" in result.stderr
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["street", "letter.txt"]


def test_one_run_at_a_time_writes_into_a_folder(photos, tmp_path):
    work = tmp_path / "out" / WORK
    work.mkdir(parents=True)
    with FileLock(work / "lock"):
        result = run("corrupt", photos, "--out", tmp_path / "out", *FEW)
    assert result.exit_code == 1
    assert "another run is writing" in result.stderr


def test_what_was_made_beside_the_photos_is_no_photo(photos):
    run("corrupt", photos, "--out", photos / "corrupted", *FEW)
    result = run("corrupt", photos, "--out", photos / "corrupted", *FEW)
    assert "2 photos, 10 pictures, of which 10 were there" in result.output


def test_of_corrupted_pictures_those_on_the_page_are_found(photos, tmp_path):
    run("corrupt", photos, "--out", tmp_path / "out", *FEW)
    found = find_pictures([tmp_path / "out"])
    assert [path.name for path in found[:3]] == ["codec_only.jpg", "fog-1.jpg", "fog-4.jpg"]
    assert len(found) == 10
    assert SHEET not in {path.name for path in found}


def test_each_photo_is_taken_once_and_nothing_hidden(photos):
    shutil.copy(photos / "garden.jpg", photos / "._garden.jpg")
    (photos / ".cache").mkdir()
    shutil.copy(photos / "garden.jpg", photos / ".cache" / "other.jpg")
    (photos / "notes.txt").write_text("by the river")
    found = find_pictures([photos, photos / "garden.jpg"])
    assert [path.name for path in found] == ["garden.jpg", "street.png"]


def test_pictures_of_a_kind_that_is_not_read_are_not_left_out_silently(photos, tmp_path):
    (photos / "IMG_0001.HEIC").touch()
    result = run("corrupt", photos, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "1 picture of a kind that is not read" in result.stderr
    assert "IMG_0001.HEIC" in result.stderr


@pytest.mark.parametrize("names", [("a.jpg", "a.png"), ("a.jpg", "A.JPG"), ("x/a.jpg", "y/a.jpg")])
def test_two_photos_do_not_share_a_folder(names):
    with pytest.raises(DataError, match="would both go to"):
        folders_of([Path(name) for name in names], Path("out"))


@settings(max_examples=200)
@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12))
def test_a_photos_name_never_leads_out_of_the_folder(name):
    photo = Path(name + ".jpg")
    try:
        folder = folders_of([photo], Path("out"))[0]
    except DataError:
        return
    assert folder.parent == Path("out")
    assert folder.name not in ("", ".", "..", WORK)


@pytest.mark.parametrize("name", ["...jpg", ".jpg", WORK + ".jpg", "a..jpg"])
def test_a_name_that_is_no_folders_is_refused(name):
    with pytest.raises(DataError, match="names no folder"):
        folders_of([Path(name)], Path("out"))


def test_the_contact_sheet_shows_every_picture_at_its_place(photos, tmp_path):
    out = tmp_path / "out" / "garden"
    run("corrupt", photos / "garden.jpg", "--out", tmp_path / "out", *FEW)
    sheet = np.array(Image.open(out / SHEET))
    for file in read_corrupted_page(out).pictures:
        cell = np.array(small(out / file, (360, 180)))
        places = np.argwhere((sheet == cell[0, 0]).all(axis=-1))
        height, width = cell.shape[:2]
        assert any(
            np.array_equal(sheet[top : top + height, left : left + width], cell)
            for top, left in places.tolist()
        ), file


def test_json_says_what_was_made(photos, tmp_path):
    result = run("corrupt", photos, "--out", tmp_path / "out", *FEW, "--json", "--no-sheet")
    page = json.loads(result.stdout)
    assert [photo["made"] for photo in page["photos"]] == [5, 5]
    for photo in page["photos"]:
        assert photo["sheet"] is None
        assert all((Path(photo["folder"]) / name).is_file() for name in photo["pictures"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--corruptions", "fogg"), "Did you mean 'fog'?"),
        (("--severities", "0"), "from 1 to 5, not 0"),
        (("--format", "png", "--quality", "50"), "--quality is of JPEG"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, sentence, photos, tmp_path):
    result = run("corrupt", photos, "--out", tmp_path / "out", *arguments)
    assert result.exit_code in (1, 2)
    assert sentence in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "another"}'])
def test_a_damaged_page_is_refused(text, photos, tmp_path):
    run("corrupt", photos, "--out", tmp_path / "out", *FEW)
    (tmp_path / "out" / "garden" / PAGE).write_text(text)
    result = run("corrupt", photos, "--out", tmp_path / "out", *FEW)
    assert result.exit_code == 1
    assert "is not what cvgl-bench corrupt wrote" in result.stderr


def test_a_page_names_no_file_outside_its_folder(photos, tmp_path):
    run("corrupt", photos, "--out", tmp_path / "out", *FEW)
    path = tmp_path / "out" / "garden" / PAGE
    path.write_text(path.read_text().replace("fog-1.jpg", "../street/fog-1.jpg"))
    with pytest.raises(DataError, match="is no name of a corrupted picture"):
        find_pictures([tmp_path / "out"])


def test_the_published_profile_is_read_and_written_by_its_own_library(photos, tmp_path):
    pytest.importorskip("jpeglib")
    arguments = ("corrupt", photos / "garden.jpg", "--profile", "published", *FEW, "--out")
    assert run(*arguments, tmp_path / "out").exit_code == 0
    assert "ijg libjpeg 9d" in read_corrupted_page(tmp_path / "out" / "garden").encoding
