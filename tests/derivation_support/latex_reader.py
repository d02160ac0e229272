"""Reads the LaTeX of equations as a reader does, and evaluates what it says.

A sum, a minimum and a maximum take all factors to their right, a logarithm takes one, and an
index in a subscript is found by its name alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from mpmath import mp

from derivation_support.trees import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from softmax_variants_spec.derivations.expression import Expression
    from softmax_variants_spec.derivations.place import Place

__all__ = ["READABLE", "read"]

Named: TypeAlias = "Mapping[str, int]"
Meaning: TypeAlias = "Callable[[Named], Any]"

READABLE = re.compile(r"(?!.*(\\partial|\\nabla|\\lim|\\left\.))")
"""What this reads: no derivatives, limits or values at 0."""

_TOKEN = re.compile(r"\\[a-zA-Z]+|\\[{},]|\d+|[a-zA-Z]|[-+=<>^_{}()\[\]|',]")


def read(text: str, tree: Expression, place: Place) -> Meaning:
    """Return what a rendering means; the tree that it is of says only what its letters are."""
    return _Reader(text, _letters(tree, place), place).all()


def _letters(tree: Expression, place: Place) -> dict[str, Callable[[list[int]], Any]]:
    """Return how to evaluate each letter: names as rendered, without subscripts."""
    known: dict[str, Callable[[list[int]], Any]] = {}
    for node in nodes(tree):
        indices = [node.index] if hasattr(node, "shown") and hasattr(node, "index") else []
        indices = list(getattr(node, "indices", indices))
        is_letter = indices or (hasattr(node, "name") or hasattr(node, "letter"))
        if is_letter or hasattr(node, "reference"):
            name = node.latex().split("_{")[0].replace(" ", "")

            def value(values: list[int], node: Any = node, indices: Any = tuple(indices)) -> Any:
                return node.value(place, dict(zip(indices, values, strict=True)))

            if name not in known or len(set(indices)) == len(indices):
                known[name] = value
    return known


class _Reader:
    def __init__(
        self, text: str, letters: Mapping[str, Callable[[list[int]], Any]], place: Place
    ) -> None:
        self.tokens = [token for token in _TOKEN.findall(text) if token != r"\,"]
        self.letters, self.place = letters, place

    def all(self) -> Meaning:
        meaning = self.sum()
        assert not self.tokens, self.tokens
        return meaning

    def next(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, *expected: str) -> str:
        token = self.tokens.pop(0)
        assert not expected or token in expected, (token, expected, self.tokens)
        return token

    def sum(self) -> Meaning:
        negative = self.next() == "-" and bool(self.take())
        terms = [(negative, self.product())]
        while self.next() in ("+", "-"):
            terms.append((self.take() == "-", self.product()))
        return lambda named: mp.fsum(
            -term(named) if negative else term(named) for negative, term in terms
        )

    def product(self) -> Meaning:
        if self.next() in (r"\sum", r"\min", r"\max"):
            return self.over_entries()
        first = self.factor()
        if self.next() in ("", "+", "-", "}", "=", "<", ">", r"\right", ",", r"\}"):
            return first
        rest = self.product()
        return lambda named: first(named) * rest(named)

    def over_entries(self) -> Meaning:
        kind = self.take()
        self.take("_"), self.take("{")
        index, without = self.take(), ""
        if self.next() == r"\ne":
            self.take()
            without = self.take()
        self.take("}")
        appended = False
        if self.tokens[:2] == [r"\left", r"\{"]:
            self.take(), self.take()
            body = self.sum()
            self.take(","), self.take("0"), self.take(r"\right"), self.take(r"\}")
            appended = True
        else:
            body = self.product()
        fold: Any = {r"\sum": mp.fsum, r"\min": min, r"\max": max}[kind]

        def meaning(named: Named) -> Any:
            values = [
                body({**named, index: value})
                for value in self.place.indices
                if not without or value != named[without]
            ]
            return fold([*values, mp.zero] if appended else values)

        return meaning

    def factor(self) -> Meaning:
        base = self.atom()
        if self.next() != "^":
            return base
        self.take("^")
        exponent = self.braces()
        return lambda named: mp.power(base(named), exponent(named))

    def braces(self) -> Meaning:
        self.take("{")
        inside = self.sum()
        self.take("}")
        return inside

    def atom(self) -> Meaning:
        token = self.take()
        if token.isdigit():
            return lambda _named: mp.mpf(token)
        if token == "e" and self.next() == "^":
            return lambda _named: mp.e
        if token == r"\frac":
            top, bottom = self.braces(), self.braces()
            return lambda named: top(named) / bottom(named)
        if token == r"\ln":
            body = self.product() if self.next() == r"\sum" else self.factor()
            return lambda named: mp.log(body(named))
        if token == r"\left":
            return self.group()
        if token == r"\delta":
            left, right = self.subscripts()
            return lambda named: mp.mpf(named[left] == named[right])
        return self.letter(token)

    def group(self) -> Meaning:
        kind = self.take("(", "|", "[")
        inside = self.sum()
        meaning = inside
        if kind == "|":
            meaning = lambda named: abs(inside(named))  # noqa: E731
        if kind == "[":
            relation = self.take("=", "<", ">")
            other = self.sum()

            def meaning(named: Named) -> Any:
                left, right = inside(named), other(named)
                return mp.mpf({"=": left == right, "<": left < right, ">": left > right}[relation])

        self.take(r"\right"), self.take({"(": ")", "|": "|", "[": "]"}[kind])
        return meaning

    def letter(self, token: str) -> Meaning:
        name = token
        while token == r"\langle" and not name.endswith(r"\rangle"):
            name += self.take()
        while self.next() == "{" or name.count("{") > name.count("}"):
            name += self.take()
        if self.next() == "'":
            name += self.take()
        if self.next() == "^" and self.tokens[1] != "{":
            name += self.take() + self.take()
        if self.next() == "^" and self.tokens[2:3] == [r"\mathrm"]:
            while name.count("{") != name.count("}") or name.count("}") < 2:
                name += self.take()
        if self.next() == "_" and self.tokens[1] != "{":
            name += self.take() + self.take()
        subscripts = self.subscripts() if self.next() == "_" else []
        if name.startswith(r"\operatorname") and self.next() == r"\left":
            return self.function(name)
        evaluate = self.letters[name]
        return lambda named: evaluate([named[index] for index in subscripts])

    def subscripts(self) -> list[str]:
        self.take("_"), self.take("{")
        found = []
        while self.next() != "}":
            found.append(self.take())
        self.take("}")
        return found

    def function(self, name: str) -> Meaning:
        self.take(r"\left")
        body = self.group()
        if name == r"\operatorname{bin}":
            return lambda named: mp.mpf(2) ** mp.floor(mp.log(abs(body(named)), 2))
        assert name == r"\operatorname{fl}", name
        return lambda named: mp.mpf(_float32(body(named)))


def _float32(value: Any) -> float:
    with mp.workprec(24):
        return float(+value)
