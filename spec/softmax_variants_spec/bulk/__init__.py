"""Correctly rounded weights of millions of entries, certified, at a microsecond each.

Statistics such as the share of entries that a backend rounds correctly need 10^6 entries and more,
and the arbitrary precision of :mod:`softmax_variants_spec.exact` takes tens of microseconds for
each. Here the definition is evaluated on whole arrays as double words (pairs of binary64) with a
proven relative error below 2^-90. A rounding that this bound decides is that of the exact value. An
entry that it leaves open is settled by an exact argument where its neighbourhood is known (one-hot
rows, equal logits) or evaluated by :func:`softmax_variants_spec.exact.weights`; so are whole rows
outside of the domain. The results are as certain as those of the exact reference.
"""

from softmax_variants_spec.bulk._rows import ERROR
from softmax_variants_spec.bulk._weights import BulkWeights, weights

__all__ = ["ERROR", "BulkWeights", "weights"]
