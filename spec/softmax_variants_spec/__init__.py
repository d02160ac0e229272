"""A numerical specification of softmax variants for attention, with a reference that is exact.

The conventions are in the package's README. Of the modules, read first

- `softmax_variants_spec.variants`: definitions, derivatives and provenance, one file a variant;
- `softmax_variants_spec.special_values`: sentences about special values, with their checks;
- `softmax_variants_spec.accuracy`: accuracy classes and what they allow.

Computing with it goes through `softmax_variants_spec.exact`, which returns the exact weights and
gradients of a row with decided roundings to a format of `softmax_variants_spec.formats`.
"""
