"""Values that a user gives in a draw's place, checked."""

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


def angle(name: str, value: object) -> float:
    """The value, if it is a number of degrees from -360 to 360.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        degrees = float(min(max(value, -361), 361))  # also for whole numbers that no float holds
        if abs(degrees) <= 360:  # NaN is not
            return degrees
    raise ValueError(f"{name} must be a number from -360 to 360, not {value!r}.")
