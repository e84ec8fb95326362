"""Signs of faults in the data: too few, repeated, leaking, on another scale."""

from __future__ import annotations

from unfog.judge.doctor.facts import Facts
from unfog.judge.doctor.finding import Reading, worst
from unfog.judge.doctor.signs import FEW, signs


@signs.add("too_few_data", summary="fewer items than pin down even the means and covariances.")
def too_few_data(facts: Facts) -> Reading | None:
    """50 / items beyond 1, or the held-out error of a linear denoiser beyond 1.5 times its own on
    training items.
    """
    gap = None if facts.fit is None else facts.fit.linear_gap
    readings = [
        Reading(
            FEW / max(1, facts.items),
            1.0,
            f"{facts.items} training items",
            "the run has too few items to learn a distribution from",
            f"give at least {FEW} items, better a thousand; --held 0 lets all of them train",
        )
    ]
    if gap is not None:
        readings.append(
            Reading(
                gap,
                1.5,
                f"even a linear denoiser is {gap:.2f} times worse on held-out items than on the "
                f"{facts.items} training items",
                f"{facts.items} items of {facts.entries} numbers don't pin the covariance down",
                "give more items, or fewer numbers: --set space=pca --set space.components=16",
            )
        )
    return worst(readings)


@signs.add("duplicates", summary="held-out items, or a given source, repeat training items.")
def duplicates(facts: Facts) -> Reading | None:
    """Share of held-out items within a twentieth of the fifth neighbour's distance of a training
    item, beyond chance; or share of a source that are training items.
    """
    found = facts.copies
    if found is None:
        return None
    limit = max(0.05, 3 * found.chance, 2.5 / max(1, found.looked))
    return worst(
        [
            Reading(
                found.share,
                limit,
                f"{100 * found.share:.0f} % of {found.looked} held-out items nearly repeat a "
                f"training item; {100 * found.chance:.1g} % would by chance",
                "the data holds near copies, which were split apart; held-out figures flatter",
                "drop the near copies (`unfog inspect SOURCE` counts them) and fit again",
            ),
            Reading(
                found.exact,
                0.02,
                f"{100 * found.exact:.0f} % of the source's items are training items",
                "the source overlaps what the run learnt from",
                "judge with items that the run has not seen: leave the source out, and its own "
                "test part is used",
            ),
        ]
    )


@signs.add("label_leak", summary="a condition names the item, or says one of its numbers.")
def label_leak(facts: Facts) -> Reading | None:
    """The share of an entry's held-out variance that a condition predicts; 1 for identifiers."""
    readings = []
    for name, one in facts.conditions.items():
        unique = one.repeats < 1.2 and not one.number
        readings.append(
            Reading(
                1.0 if unique else max(0.0, one.most),
                0.99,
                f"given {name!r} has {one.repeats:.1f} items a value"
                if unique
                else f"given {name!r} predicts {100 * one.most:.1f} % of {one.entry}",
                "it is an identifier: it says which item, not which kind"
                if unique
                else "it is a copy of a part of the data",
                f"leave {name!r} out of --given",
            )
        )
    return worst(readings)


@signs.add("wrong_scale", summary="an offset, outliers, or a source in other units.")
def wrong_scale(facts: Facts) -> Reading | None:
    """Mean over deviation beyond 5; variance of an entry held by 1 % of the items beyond 0.9; a
    source's mean beyond 1 deviation away or its deviation beyond twice or half the run's.
    """
    scale = facts.scale
    if scale is None:
        return None
    readings = [
        Reading(
            scale.offset,
            5.0,
            f"the states' mean is {scale.offset:.1f} of their deviations away from 0",
            "the values use a small part of their type's range, such as 0 to 15 of 255",
            "stretch the values over the range of their type (or give floats), or --set space=pca",
        ),
        Reading(
            scale.outlier,
            0.9,
            f"1 % of the items hold {100 * scale.outlier:.0f} % of the variance of {scale.where}",
            "codes for missing values, such as -999 or 9999, or another unit in some items",
            f"make those values NaN, or drop them: look at {scale.where} of item {scale.item}",
        ),
    ]
    if scale.source_offset is not None and scale.source_spread is not None:
        ratio = max(scale.source_spread, 1 / max(scale.source_spread, 1e-9))
        shift = (
            f"the source's mean lies {scale.source_offset:.3g} deviations off and its deviation is "
            f"{scale.source_spread:.3g} times the training part's"
        )
        cause = "the source is in other units, or normalised in another way"
        fix = "give the source in the units that the run learnt from; don't normalise it yourself"
        readings += [
            Reading(scale.source_offset, 1.0, shift, cause, fix),
            Reading(ratio, 2.0, shift, cause, fix),
        ]
    return worst(readings)
