"""The malignancy degree of a lesion: one latent number that determines its appearance.

A benign lesion draws its degree from N(-d, 1), a malignant one from N(+d, 1). Everything that
distinguishes the two in the image (outline, spicules, number and size of calcifications) is a
strictly increasing function of that number and of nothing else. The degree itself is therefore the
best possible score for one lesion, and its AUC is known:

    AUC = P(malignant degree > benign degree) = Phi(2 d / sqrt(2)) = Phi(sqrt(2) d)

No classifier of single-lesion views can be better than this on average. All views of a lesion
share its degree, so more views do not raise the bound; a breast with two lesions of one class
has two draws and can.

difficulty   d      best AUC
0.00        2.40    0.9997
0.25        1.87    0.996
0.50        1.33    0.970
0.62        1.07    0.936   (the default)
0.75        0.80    0.870
1.00        0.26    0.643
"""

import math

EASIEST_SEPARATION = 2.40
HARDEST_SEPARATION = 0.26
EASIEST_CONTRAST = 1.2
HARDEST_CONTRAST = 0.8


def separation(difficulty: float) -> float:
    """Return d, half the distance between the two distributions, in standard deviations.

    Args:
        difficulty: 0 to 1.
    """
    return EASIEST_SEPARATION + (HARDEST_SEPARATION - EASIEST_SEPARATION) * difficulty


def contrast(difficulty: float) -> float:
    """Return the factor on the brightness of every lesion: 1.2 (easy) to 0.8 (hard).

    Args:
        difficulty: 0 to 1.
    """
    return EASIEST_CONTRAST + (HARDEST_CONTRAST - EASIEST_CONTRAST) * difficulty


def optimal_auc(difficulty: float) -> float:
    """Return the AUC of the best possible classifier of single lesions, Phi(sqrt(2) d).

    Args:
        difficulty: 0 to 1.
    """
    return 0.5 * (1.0 + math.erf(separation(difficulty)))  # Phi(x) = (1 + erf(x / sqrt 2)) / 2


def appearance(degree: float) -> float:
    """Map a degree to the appearance parameter of a lesion: 0 benign-like, 1 malignant-like.

    Args:
        degree: Latent malignancy degree, any real number.

    Returns:
        A number in (0, 1), strictly increasing and smooth in the degree, steepest at 0.
    """
    return 0.5 * (1.0 + math.tanh(0.75 * degree))
