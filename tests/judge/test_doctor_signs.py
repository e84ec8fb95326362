"""Every sign shows on the facts that it is for, alone, and on no healthy ones; what it is made of
says what it should.
"""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from unfog.judge.doctor import Facts, diagnosed, signs
from unfog.judge.doctor.course import course
from unfog.judge.doctor.denoisers import Gaussian, Kernel, Reference
from unfog.judge.doctor.facts import (
    Aim,
    Clock,
    Condition,
    Copies,
    Course,
    Drawn,
    Fit,
    More,
    Scale,
    Trial,
)
from unfog.judge.doctor.neighbours import copies
from unfog.judge.doctor.probes import explained, features, told
from unfog.judge.doctor.restored import Noisings
from unfog.judge.doctor.signs import EXPLAINS
from unfog.maths import truth
from unfog.maths.paths import Linear
from unfog.maths.targets import targets

EVEN = (1.0,) * 6
HEALTHY = Facts(
    items=1000,
    entries=10,
    steps=2000,
    batch=128,
    lr=1e-3,
    usual_lr=1e-3,
    ema=0.05,
    epochs=250.0,
    parameters=100_000,
    width=256,
    dropout=0.1,
    seconds=20.0,
    course=Course(first=2.0, last=0.5, late=0.02, rising=0.0),
    fit=Fit((0.9,) * 6, EVEN, (0.9,) * 6, EVEN, linear_gap=1.05),
    scale=Scale(offset=0.1, outlier=0.3),
    aim=Aim(densest=0.08, at=0.4, uncovered=0.06, left=0.01),
    conditions={"label": Condition(0.3, 0.6, "entry 1", 0.8, 0.03, 100.0)},
    drawn=Drawn(0.05, 0.7, 0.05, 0.75, 0.0, scale=1.5),
    copies=Copies(0.0, 0.001, looked=200),
    trial=Trial((1 / 30, 1.0, 30.0, 1000.0), (0.98, 0.7, 0.75, 1e9), 60),
    more=More(100, 0.002, 0.0),
)


def label(**changes):
    return {"conditions": {"label": replace(HEALTHY.conditions["label"], **changes)}}


FAULTS = {
    "too_few_data": [{"items": 30}, {"fit": replace(HEALTHY.fit, linear_gap=2.0)}],
    "duplicates": [
        {"copies": Copies(0.4, 0.01, looked=200)},
        {"copies": Copies(0.0, 0.01, looked=200, exact=0.5)},
    ],
    "label_leak": [label(repeats=1.0), label(most=0.999)],
    "wrong_scale": [
        {"scale": Scale(offset=20.0, outlier=0.2)},
        {"scale": Scale(offset=0.0, outlier=0.99, where="entry 1", item=3)},
        {"scale": Scale(0.0, 0.2, source_offset=0.0, source_spread=255.0)},
        {"scale": Scale(0.0, 0.2, source_offset=0.0, source_spread=1 / 255)},
        {"scale": Scale(0.0, 0.2, source_offset=3.0, source_spread=1.0)},
    ],
    "wrong_objective": [
        {"aim": replace(HEALTHY.aim, densest=0.6)},
        {"aim": replace(HEALTHY.aim, uncovered=0.5)},
        {"aim": replace(HEALTHY.aim, left=0.5)},
    ],
    "step_too_large": [{"trial": replace(HEALTHY.trial, errors=(0.7, 5.0, 1e9, 1e9))}],
    "step_too_small": [
        {"trial": replace(HEALTHY.trial, errors=(1.0, 0.99, 0.7, 1e9))},
        {"trial": replace(HEALTHY.trial, errors=(1.0, 1.0, 0.98, 0.7))},
    ],
    "dead_outputs": [{"dead": 0.25}, {"drawn": replace(HEALTHY.drawn, narrow=0.3)}],
    "ema_too_long": [{"fit": replace(HEALTHY.fit, train=(0.95,) * 6)}],
    "condition_ignored": [
        label(rise=0.001),
        label(says=0.0, rise=0.01, error=0.02),
        label(without=-0.05),
    ],
    "under_fitting": [
        {"fit": Fit((1.5,) * 6, (1.5,) * 6, linear_gap=1.0), "more": More(30, 0.08, 0.08)}
    ],
    "net_too_small": [
        {"fit": Fit((1.5,) * 6, (1.5,) * 6, linear_gap=1.0), "more": More(100, 0.001, 0.0)},
        {"fit": Fit((1.5,) * 6, (1.5,) * 6, linear_gap=1.0), "dead": 0.1, "spanned": 0.2},
        {
            "fit": Fit((1.5,) * 6, (1.5,) * 6, linear_gap=1.0),
            "more": More(100, 0.05, 0.05),
            "spanned": 0.2,
        },
    ],
    "slow_convergence": [{"more": More(100, 0.05, 0.04)}, {"more": More(100, 0.05, None)}],
    "over_fitting": [
        {"fit": replace(HEALTHY.fit, train=(0.4,) * 6, raw_train=(0.4,) * 6)},
        {"heldout": (1.0, 0.6, 0.5, 0.9)},
        {"clock": Clock(300)},
        {"clock": Clock(300, kept=100), "fit": Fit((1.5,) * 6, (1.5,) * 6, linear_gap=1.0)},
    ],
    "guidance_too_strong": [
        {"drawn": replace(HEALTHY.drawn, spread=0.3)},
        {"drawn": replace(HEALTHY.drawn, spread=2.0)},
        {"drawn": replace(HEALTHY.drawn, outside=0.12)},
    ],
}


