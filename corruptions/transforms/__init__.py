"""The corruptions as transforms of torchvision's v2, and as a data set around another.

    v2.Compose([v2.ToImage(), RandomCorruption(p=0.5), v2.ToDtype(torch.float32, scale=True)])
    foggy = Corrupted(dataset, "fog", 3, seed=0)

Each picture gets what `corruptions.corrupt` makes of it, to the value; pictures on a GPU stay there
(`corruptions.gpu`). Give the transforms the ground picture alone: in a sample of several pictures
each of them is corrupted, with draws of its own.

Only importing this package imports torch and torchvision; `import corruptions` does not.
"""

from corruptions.transforms.dataset import Corrupted
from corruptions.transforms.pictures import corrupt_picture, picture_seed
from corruptions.transforms.transforms import Corruption, RandomCorruption

__all__ = ["Corrupted", "Corruption", "RandomCorruption", "corrupt_picture", "picture_seed"]
