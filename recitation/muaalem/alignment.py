"""Sifat tokens for phoneme groups where their numbers differ, by the verse that was to be recited."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def align(wanted: Sequence[Hashable], offered: Sequence[Hashable]) -> list[int | None]:
    """For each item of ``wanted`` the index of its item of ``offered``, ascending, or None.

    The cheapest alignment: a pair of unequal items costs 1, an item of ``wanted`` without a partner costs 1, one of
    ``offered`` costs nothing. Among equally cheap ones, read from the end, a pair goes before leaving an offered item
    out, and that before leaving a wanted item without a partner; quran-muaalem decides the same way.
    """
    costs = [[0] * (len(offered) + 1)]
    for row, item in enumerate(wanted, 1):
        above, current = costs[-1], [row]
        for column, other in enumerate(offered, 1):
            current.append(min(above[column - 1] + (item != other), current[column - 1], above[column] + 1))
        costs.append(current)
    partners: list[int | None] = [None] * len(wanted)
    row, column = len(wanted), len(offered)
    while row and column:
        cost = costs[row][column]
        if cost == costs[row - 1][column - 1] + (wanted[row - 1] != offered[column - 1]):
            partners[row - 1] = column - 1
            row, column = row - 1, column - 1
        elif cost == costs[row][column - 1]:
            column -= 1
        else:
            row -= 1
    return partners


def recited(groups: Sequence[str], reference: Sequence[str]) -> list[int]:
    """Indices of the reference's phoneme groups that were recited, by the first letter of each group."""
    if len(groups) == len(reference):
        return list(range(len(reference)))
    partners = align([group[0] for group in groups], [group[0] for group in reference])
    return [partner for partner in partners if partner is not None]


def tokens_of_groups(
    ids: Sequence[int], groups: Sequence[str], reference: Sequence[str], reference_ids: Sequence[int]
) -> list[int | None]:
    """Index among a level's ``ids`` for the phoneme groups in their order; None for a missing token.

    As many tokens as groups belong together one by one. Otherwise the tokens are aligned with those of the reference,
    of which the ones that were recited remain. Nothing is aligned to a reference with fewer groups than were recited.
    The result may be shorter than ``groups``, or longer if nothing was aligned.
    """
    if len(ids) == len(groups) or len(groups) > len(reference):
        return list(range(len(ids)))
    partners = list(range(len(ids))) if len(ids) == len(reference_ids) else align(reference_ids, ids)
    return [partners[index] for index in recited(groups, reference)]
