"""Signs of faults in what was asked of the net, how it learnt, and how it is sampled."""

from __future__ import annotations

import math

from unfog.judge.doctor.facts import Facts
from unfog.judge.doctor.finding import Reading, worst
from unfog.judge.doctor.signs import (
    FAST,
    GAIN,
    MISFIT,
    STEP,
    gain_of,
    kept_early,
    longer,
    mean_of,
    misfit,
    narrow,
    signs,
)


@signs.add(
    "wrong_objective", summary="target, weight or times ask for what sampling does not need."
)
def wrong_objective(facts: Facts) -> Reading | None:
    """Share of the loss in one twentieth of the draws beyond 0.16, unless it is that of a recipe as
    it stands (noise that is predicted under hardly any noise has a quarter of the loss, and that
    works); share of the sampling grid that training does not visit beyond 0.15; signal to noise at
    t = 1 beyond 0.1.
    """
    aim = facts.aim
    if aim is None:
        return None
    return worst(
        [
            Reading(
                aim.densest if aim.recipe is None else 0.0,
                0.16,
                f"one twentieth of the training times, about t = {aim.at:.2f}, has "
                f"{100 * aim.densest:.0f} % of the loss",
                "target, weight and times do not fit each other: the rest is hardly learnt",
                "--set target=velocity --set weight=unit --set times=logit_normal, or a recipe as "
                "it stands",
            ),
            Reading(
                aim.uncovered,
                0.15,
                f"sampling passes through noise levels of which {100 * aim.uncovered:.0f} % were "
                "never trained",
                "times.low and times.high, or the law of times, leave them out",
                "--set times=logit_normal",
            ),
            Reading(
                aim.left,
                0.1,
                f"at t = 1 the signal is still {aim.left:.2g} of the noise",
                "the path ends before the data is drowned, and sampling starts without it",
                "raise path.sigma_max, or --set path=linear",
            ),
        ]
    )


@signs.add("step_too_large", summary="a thirtieth of the step size learns faster.")
def step_too_large(facts: Facts) -> Reading | None:
    """Error after a short fresh training at the run's step size over that at a thirtieth."""
    trial = facts.trial
    if trial is None:
        return None
    lower, own = trial.errors[0], trial.errors[1]
    better = facts.lr * trial.factors[0]
    return Reading(
        min(own / max(lower, 1e-9), 1e9),
        STEP,
        f"{trial.steps} fresh updates with lr {facts.lr:g} end at {own:.3g} times the error of "
        f"simple denoisers, with {better:.2g} at {lower:.3g} times",
        "updates overshoot",
        f"--lr {min(better, facts.usual_lr):.1g}",
    )


@signs.add("step_too_small", summary="thirty times the step size, or more, learns faster.")
def step_too_small(facts: Facts) -> Reading | None:
    """Error after a short fresh training at the run's step size over the best at larger ones."""
    trial = facts.trial
    if trial is None:
        return None
    own = trial.errors[1]
    best = min(range(2, len(trial.errors)), key=lambda i: trial.errors[i])
    better = facts.lr * trial.factors[best]
    return Reading(
        own / max(trial.errors[best], 1e-9),
        STEP,
        f"{trial.steps} fresh updates with lr {facts.lr:g} end at {own:.3g} times the error of "
        f"simple denoisers, with {better:.2g} at {trial.errors[best]:.3g} times",
        "updates are too short for so few of them",
        f"--lr {min(max(better, facts.usual_lr), 3 * facts.usual_lr):.1g}",
    )


@signs.add("dead_outputs", summary="entries whose answer or samples do not vary.")
def dead_outputs(facts: Facts) -> Reading | None:
    """Share of such entries, where not all are. Not of a narrow net, which leaves some out by
    itself: that is `net_too_small`.
    """
    still = facts.drawn.narrow if facts.drawn is not None else 0.0
    dead = facts.dead if facts.dead < 0.95 and not narrow(facts) else 0.0
    return worst(
        [
            Reading(
                dead,
                0.05,
                f"the net's answer for {100 * dead:.0f} % of the entries does not depend on the "
                "state",
                "outputs that never learnt: a layer that is frozen, masked, or saturated",
                "fit again from fresh weights (--overwrite), and check the net's last layer",
            ),
            Reading(
                still,
                0.1,
                f"the samples of {100 * still:.0f} % of the entries hardly vary, the data does",
                "outputs that collapsed",
                "fit again with a smaller step: --lr " + f"{facts.lr / 3:.1g}",
            ),
        ]
    )


