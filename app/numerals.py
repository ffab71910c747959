"""Numbers as a page writes them: a real minus, powers of ten where zeros would have to be counted, and no digit beyond the error."""

import math

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ZEROS = 4  # after the point, beyond which a power of ten is easier to read


def signed(text: str) -> str:
    """With the minus that is as wide as a plus."""
    return text.replace("-", "−")


def number(value: float, digits: int = 4) -> str:
    """0.00348, −152, 7·10⁻⁵: so many significant digits."""
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    if value and math.isfinite(value) and not -ZEROS <= int(power) < max(digits, 6):
        return signed(f"{float(mantissa):g}") + f"·10{str(int(power)).translate(RAISED)}"
    return signed(f"{float(f'{value:.{digits}g}'):.{max(digits, 6)}g}")


def measured(mean: float, stderr: float) -> str:
    """0.2508 ± 0.0034: as many decimals as the error has with two digits; just the number without an error."""
    if not (math.isfinite(mean) and math.isfinite(stderr) and stderr > 0):
        return number(mean)
    power = math.floor(math.log10(max(abs(mean), stderr)))
    shift = power if power < -ZEROS or power >= 7 else 0
    mean, stderr = mean / 10**shift, stderr / 10**shift
    places = max(0, 1 - math.floor(math.log10(stderr)))
    both = signed(f"{mean:,.{places}f} ± {stderr:,.{places}f}") if places < 9 else f"{number(mean)} ± {number(stderr, 1)}"
    return f"({both})·10{str(shift).translate(RAISED)}" if shift else both


def counted(many: float, word: str) -> str:
    """
    >>> counted(1, "epoch"), counted(2000, "step")
    ('1 epoch', '2,000 steps')
    """
    return f"{many:,.0f} {word}{'s' * (many != 1)}"
