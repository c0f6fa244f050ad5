import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from cvgl_bench.errors import ModelError
from cvgl_bench.models import _ENCODERS, _TEXTS, MODELS, load
from cvgl_bench.models.adapter import Adapter

torch.set_num_threads(1)

FLOORS = ["constant", "mean-color", "random"]

OWN = """
import torch

class Good:
    name = "good"
    preprocessing = "none"
    weights_sha256 = ""
    def encode_ground(self, images):
        return torch.nn.functional.normalize(images.flatten(1), dim=1)
    def encode_aerial(self, images):
        return self.encode_ground(images)

class Weighted(Good):
    def __init__(self, weights):
        self.weights = weights

class Optional(Good):
    def __init__(self, weights=None):
        self.weights = weights

class Needy(Good):
    def __init__(self, size):
        pass

class Breaking(Good):
    def __init__(self):
        raise RuntimeError("no such layer")

class Mute(Good):
    preprocessing = None

class OneEyed:
    name = "one-eyed"
    preprocessing = "none"
    weights_sha256 = ""
    def encode_ground(self, images):
        return images
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"anything")
    return path


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.random((count, 3, 18, 20), dtype=np.float32))


def test_the_registry_is_read_without_importing_torch():
    code = "import sys, cvgl_bench.models; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or os.curdir for p in sys.path)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )


def test_the_check_of_a_model_names_everything_the_protocol_names():
    assert sorted(_TEXTS) == sorted(Adapter.__annotations__)
    assert sorted(_ENCODERS) == sorted(key for key in vars(Adapter) if key.startswith("encode"))


@pytest.mark.parametrize("name", FLOORS)
def test_a_floor_carries_its_registered_name_and_has_no_weights(name):
    floor = load(name)
    assert (floor.name, floor.weights_sha256) == (name, "")
    assert floor.preprocessing


@pytest.mark.parametrize("name", FLOORS)
@pytest.mark.parametrize("side", ["encode_ground", "encode_aerial"])
def test_a_floor_returns_finite_unit_rows_for_black_grey_white_and_any_picture(name, side):
    flat = torch.tensor([0, 0.5, 1]).view(3, 1, 1, 1).expand(3, 3, 18, 20)
    rows = getattr(load(name), side)(torch.cat([flat, pictures(2)]))
    assert rows.dtype == torch.float32
    assert rows.ndim == 2
    assert torch.allclose(rows.norm(dim=1), torch.ones(5))


@pytest.mark.parametrize("name", FLOORS)
def test_a_floor_gives_a_picture_the_same_row_in_any_batch_and_order(name):
    floor, images = load(name), pictures(5)
    together = floor.encode_ground(images)
    alone = torch.cat([floor.encode_ground(image[None]) for image in images.flip(0)]).flip(0)
    assert torch.allclose(together, alone, atol=1e-6)


def test_random_places_pictures_and_sides_independently():
    floor, images = load("random"), pictures(40)
    ground, aerial = floor.encode_ground(images), floor.encode_aerial(images)
    # The dot product of independent unit vectors of 256 numbers has a deviation of 1 / 16.
    assert (ground @ aerial.T).abs().max() < 6 / 16
    assert (ground @ ground.T - torch.eye(40)).abs().max() < 6 / 16


def test_random_tells_pictures_of_the_same_bytes_but_other_shapes_apart():
    floor, image = load("random"), pictures(1)
    turned = image.reshape(1, 3, 20, 18)
    assert not torch.equal(floor.encode_ground(image), floor.encode_ground(turned))


def test_constant_puts_every_picture_of_both_sides_at_one_place():
    floor = load("constant")
    rows = torch.cat([floor.encode_ground(pictures(2)), floor.encode_aerial(pictures(2, seed=1))])
    assert rows.tolist() == [[1, 0]] * 4


def test_mean_color_finds_the_picture_of_the_same_colour_on_the_other_side():
    colours = torch.tensor([[0.8, 0.3, 0.4], [0.2, 0.5, 0.9], [0.4, 0.7, 0.2]])
    ground = colours[:, :, None, None].expand(3, 3, 16, 40)
    aerial = colours[:, :, None, None].expand(3, 3, 24, 24)
    floor = load("mean-color")
    similarity = floor.encode_ground(ground) @ floor.encode_aerial(aerial).T
    assert similarity.argmax(dim=1).tolist() == [0, 1, 2]


def test_mean_color_turns_mid_grey_to_the_fourth_axis():
    grey = torch.full((1, 3, 16, 16), 0.5)
    assert load("mean-color").encode_ground(grey).tolist() == [[0, 0, 0, 1]]


def test_an_unknown_name_is_refused_with_the_nearest_one_and_the_way_to_an_own_model():
    with pytest.raises(ModelError, match=r"unknown model 'polr'.*'polar'.*--model file.py:Class"):
        load("polr")


@pytest.mark.parametrize("name", ["own.py", "own:Good", "own.py:", ":Good", ""])
def test_a_name_that_is_neither_registered_nor_a_file_with_a_class_is_refused(name):
    with pytest.raises(ModelError):
        load(name)


@pytest.mark.parametrize("name", FLOORS)
def test_weights_for_a_registered_model_without_weights_are_refused(name, checkpoint):
    with pytest.raises(ModelError, match=f"'{name}' takes no weights"):
        load(name, checkpoint)


def test_every_registered_model_is_a_class_of_its_module():
    for target in MODELS.values():
        module, _, class_name = target.rpartition(":")
        assert isinstance(getattr(__import__(module, fromlist=[class_name]), class_name), type)


def test_a_users_class_is_loaded_from_its_file(own):
    model = load(f"{own}:Good")
    assert model.name == "good"
    assert model.encode_ground(pictures(2)).shape == (2, 1080)


def test_a_users_file_may_import_the_files_beside_it_at_once_and_later(own, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (own.parent / "beside_own.py").write_text("NAME = 'from beside'\n")
    (own.parent / "later_own.py").write_text("NAME = 'later'\n")
    late = "def later(self):\n    import later_own\n    return later_own.NAME\nGood.later = later\n"
    own.write_text(OWN + "from beside_own import NAME\nGood.name = NAME\n" + late)
    model = load(f"{own}:Good")
    assert model.name == "from beside"
    assert model.later() == "later"


def test_a_users_file_that_ends_the_program_is_an_error(own):
    own.write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(ModelError, match="SystemExit"):
        load(f"{own}:Good")


def test_two_files_of_one_name_do_not_mix(own, tmp_path):
    other = tmp_path / "elsewhere" / "own.py"
    other.parent.mkdir()
    other.write_text(OWN.replace('"good"', '"better"'))
    first, second = load(f"{own}:Good"), load(f"{other}:Good")
    assert (first.name, second.name) == ("good", "better")
    assert type(first).__module__ != type(second).__module__


def test_a_users_class_gets_the_weights_it_takes(own, checkpoint):
    assert load(f"{own}:Weighted", checkpoint).weights == checkpoint
    assert load(f"{own}:Optional", checkpoint).weights == checkpoint
    assert load(f"{own}:Optional").weights is None


@pytest.mark.parametrize(
    ("class_name", "message"),
    [
        ("Goood", "unknown class 'Goood'. Did you mean 'Good'"),
        ("torch", "unknown class 'torch'"),
        ("Weighted", "needs a checkpoint: --weights"),
        ("Needy", "could not be made: TypeError"),
        ("Breaking", "could not be made: RuntimeError: no such layer"),
        ("Mute", "lacks the text preprocessing"),
        ("OneEyed", "lacks the method encode_aerial"),
    ],
)
def test_a_users_class_that_does_not_serve_is_refused_by_name(own, class_name, message):
    with pytest.raises(ModelError, match=message):
        load(f"{own}:{class_name}")


def test_weights_that_a_users_class_does_not_take_are_refused(own, checkpoint):
    with pytest.raises(ModelError, match="takes no weights"):
        load(f"{own}:Good", checkpoint)


def test_a_missing_weight_file_is_named(own, tmp_path):
    with pytest.raises(ModelError, match=r"no file '.*absent\.pth'"):
        load(f"{own}:Optional", tmp_path / "absent.pth")


def test_a_missing_model_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"no file '.*absent\.py'"):
        load(f"{tmp_path / 'absent.py'}:Model")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module_anywhere", ModuleNotFoundError),
        ("def broken(:", SyntaxError),
        ("1 / 0", ZeroDivisionError),
    ],
)
def test_a_file_that_fails_on_import_is_named_with_its_error(own, source, error):
    own.write_text(source)
    with pytest.raises(ModelError, match=rf"'.*own\.py' failed: {error.__name__}") as caught:
        load(f"{own}:Good")
    assert isinstance(caught.value.__cause__, error)