def test_every_sign_is_tested():
    assert set(FAULTS) == set(signs.names())
    assert set(EXPLAINS) | set().union(*EXPLAINS.values()) <= set(signs.names())


def test_healthy_facts_have_no_findings_and_a_margin_for_every_sign():
    found = diagnosed(HEALTHY)
    assert found.healthy
    assert set(found.margins) == set(signs.names())
    assert all(value <= limit for value, limit in found.margins.values())
    assert "no fault found" in str(found)


@pytest.mark.parametrize(
    ("name", "change"), [(name, one) for name, some in FAULTS.items() for one in some]
)
def test_a_sign_shows_on_its_own_fault_first(name, change):
    found = diagnosed(replace(HEALTHY, **change))
    assert [one.name for one in found.findings][:1] == [name]
    first = found.findings[0]
    assert 0.5 <= first.severity <= 1
    assert all(first.to_json()[part] for part in ("evidence", "cause", "fix"))


def test_what_could_not_be_measured_is_said_and_is_no_fault():
    bare = replace(
        HEALTHY,
        fit=None,
        aim=None,
        copies=None,
        trial=None,
        more=None,
        drawn=None,
        scale=None,
        conditions={},
    )
    found = diagnosed(bare)
    assert found.healthy
    assert "step_too_large" in found.to_json()["not_read"]


def test_a_cause_takes_its_consequences_with_it():
    bad = replace(
        HEALTHY,
        fit=Fit((2.0,) * 6, (2.0,) * 6, linear_gap=1.0),
        trial=replace(HEALTHY.trial, errors=(0.7, 5.0, 1e9, 1e9)),
        dead=0.3,
        **label(rise=0.0),
    )
    found = diagnosed(bad)
    assert [one.name for one in found.findings] == ["step_too_large"]
    assert {one.name for one in found.explained} >= {"net_too_small", "dead_outputs"}


def test_a_run_ended_by_its_clock_is_not_asked_to_go_on():
    ended = replace(HEALTHY, clock=Clock(300, kept=100), more=More(100, 0.2, 0.2))
    found = diagnosed(ended)
    assert found.healthy, str(found)
    assert {"under_fitting", "net_too_small", "slow_convergence"}.isdisjoint(found.margins)


