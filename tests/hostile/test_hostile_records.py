"""Records that lie, or that are more than a record."""

import json

import pytest

from cvgl_bench import evaluation_folder

CASES = []


def hostile(check, message):
    def add(make):
        CASES.append(pytest.param(make, check, message, id=make.__name__))
        return make

    return add


def with_fields(forge, **fields):
    """The record with other top fields; None takes one out. The ranks stay honest."""
    page = forge.page() | fields
    return forge.pack(page={name: value for name, value in page.items() if value is not None})


def with_model(forge, **fields):
    """A run of such a model, in the record and in the header of its ranks."""
    model = forge.page()["model"] | fields
    return forge.pack(run=forge.run(model=model))


def with_cell(forge, place, **fields):
    page = forge.page()
    page["cells"][place] |= fields
    return forge.pack(page=page)


@hostile("record", "not JSON")
def no_json(forge):
    return forge.pack(page=b"record = 1")


@hostile("record", "record.json is no record: Input should be an object")
def a_list(forge):
    return forge.pack(page=b"[]")


@hostile("record", "nested too deeply")
def deep_json(forge):
    return forge.pack(page=b"[" * 200_000 + b"]" * 200_000)


@hostile("record", "nested too deeply")
def json_a_little_too_deep(forge):
    return with_fields(forge, environment={"a": json.loads("[" * 20 + "]" * 20)})


@hostile("record", "a list of 100,000; 4,000 do")
def a_long_list(forge):
    page = forge.page()
    page["suite"]["views"] = ["full"] * 100_000
    return forge.pack(page=page)


@hostile("record", "a number of 50,000 digits")
def a_long_number(forge):
    text = json.dumps(forge.page() | {"schema_version": 7777777})
    return forge.pack(page=text.replace("7777777", "7" * 50_000).encode())


@hostile("record", "begins with a byte order mark")
def utf_16(forge):
    return forge.pack(page=json.dumps(forge.page()).encode("utf-16"))


@hostile("record", "begins with a byte order mark")
def a_byte_order_mark(forge):
    return forge.pack(page=json.dumps(forge.page()).encode("utf-8-sig"))


@hostile("record", "is not UTF-8")
def latin_1(forge):
    page = forge.page()
    page["model"]["remarks"] = "Z\u00fcrich"
    return forge.pack(page=json.dumps(page, ensure_ascii=False).encode("latin-1"))


@hostile("record", "has the key 'r1' twice")
def doubled_keys(forge):
    text = json.dumps(forge.page()).replace('"r1": ', '"r1": 1.0, "r1": ', 1)
    return forge.pack(page=text.encode())


@hostile("record", "holds NaN, which is no number")
def not_a_number(forge):
    return with_cell(forge, 0, r1=float("nan"))


@hostile("record", "holds Infinity, which is no number")
def infinity(forge):
    return with_cell(forge, 0, r10=float("inf"))


@hostile("record", r"cells\.0\.r10: ")
def infinity_by_another_name(forge):
    page = forge.page()
    page["cells"][0]["r10"] = "here"
    return forge.pack(page=json.dumps(page).replace('"here"', "1e999").encode())


@hostile("record", r"record\.json is no record: model\.name: String should match pattern")
def html_in_the_name(forge):
    page = forge.page()
    page["model"]["name"] = "<script>alert(1)</script>"
    return forge.pack(page=page)


@hostile("record", r"model\.name: String should match pattern")
def a_formula_as_the_name(forge):
    page = forge.page()
    page["model"]["name"] = '=HYPERLINK("http://a.example")'
    return forge.pack(page=page)


@hostile("record", r"model\.name: String should match pattern")
def a_path_as_the_name(forge):
    page = forge.page()
    page["model"]["name"] = "../../../README.md"
    return forge.pack(page=page)


@hostile("texts", r"model\.remarks holds 'javascript:', which a page could take")
def a_script_as_a_link(forge):
    return with_model(forge, remarks="see [here](javascript:alert(1))")


@hostile("texts", r"model\.remarks holds 'JaVaScRiPt  :'")
def a_script_as_a_link_in_disguise(forge):
    return with_model(forge, remarks="see \uff2aaVaScRiPt  :alert(1)")


@hostile("texts", r"model\.preprocessing holds 'data:text/'")
def a_page_as_a_link(forge):
    return with_model(forge, preprocessing="see data:text/html,hello")


@hostile("texts", "model.remarks holds '<i', which a page could take")
def html_in_the_remarks(forge):
    return with_model(forge, remarks="<img src=x onerror=alert(1)>")


