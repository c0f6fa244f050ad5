import pytest

from corruptions import CORRUPTIONS
from cvgl_bench.errors import SuiteError
from cvgl_bench.suite import Cell, check_size, load_suite, suite_names

# A fingerprint may change only together with the suite's version, under "Changes scores" in the
# CHANGELOG: it stands for every pixel and score that was ever published with that version.
FINGERPRINTS = {
    "cvact-test-c-all": (3, "6efdb4d48fa6141e"),
    "cvact-val-c": (3, "a51607b59963bc8d"),
    "cvact-val-c-all": (3, "f8c06f14ec9410d4"),
    "cvact-val-c-published": (2, "7729565cd29c8d6e"),
    "cvact-val-fov": (1, "b3a1732152a23b04"),
    "cvtown-c": (5, "9b437777c7a91bc3"),
    "cvtown-fov": (1, "d97f45de954b924d"),
    "cvusa-c": (3, "fe2210b11acd7de0"),
    "cvusa-c-all": (3, "2115b6f38ea1be55"),
    "cvusa-c-published": (2, "4861ceb84ac40f00"),
    "cvusa-fov": (1, "318aedfd30e9a82e"),
    "university-d2s-c": (1, "641524bca3b7fd4d"),
    "university-s2d-c": (1, "dfbb987fc5172b83"),
    "vigor-cross-c": (1, "2a4d76eaf3a3df8f"),
    "vigor-same-c": (1, "5bd5983a0646ad1d"),
}


def test_a_version_is_bound_to_its_fingerprint():
    found = {}
    for name in suite_names():
        suite = load_suite(name)
        found[name] = (suite.version, suite.fingerprint[:16])
    assert found == FINGERPRINTS


@pytest.mark.parametrize("name", suite_names())
def test_packaged_suites_have_all_sixteen_corruptions_or_views_and_the_files_name(name):
    suite = load_suite(name)
    assert suite.name == name
    if name.endswith("-fov"):
        assert suite.corruptions == ()
        assert suite.views == ("full", "fov360", "fov180", "fov90", "fov70")
    else:
        assert suite.corruptions == tuple(CORRUPTIONS)


def test_a_grid_has_82_cells_clean_and_its_control_first():
    cells = load_suite("cvusa-c").cells
    assert [str(cell) for cell in cells[:3]] == ["clean", "codec_only", "snow 1"]
    assert len(cells) == len(set(cells)) == 2 + 16 * 5


def test_folders_are_the_published_ones():
    cell = Cell(view="full", corruption="gaussian_noise", severity=3)
    assert cell.folder == "severity-3/noise/gaussian_noise"
    assert cell.model_copy(update={"view": "fov90"}).folder == (
        "view-fov90/severity-3/noise/gaussian_noise"
    )
    assert Cell(view="full", corruption="clean", severity=0).folder == "clean"
    assert Cell(view="full", corruption="codec_only", severity=0).folder == "codec_only"
    assert Cell(view="full", corruption="mixed", severity=0).folder == ""


def test_a_selection_keeps_clean_and_the_suites_order(small_suite):
    cells = small_suite().select(corruptions=["contrast"], severities=[5], views=["fov90", "full"])
    assert [str(cell) for cell in cells] == [
        "clean (fov90)",
        "contrast 5 (fov90)",
        "clean",
        "codec_only",
        "contrast 5",
    ]


def test_codec_only_comes_with_the_corrupted_panoramas_whose_control_it_is(small_suite):
    """A clean crop is encoded like the corrupted ones, and is its own control."""
    assert "codec_only" not in map(str, small_suite().select(corruptions=[]))
    assert "codec_only" not in map(str, small_suite().select(severities=[]))
    turned = small_suite(views=["fov90", "heading90"])
    assert {cell.corruption for cell in turned.cells} == {"clean", *turned.corruptions}


def test_a_mixed_suite_has_one_drawn_cell(small_suite):
    suite = small_suite(form="mixed")
    assert [str(cell) for cell in suite.cells] == ["clean", "mixed"]
    with pytest.raises(SuiteError, match="draws one corruption"):
        suite.select(corruptions=["contrast"])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"corruptions": ["contrasts"]}, "Did you mean 'contrast'"),
        ({"severities": [3]}, "no severity 3"),
        ({"views": []}, "no view"),
        ({"views": ["fov900"]}, "field of view"),
        ({"views": ["full", "heading360"]}, "named twice"),
    ],
)
def test_a_selection_that_the_suite_lacks_is_refused(small_suite, choice, message):
    with pytest.raises(SuiteError, match=message):
        small_suite().select(**choice)