@signs.add("ema_too_long", summary="the last weights are better than their average.")
def ema_too_long(facts: Facts) -> Reading | None:
    """Mean training error of the averaged weights over that of the last ones."""
    fit = facts.fit
    if fit is None or fit.raw_train is None:
        return None
    ratio = mean_of(fit.train) / max(mean_of(fit.raw_train), 1e-9)
    return Reading(
        ratio,
        1.01,
        f"the averaged weights restore training items {100 * (ratio - 1):.1f} % worse than the "
        "last ones do",
        f"the average reaches back over too much of a run of {facts.steps} updates "
        f"(train.ema {facts.ema:g})",
        f"--set train.ema={min(0.05, max(0.01, facts.ema / 5)):.2g}, or a longer --budget",
    )


@signs.add("condition_ignored", summary="shuffling a condition changes nothing.")
def condition_ignored(facts: Facts) -> Reading | None:
    """1 - rise of the error when shuffled, in shares of what the condition lets simple predictions
    do better; 1 where the net is no worse without the condition, at any level (one that it hardly
    saw may disturb it, so that shuffling tells); 0 for a net that is only beginning to learn. Of a
    condition that says nothing: 1 where shuffling does nothing either.
    """
    readings = []
    for name, one in facts.conditions.items():
        silent = one.says < 0.02
        early = gain_of(facts) > FAST and facts.dropout < 0.9
        if silent:
            value = 1.0 if one.rise <= 3 * one.error else 0.0
        else:
            unused = one.without is not None and one.without <= 0
            value = 0.0 if early else 1.0 if unused else 1 - one.rise / one.says
        readings.append(
            Reading(
                value,
                0.75,
                f"shuffling {name!r} changes the held-out error by {100 * one.rise:.1f} % "
                f"(standard error {100 * one.error:.1f})"
                + ("" if one.without is None else f", leaving it out by {100 * one.without:.1f} %")
                + f"; it lowers that of simple predictions by {100 * max(0.0, one.says):.0f} %",
                f"{name!r} says nothing of the data: wrong, shuffled or misaligned values"
                if silent
                else f"the net hardly saw it (train.dropout {facts.dropout:g}) or had no time",
                f"check that {name!r} belongs to the items in their order, or leave it out"
                if silent
                else "--set train.dropout=0.1",
            )
        )
    return worst(readings)


@signs.add("under_fitting", summary="worse than simple denoisers, and still learning.")
def under_fitting(facts: Facts) -> Reading | None:
    """Median error over levels beside the better of a Gaussian and a kernel denoiser, where more
    updates help and the net is not too narrow.
    """
    found, gain = misfit(facts), gain_of(facts)
    done = gain <= GAIN or narrow(facts)
    if found is None or kept_early(facts) or (found > MISFIT and done):
        return None
    return Reading(
        found,
        MISFIT,
        f"held-out items are restored with {found:.2f} times the error of simple denoisers, and "
        f"some more updates lower it by {100 * gain:.1f} %",
        f"{facts.steps} updates ({facts.epochs:.0f} passes over the data) were too few",
        longer(facts, 10),
    )


@signs.add("net_too_small", summary="worse than simple denoisers, and done learning or too narrow.")
def net_too_small(facts: Facts) -> Reading | None:
    """Median error over levels beside the better of a Gaussian and a kernel denoiser, where more
    updates don't help, or the net is too narrow.
    """
    found, gain = misfit(facts), gain_of(facts)
    done = gain <= GAIN or narrow(facts)
    if found is None or kept_early(facts) or (found > MISFIT and not done):
        return None
    wide = f"--set net.width={max(64, 4 * facts.width)}" if facts.width else "a larger net"
    return Reading(
        found,
        MISFIT,
        f"held-out items are restored with {found:.2f} times the error of simple denoisers, and "
        + (
            f"its answers span {100 * facts.spanned:.0f} % of the directions of the entries"
            if narrow(facts)
            else f"more updates change that by {100 * gain:.1f} % only"
        ),
        f"a net of {facts.parameters} parameters can't say more",
        wide,
    )