def test_learning_by_heart_is_not_slow_convergence():
    assert diagnosed(replace(HEALTHY, more=More(100, 0.05, -0.01))).healthy


def test_a_misfit_within_its_standard_error_is_none():
    near = Fit((1.1,) * 6, (1.1,) * 6, linear_gap=1.0, error=0.03)
    assert diagnosed(replace(HEALTHY, fit=near)).healthy
    sure = replace(near, error=0.01)
    assert diagnosed(replace(HEALTHY, fit=sure)).findings[0].name == "net_too_small"


def test_a_net_that_only_begins_to_learn_is_not_said_to_ignore_its_condition():
    begun = {"more": More(30, 0.2, 0.2), "fit": Fit((1.5,) * 6, (1.5,) * 6, linear_gap=1.0)}
    found = diagnosed(replace(HEALTHY, **begun, **label(rise=0.01)))
    assert [one.name for one in found.findings] == ["under_fitting", "slow_convergence"]


def test_a_recipe_as_it_stands_is_not_the_wrong_objective():
    aim = replace(HEALTHY.aim, densest=0.3, recipe="ddpm")
    assert diagnosed(replace(HEALTHY, aim=aim)).healthy
    cut = replace(HEALTHY, aim=replace(aim, uncovered=0.5))
    assert diagnosed(cut).findings[0].name == "wrong_objective"


def test_a_condition_is_used_by_a_net_that_is_worse_without_it():
    assert diagnosed(replace(HEALTHY, **label(without=0.1))).healthy
    begun = {"more": More(30, 0.2, 0.2), "fit": Fit((1.5,) * 6, (1.5,) * 6, linear_gap=1.0)}
    found = diagnosed(replace(HEALTHY, **begun, **label(without=-0.05)))
    assert "condition_ignored" not in [one.name for one in found.findings]


class Bottleneck(torch.nn.Module):
    """Answers that are linear in the state, through so few numbers."""

    def __init__(self, width, dead=()):
        super().__init__()
        noise = torch.Generator().manual_seed(0)
        inward, outward = torch.randn(2, 8, width, generator=noise)
        outward[list(dead)] = 0
        self.matrix = inward @ outward.T

    def answer(self, x_t, t, cond):
        return torch.tanh(x_t) @ self.matrix + 1


@pytest.mark.parametrize(
    ("width", "dead", "spanned"), [(8, (1, 5), 1.0), (2, (), 0.25), (2, (3,), 2 / 7)]
)
def test_dead_entries_and_the_directions_of_the_others_are_counted(width, dead, spanned):
    model = SimpleNamespace(path=Linear(), target=targets.make("velocity"))
    x = cloud(200).repeat(1, 4).float()
    noisings = Noisings(model, x, None, torch.tensor([0.1, 0.5, 0.9]), train=x)
    assert noisings.outputs(Bottleneck(width, dead)) == pytest.approx((len(dead) / 8, spanned))


def test_facts_survive_json():
    told = replace(HEALTHY, clock=Clock(300, kept=100))
    assert Facts.from_json(json.loads(json.dumps(told.to_json()))) == told


def test_a_fix_names_a_setting():
    small = diagnosed(replace(HEALTHY, **FAULTS["step_too_small"][0])).findings[0]
    assert small.fix == "--lr 0.003"
    ema = diagnosed(replace(HEALTHY, **FAULTS["ema_too_long"][0])).findings[0]
    assert ema.fix.startswith("--set train.ema=0.01")


def cloud(count, seed=0, std=(1.0, 0.3)):
    noise = torch.Generator().manual_seed(seed)
    return torch.randn(count, 2, generator=noise, dtype=torch.float64) * torch.tensor(std)


def noised(x, t, seed=1):
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    return (1 - t) * x + t * z


