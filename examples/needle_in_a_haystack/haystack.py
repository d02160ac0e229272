"""The task: find, among many records, the one that answers a question.

A sequence is made of records, one at each position. Every key stands in two of them: the first, a
fact, gives the key's value; the second, a question, gives the key alone, and the model is to answer
with the value. The fact is the needle, everything else before the question its haystack::

    position   0       1       2       3       4       5       6       7
    record     c = 7   a = 1   c = ?   d = 4   b = 7   d = ?   a = ?   b = ?
    answer                     7                       4       1       7

Order carries no information but "earlier", which a causal mask gives, so the model needs no
positions, and a longer sequence differs from those trained on in nothing but the number of
records that a question has to pass over.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["NO_ANSWER", "Haystacks", "Task"]

NO_ANSWER = -100
"""The answer at a fact, where nothing is asked; what cross_entropy ignores by default."""


@dataclass(frozen=True)
class Haystacks:
    """A batch of sequences. All tensors have shape (batch, length)."""

    keys: Tensor
    """int64, the key of each record."""

    values: Tensor
    """int64, the value that each record gives, or ``Task.asked`` in questions."""

    answers: Tensor
    """int64, the value that each question asks for, or ``NO_ANSWER`` at facts."""

    needles: Tensor
    """int64, the position of each question's needle; at facts 0."""


@dataclass(frozen=True)
class Task:
    """Keys and values to draw from."""

    keys: int = 4096
    """Number of different keys: at least half of the longest sequence's length."""

    values: int = 64
    """Number of different values: guessing is right once in so many answers."""

    @property
    def asked(self) -> int:
        """What stands in a question in the value's place."""
        return self.values

    def draw(self, batch: int, length: int, generator: torch.Generator) -> Haystacks:
        """Draw sequences at random, on the device of the generator.

        Parameters
        ----------
        batch : int
            Number of sequences.
        length : int
            Number of records in each, even.
        generator : torch.Generator
            Where the random numbers come from; the same state gives the same sequences.

        Returns
        -------
        Haystacks
            Sequences in which all arrangements of facts and questions are equally likely.

        Raises
        ------
        ValueError
            If the length is odd, or needs more keys than there are.
        """
        pairs, odd = divmod(length, 2)
        if odd or pairs > self.keys:
            msg = f"length must be even and at most {2 * self.keys}, two per key, got {length}"
            raise ValueError(msg)

        def permutations(size: int) -> Tensor:
            noise = torch.rand(batch, size, generator=generator, device=generator.device)
            return noise.argsort(dim=1)

        # Positions in pairs, in random order: the earlier of a pair is the fact.
        facts, questions = permutations(length).view(batch, pairs, 2).sort(-1).values.unbind(-1)
        keys = permutations(self.keys)[:, :pairs]
        values = torch.randint(
            self.values, (batch, pairs), generator=generator, device=generator.device
        )

        def at(places: Tensor, content: Tensor, *, elsewhere: int) -> Tensor:
            return keys.new_full((batch, length), elsewhere).scatter(1, places, content)

        return Haystacks(
            keys=at(facts, keys, elsewhere=0).scatter(1, questions, keys),
            values=at(facts, values, elsewhere=self.asked),
            answers=at(questions, values, elsewhere=NO_ANSWER),
            needles=at(questions, facts, elsewhere=0),
        )