@hostile("texts", r"model\.remarks holds the character U\+001B")
def control_characters(forge):
    return with_model(forge, remarks="\x1b[2Jgone")


@hostile("texts", r"model\.remarks holds the character U\+000A")
def a_second_line(forge):
    return with_model(forge, remarks="good\n::set-output name=a::b")


@hostile("texts", r"model\.preprocessing holds the character U\+202E")
def text_that_turns_around(forge):
    return with_model(forge, preprocessing="resized \u202e gnp.elif")


def text_with(sign):
    def make(forge):
        return with_model(forge, remarks=f"a{sign}b")

    make.__name__ = f"the_unseen_character_{ord(sign):04x}"
    return make


for unseen in "\ufe0f\U000e0100\u3164\u2800\u034f\U000e0041\u115f\uffa0\u180b":
    hostile("texts", rf"model\.remarks holds the character U\+{ord(unseen):04X}")(text_with(unseen))


@hostile("texts", r"model\.remarks has more than 8 combining marks on one character")
def text_that_grows_over_its_line(forge):
    return with_model(forge, remarks="a" + "\u0301" * 9)


@hostile("texts", r"environment\.ground_ms_per_image is '1e-5'; it is a number from 0 to 1,000,000")
def a_latency_that_no_machine_has(forge):
    return forge.pack(run=forge.run(environment={"ground_ms_per_image": "1e-5"}))


@hostile("texts", r"environment\.ground_ms_per_image is '-1'")
def a_latency_below_nought(forge):
    return forge.pack(run=forge.run(environment={"ground_ms_per_image": "-1"}))


@hostile("texts", r"environment\.ground_ms_per_image is '9999999'")
def a_latency_beyond_all_patience(forge):
    return forge.pack(run=forge.run(environment={"ground_ms_per_image": "9999999"}))


@hostile("texts", r"model\.remarks has 2,001 characters; 2,000 are the most")
def overlong_remarks(forge):
    return with_model(forge, remarks="a" * 2001)


@hostile("texts", "environment has 41 fields")
def a_crowded_environment(forge):
    return forge.pack(run=forge.run(environment={f"a{number}": "" for number in range(41)}))


@hostile("texts", "environment has the field '<b>'")
def html_in_the_environment(forge):
    return forge.pack(run=forge.run(environment={"<b>": "1"}))


@hostile("record", "best: Extra inputs are not permitted")
def unknown_fields(forge):
    return with_fields(forge, best=True)


@hostile("record", "schema_version: Input should be 1")
def another_schema(forge):
    return with_fields(forge, schema_version=2)


@hostile("record", "metric_version: Input should be 1")
def another_metric_version(forge):
    return with_fields(forge, metric_version=2)


@hostile("record", "tie_rule: Input should be 'a reference as similar")
def another_tie_rule(forge):
    return with_fields(forge, tie_rule="ties count for the model")


@hostile("record", r"suite that can be: unknown corruption 'sunshine'")
def an_unknown_corruption(forge):
    page = forge.page()
    page["suite"]["corruptions"].append("sunshine")
    return forge.pack(page=page)


@hostile("suite", "was made with the fingerprint 000000000000")
def another_fingerprint(forge):
    return forge.pack(run=forge.run(fingerprint="0" * 64))


@hostile("suite", "is not the cvtown-c-5 of this version, or is defined in another way")
def a_known_suites_name(forge):
    suite = forge.suite.model_copy(update={"name": "cvtown-c"})
    return forge.pack(run=forge.run(suite=suite, fingerprint=suite.fingerprint))


@hostile("suite", "small-c-1 is defined in another way by the run of there")
def the_same_suite_with_another_seed(forge):
    suite = forge.suite.model_copy(update={"seed": 6})
    return forge.pack(run=forge.run(suite=suite, fingerprint=suite.fingerprint))


@hostile("suite", "my-own-c is no suite of this version")
def a_suite_of_ones_own(forge):
    suite = forge.suite.model_copy(update={"name": "my-own-c"})
    return forge.pack(run=forge.run(suite=suite, fingerprint=suite.fingerprint))


@hostile("suite", "lacks 1 of the suite's 6 cells")
def a_missing_cell(forge):
    return with_fields(forge, cells=forge.page()["cells"][:-1])


@hostile("suite", "lacks 1 of the suite's 6 cells")
def a_cell_of_another_suite(forge):
    return with_cell(forge, 5, corruption="snow")


