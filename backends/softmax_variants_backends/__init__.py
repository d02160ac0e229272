"""Backends of softmax_variants: one folder an array library, called by the public API.

A backend is a module with ``softmax``, ``ssmax``, ``sa_softmax`` and their ``*_vjp``; its
arguments are validated already. Backends never import the specification or the public API.
"""
