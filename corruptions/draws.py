"""Values that a user gives, as parameters or in a draw's place, checked."""

import numpy as np


def whole(name: str, value: object, low: int, high: int) -> int:
    """The value, if it is a whole number from low to high.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        number = int(value)
        if low <= number <= high:
            return number
    raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")


def number(name: str, value: object, low: float, high: float) -> float:
    """The value, if it is a number from low to high.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        # Whole numbers that no float holds are cut before they become one; NaN is in no range.
        clipped = float(min(max(value, low - 1), high + 1))
        if low <= clipped <= high:
            return clipped
    raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}.")
