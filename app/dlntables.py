"""The page on deep linear networks as tables: CSV text."""

import csv
import io
from collections.abc import Sequence

from app.dlnexact import curves
from app.dlnlab import DeepLinear
from nets.saddle import SaddleFrame


def trained_table(frames: Sequence[SaddleFrame]) -> str:
    """A training, one row an estimate."""
    head = ["step", "loss", "rank", "lambda_hat", "stderr", "expected", "regular_part", "lambda_global", "lambda_local"]
    head += [f"singular_value_{i}" for i in range(1, len(frames[0].singular) + 1)]
    rows = [
        [
            *(frame.step, frame.loss, frame.rank, frame.estimate.mean, frame.estimate.stderr, frame.expected),
            *map(float, (frame.regular, frame.total, frame.local, *frame.singular)),
        ]
        for frame in frames
    ]
    return _text([head, *rows])


def exact_table(value: DeepLinear) -> str:
    """lambda of the network's neighbours, exactly: one row a depth, a width or a rank."""
    rows = [[along, *row] for along, those in curves(value)._asdict().items() for row in those]
    return _text([["along", "value", "lambda", "multiplicity", "regular_part", "parameters"], *rows])


def _text(rows: Sequence[Sequence]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([["" if cell != cell else cell for cell in row] for row in rows])
    return text.getvalue()