@signs.add("slow_convergence", summary="more updates still lower the error.")
def slow_convergence(facts: Facts) -> Reading | None:
    """Share by which some more updates lower the error."""
    if facts.more is None or kept_early(facts):
        return None
    gain = gain_of(facts)
    return Reading(
        gain,
        GAIN,
        f"{facts.more.updates} more updates lower the error by {100 * gain:.1f} %",
        f"the run ended after {facts.steps} updates while it was still learning",
        longer(facts, 3),
    )


@signs.add("over_fitting", summary="training items are restored far better than held-out ones.")
def over_fitting(facts: Facts) -> Reading | None:
    """Held-out over training error of the less noisy half of the levels, beside the same of a
    linear denoiser; the rise of the held-out
    loss above its lowest; copying that the run's clock saw, in the samples of its weights, or early
    enough that the weights kept from before it restore badly.
    """
    fit, readings = facts.fit, []
    cause = f"{facts.epochs:.0f} passes over {facts.items} items with {facts.parameters} parameters"
    small = f" --set net.width={max(16, facts.width // 2)}" if facts.width else ""
    fix = f"--steps {max(1, facts.steps // 3)}{small}, or more data"
    if fit is not None and fit.held is not None:
        near = -(-len(fit.held) // 2)
        gap = mean_of([h / max(t, 1e-9) for h, t in zip(fit.held[:near], fit.train[:near])])
        gap /= max(1.0, fit.linear_gap or 1.0)
        evidence = (
            f"under little noise held-out items have {gap:.2f} times the error of training items"
        )
        readings.append(Reading(gap, 1.4, evidence, cause, fix))
    if len(facts.heldout) >= 4 and min(facts.heldout) > 0:
        rise = facts.heldout[-1] / min(facts.heldout)
        evidence = f"the held-out loss rose to {rise:.2f} times its lowest while training went on"
        readings.append(Reading(rise, 1.15, evidence, cause, fix))
    return worst(readings + copying(facts, cause))


def copying(facts: Facts, cause: str) -> list[Reading]:
    """Of over-fitting, what the run's clock saw."""
    clock, found = facts.clock, misfit(facts)
    if clock is None or clock.step is None:
        return []
    began = f"samples were seen to copy training items at step {clock.step}"
    if clock.kept is None:
        fix = "--stop-at copying, more data, or a smaller net; `unfog evaluate` counts the copies"
        return [
            Reading(2.0, 1.0, f"{began}, and the run's weights are not from before", cause, fix)
        ]
    if found is None:
        return []
    evidence = (
        f"{began}; the weights kept from step {clock.kept} restore held-out items with {found:.2f} "
        "times the error of simple denoisers"
    )
    fix = "more data, or a smaller net"
    return [Reading(found, MISFIT, evidence, cause, fix)]


@signs.add("guidance_too_strong", summary="guided samples leave the data, or collapse.")
def guidance_too_strong(facts: Facts) -> Reading | None:
    """|log| of the spread of samples of one condition over that at scale 1 beyond log 1.38; or
    their share outside the data's range beyond that at scale 1 by 0.04.
    """
    drawn = facts.drawn
    if drawn is None or not facts.conditions or drawn.scale <= 1:
        return None
    ratio = max(drawn.spread, 1e-6) / max(drawn.plain_spread, 1e-6)
    more = drawn.outside - drawn.plain_outside
    evidence = (
        f"at scale {drawn.scale:g} samples of one condition spread {ratio:.2f} times as at scale "
        f"1, and {100 * drawn.outside:.0f} % of their numbers leave the data's range "
        f"({100 * drawn.plain_outside:.0f} % at 1)"
    )
    cause = "the guidance scale pushes samples past the data"
    fix = "--scale 1 when sampling, up to 1.5; or fit with --set scale=1"
    return worst(
        [
            Reading(abs(math.log(ratio)), math.log(1.38), evidence, cause, fix),
            Reading(more, 0.04, evidence, cause, fix),
        ]
    )