def test_the_gaussian_denoiser_is_the_exact_one_of_gaussian_data():
    x, fresh, t = cloud(200_000), cloud(50, 5), torch.tensor(0.4)
    exact = truth.Gaussian(torch.zeros(2).double(), torch.diag(torch.tensor([1.0, 0.09]).double()))
    x_t = noised(fresh, 0.4)
    expected = exact.predictor(Linear())(x_t, 0.4)
    torch.testing.assert_close(Gaussian(x)(Linear(), x_t, t), expected, atol=0.02, rtol=0.02)


def test_the_kernel_denoiser_without_width_is_the_empirical_one():
    x, x_t = cloud(100), noised(cloud(30, 5), 0.5)
    expected = truth.empirical(x).predictor(Linear())(x_t, 0.5)
    found = Kernel(x)(Linear(), x_t, torch.tensor(0.5), 0.0)
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-3)


def test_the_reference_uses_classes_where_they_say_something():
    x = cloud(400, std=(0.1, 0.1))
    labels = torch.arange(400) % 2
    x[:, 0] += 2.0 * labels
    t, x_t = torch.tensor(0.8), noised(x, 0.8)
    plain, _ = Reference(x).errors(Linear(), x, x_t, t)
    told, _ = Reference(x, labels).errors(Linear(), x, x_t, t, labels)
    plain, told = float(plain.mean()), float(told.mean())
    assert told < 0.2 * plain
    assert told == pytest.approx(0.01, rel=0.3)  # the variance within a class


def test_a_condition_says_the_share_that_it_says():
    noise = torch.Generator().manual_seed(0)
    given = torch.randn(4000, 1, generator=noise)
    data = torch.cat([given, torch.randn(4000, 1, generator=noise)], 1)
    columns = features(given)
    says, most, which = explained(columns[:3000], data[:3000], columns[3000:], data[3000:])
    assert says == pytest.approx(0.5, abs=0.03)
    assert most == pytest.approx(1.0, abs=1e-3)
    assert which == 0
    none, _, _ = explained(columns[:3000], data[:3000, 1:], columns[3000:], data[3000:, 1:])
    assert abs(none) < 0.01


def test_a_class_that_tells_the_radius_only_is_heard():
    noise = torch.Generator().manual_seed(0)
    turn, label = torch.rand(1000, generator=noise) * 2 * math.pi, torch.arange(1000) % 2
    x = torch.stack([turn.cos(), turn.sin()], 1) * (1 + label[:, None])
    columns = features(label, 2)
    parts = columns[:700], x[:700], columns[700:], x[700:]
    assert abs(explained(*parts)[0]) < 0.02
    assert told(*parts) > 0.15
    wrong = columns[torch.randperm(1000, generator=noise)]
    assert told(wrong[:700], x[:700], wrong[700:], x[700:]) < 0.02


@pytest.mark.parametrize("size", [2, 8])
def test_copies_are_counted_and_chance_is_foreseen(size):
    noise = torch.Generator().manual_seed(0)
    train, held = (torch.rand(n, size, generator=noise) for n in (4000, 500))
    apart = copies(train, held)
    assert apart.share <= apart.chance + 3 * math.sqrt(apart.chance / 500) + 1e-9
    held[:200] = train[:200] + 1e-6
    assert copies(train, held).share == pytest.approx(0.4, abs=0.03)


def test_the_loss_curve_in_numbers():
    lines = [{"step": 20 * i, "loss": 1 + 2.0 ** (-i / 3), "skipped": 0} for i in range(1, 61)]
    done = course(lines)
    assert done.late < 1e-3
    assert done.rising == pytest.approx(0, abs=1e-6)
    line = [{"step": i, "loss": 3 - i / 60, "skipped": 6} for i in range(1, 61)]
    assert course(line).late == pytest.approx(1 / 3, abs=0.06)
    assert course(line).skipped == pytest.approx(0.1)
    assert course(lines[:3]) is None