def test_everything_but_the_title_changes_the_fingerprint(small_suite):
    one = small_suite()
    assert small_suite(title="other words").fingerprint == one.fingerprint
    for change in (
        {"seed": 6},
        {"jpeg_quality": 76},
        {"severities": [1, 4]},
        {"corruptions": ["contrast", "gaussian_noise"]},
        {"views": ["fov90"]},
        {"pairs": 4},
        {"version": 2},
        {"form": "mixed"},
        {"profile": "published"},
        {"codec": "ijg9d"},
    ):
        assert small_suite(**change).fingerprint != one.fingerprint, change


def test_a_corruptions_number_changes_the_fingerprint(small_suite, monkeypatch):
    before = small_suite().fingerprint
    monkeypatch.setitem(
        __import__("corruptions").SEVERITIES["contrast"], "factor_for_test", [1, 2, 3, 4, 5]
    )
    assert small_suite().fingerprint != before


def test_a_file_of_your_own_is_read(suite_file, small_suite):
    assert load_suite(str(suite_file())) == small_suite()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not TOML"),
        ('name = "x"', "Field required"),
        ("\xff", "version"),
        ("seed = " + "9" * 5000, "is not TOML"),
        ("x = " + "[" * 5000, "is not TOML"),
    ],
)
def test_a_broken_file_is_named_with_its_fault(tmp_path, text, message):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(SuiteError, match=message if message != "version" else r"broken\.toml"):
        load_suite(str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("name = '../x'", "name"),
        ("colour = 1", "colour"),
        ("severities = [0]", "severities"),
        ("corruptions = ['rain']", "unknown corruption 'rain'"),
        ("corruptions = ['fog', 'fog']", "named twice"),
        ("corruptions = []", "corruptions"),
        ("severities = [1, 1]", "named twice"),
        ("profile = 'exact'", "profile"),
        ("codec = 'mozjpeg'", "codec"),
    ],
)
def test_a_suite_that_says_what_it_may_not_is_refused(suite_file, change, message):
    path = suite_file()
    key = change.split(" ")[0]
    kept = [line for line in path.read_text().splitlines() if not line.startswith(f"{key} ")]
    path.write_text("\n".join([*kept, change]))
    with pytest.raises(SuiteError, match=message):
        load_suite(str(path))


def test_a_profile_chooses_the_suites_form_of_it(suite_file):
    for name in ("cvusa-c", "cvusa-c-published"):
        assert load_suite(name, "published").name == "cvusa-c-published"
        assert load_suite(name, "standard").name == "cvusa-c"
    path = str(suite_file())
    assert load_suite(path, "standard") == load_suite(path)


def test_a_profile_that_the_suite_does_not_come_in_is_refused(suite_file):
    with pytest.raises(SuiteError, match=r"cvtown-c has no form .*cvusa-c-published"):
        load_suite("cvtown-c", "published")
    with pytest.raises(SuiteError, match="has the profile standard, not published"):
        load_suite(str(suite_file()), "published")


@pytest.mark.parametrize("name", suite_names())
def test_forms_of_one_suite_differ_in_profile_and_codec_alone(name):
    """So the draws of a query are the same in both: they follow from what the two share."""
    suite = load_suite(name)
    published = name.endswith("-published")
    assert suite.profile == ("published" if published else "standard")
    assert suite.codec == ("ijg9d" if published else "pillow")
    if published:
        own = {"name", "version", "title", "profile", "codec"}
        standard = load_suite(name, "standard").model_dump(exclude=own)
        assert suite.model_dump(exclude=own) == standard


def test_an_unknown_suite_gets_the_nearest_name():
    with pytest.raises(SuiteError, match="Did you mean 'cvusa-c'"):
        load_suite("cvusa_c")


def test_fewer_pictures_are_refused_unless_they_are_meant(small_suite):
    suite = small_suite()
    assert check_size(suite, 3, 3, partial=False) == ()
    with pytest.raises(SuiteError, match="2 queries where small-c has 3"):
        check_size(suite, 2, 3, partial=False)
    assert check_size(suite, 2, 3, partial=True) == ("2 queries where small-c has 3",)


def test_a_suite_of_views_has_a_clean_cell_each(small_suite):
    suite = small_suite(views=["full", "fov90"], corruptions=[], severities=[])
    assert [str(cell) for cell in suite.cells] == ["clean", "clean (fov90)"]
    for half in ({"corruptions": []}, {"severities": []}):
        with pytest.raises(SuiteError, match="both there, or neither"):
            small_suite(**half)
    with pytest.raises(SuiteError, match="mixed suite has corruptions"):
        small_suite(form="mixed", corruptions=[], severities=[])
