"""Names of images and patients as published data sets write them."""

from mammo_core.phantom.config import PhantomConfig
from mammo_core.seeds import derive_seed


def hexadecimal(config: PhantomConfig, *names: str) -> str:
    """Return 32 hexadecimal digits that depend on the seed and the names.

    Args:
        config: The phantom's parameters.
        names: Identify the object.
    """
    return f"{derive_seed(config.seed, 'phantom', 'name', *names):032x}"[-32:]


def number(config: PhantomConfig, digits: int, *names: str) -> str:
    """Return a number of some digits that depends on the seed and the names.

    Args:
        config: The phantom's parameters.
        digits: Its digits; the first is not 0.
        names: Identify the object.
    """
    low = 10 ** (digits - 1)
    return str(low + derive_seed(config.seed, "phantom", "number", *names) % (9 * low))
