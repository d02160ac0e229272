"""The variants, one file each: definition, derivatives and provenance, as code that runs.

Functions here take the present entries of one row and compute at the caller's working precision.
Conventions for absent entries, empty rows and numbers that are not finite lie around them, in
`softmax_variants_spec.exact`.
"""