@hostile("suite", r"the cell snow 3 is none of small-c-1")
def a_cell_too_many(forge):
    page = forge.page()
    page["cells"].append(page["cells"][-1] | {"corruption": "snow", "severity": 3})
    return forge.pack(page=page)


@hostile("record", "a cell is there twice")
def a_doubled_cell(forge):
    page = forge.page()
    page["cells"].append(page["cells"][-1])
    return forge.pack(page=page)


@hostile("record", r"cells\.0\.r1: Input should be less than or equal to 1")
def a_recall_above_1(forge):
    return with_cell(forge, 0, r1=90.0)


@hostile("record", "0.895 of 100 queries is no whole number")
def a_recall_of_half_a_query(forge):
    return with_cell(forge, 0, r1=0.895)


@hostile("record", r"R@1 <= R@5 <= R@10 does not hold")
def a_recall_that_falls_with_k(forge):
    return with_cell(forge, 0, r5=0.5)


@hostile("scores", "r1 of clean is 0.95 in the record and 0.9 by its ranks")
def a_better_r1(forge):
    return with_cell(forge, 0, r1=0.95, r5=1.0, r10=1.0)


@hostile("scores", "r5 of gaussian_noise 1 is 1 in the record and 0.7 by its ranks")
def a_better_r5(forge):
    return with_cell(forge, 2, r5=1.0, r10=1.0)


@hostile("scores", "r10 of contrast 5 is 1 in the record and 0.[5-9]")
def a_better_r10(forge):
    return with_cell(forge, 5, r10=1.0)


@hostile("scores", "r1p of clean is 0.99 in the record and 0.9 by its ranks")
def a_better_r1p(forge):
    return with_cell(forge, 0, r1p=0.99)


@hostile("scores", "r1p of clean is there in the ranks alone")
def no_r1p(forge):
    return with_cell(forge, 0, r1p=None)


@hostile("scores", r"metres\.median of clean is 0 in the record and 1\.5 by its ranks")
def better_metres(forge):
    page = forge.page()
    page["cells"][0]["metres"]["median"] = 0.0
    return forge.pack(page=page)


@hostile("hash", "the record says 000000000000")
def another_hash_of_the_ranks(forge):
    return with_fields(forge, ranks_sha256="0" * 64)


@hostile("suite", "lacks the hash of its ranks")
def no_hash_of_the_ranks(forge):
    return with_fields(forge, ranks_sha256="")


@hostile("suite", "is not measured from pictures by evaluate")
def unverified(forge):
    return with_fields(forge, status="unverified")


@hostile("suite", "is not comparable and cannot be published: 99 queries")
def not_comparable(forge):
    return forge.pack(run=forge.run(not_comparable=("99 queries where it has 100",)))


@hostile("suite", "99 references where small-c has 100")
def a_smaller_gallery(forge):
    page = forge.page()
    page["data"]["references"] = 99
    return forge.pack(page=page)


@hostile("suite", "every query embedding is the same")
def degenerate(forge):
    return forge.pack(run=forge.run(degenerate="every query embedding is the same"))


@hostile("date", "its date, 2999-01-01, lies ahead of today")
def a_date_to_come(forge):
    return forge.pack(run=forge.run(date="2999-01-01"))


@hostile("date", "its date, 1999-12-31, lies before 2024-01-01")
def a_date_before_the_benchmark(forge):
    return forge.pack(run=forge.run(date="1999-12-31"))


@hostile("provenance", "record.json and the header of ranks.parquet differ in 'model'")
def the_ranks_of_another_model(forge):
    page = forge.page()
    page["model"]["name"] = "better"
    return forge.pack(page=page)


@pytest.mark.parametrize(("make", "check", "message"), CASES)
def test_a_hostile_record_is_refused_for_its_own_reason(forge, make, check, message):
    forge.refuses(make(forge), check, message)


@pytest.mark.parametrize("milliseconds", [0, 0.00123, 12.9, 84, 1234.5, 999_400])
def test_what_evaluate_writes_as_its_time_is_accepted(forge, milliseconds):
    environment = {evaluation_folder.LATENCY: f"{milliseconds:.3g}"}
    report = forge.verify(forge.pack(run=forge.run(environment=environment)))
    assert report.accepted, report.text


def test_letters_of_other_scripts_are_plain_text(forge):
    report = forge.verify(
        with_model(forge, remarks="Zu\u0308rich, \u6771\u4eac, \u0e19\u0e49\u0e33")
    )
    assert report.accepted, report.text
