"""Laws that every registered net obeys; a new net needs one row in CASES."""

from __future__ import annotations

import json

import pytest
import torch

from unfog.nets import Conditions, dropout, nets, null

GIVEN = {
    "label": {"type": "class", "size": 4},
    "tags": {"type": "classes", "size": 3},
    "age": {"type": "number", "size": 2},
    "caption": {"type": "text", "size": 7, "length": 5},
    "pose": {"type": "tensor", "shape": [2, 3]},
}
FIELDS = {
    "num": {"type": "number", "size": 3},
    "cat": {"type": "category", "sizes": [2, 4]},
    "pts": {"type": "points", "size": 2},
}


def fields(batch, rng):
    return {
        "num": torch.randn(batch, 3, generator=rng),
        "cat": torch.stack([torch.randint(0, k + 1, (batch,), generator=rng) for k in (2, 4)], 1),
        "pts": torch.randn(batch, 5, 2, generator=rng),
    }


COLUMNS = {
    "cat": {"type": "category", "sizes": [2, 4]},
    "num": {"type": "number", "size": 3},
    "more": {"type": "category", "sizes": [3]},
}


def rows(batch, rng):
    state = fields(batch, rng)
    more = torch.randint(0, 4, (batch, 1), generator=rng)
    return {"cat": state["cat"], "num": state["num"], "more": more}


def plain(*shape):
    return lambda batch, rng: torch.randn(batch, *shape, generator=rng)


# case: (net, options, state of a batch, shape of a state condition)
CASES = {
    "mlp": ("mlp", {"shape": [2, 3], "width": 32, "depth": 2, "vector": 16}, plain(2, 3), [2, 3]),
    "unet-1": (
        "unet",
        {"shape": [2, 13], "width": 8, "mult": [1, 2], "blocks": 1, "attention": [False, True]},
        plain(2, 13),
        [1, 13],
    ),
    "unet-2": (
        "unet",
        {"shape": [1, 7, 6], "width": 8, "mult": [1, 2], "blocks": 1, "attention": [False, True]},
        plain(1, 7, 6),
        [2, 4, 3],
    ),
    "unet-3": (
        "unet",
        {"shape": [1, 3, 4, 5], "width": 8, "mult": [1, 1], "blocks": 1, "head_width": 4},
        plain(1, 3, 4, 5),
        [1, 3, 4, 5],
    ),
    "unet-patch": (
        "unet",
        {"shape": [1, 7, 6], "width": 8, "mult": [1, 2], "blocks": 1, "patch": 2},
        plain(1, 7, 6),
        [1, 7, 6],
    ),
    "dit-1": ("dit", {"shape": [3, 7], "width": 24, "depth": 2, "heads": 2}, plain(3, 7), [1, 7]),
    "dit-2": (
        "dit",
        {"shape": [2, 5, 6], "patch": 2, "width": 24, "depth": 2, "heads": 2},
        plain(2, 5, 6),
        [1, 5, 6],
    ),
    "dit-3": (
        "dit",
        {"shape": [1, 3, 4, 5], "patch": 2, "width": 24, "depth": 2, "heads": 2},
        plain(1, 3, 4, 5),
        [1, 3, 4, 5],
    ),
    "rnn": ("rnn", {"shape": [2, 9], "width": 16, "depth": 2, "vector": 16}, plain(2, 9), [1, 9]),
    "rnn-causal": (
        "rnn",
        {"shape": [2, 9], "width": 16, "depth": 2, "causal": True},
        plain(2, 9),
        [1, 9],
    ),
    "sets": ("sets", {"fields": FIELDS, "width": 16, "depth": 2, "heads": 2}, fields, [1, 4]),
    "table": ("table", {"fields": COLUMNS, "width": 32, "depth": 2, "vector": 16}, rows, [1, 4]),
    "points": ("points", {"shape": [6, 2], "width": 16, "depth": 2}, plain(6, 2), [1, 4]),
}


def given_of(case):
    return {**GIVEN, "low": {"type": "state", "shape": CASES[case][3]}}


def made(case, *, wild=True, given=None, **options):
    """The net of a case; `wild` perturbs every weight, so that no gate is closed."""
    torch.manual_seed(0)
    name, own, _, _ = CASES[case]
    net = nets.make(name, **own, given=given_of(case) if given is None else given, **options)
    if wild:
        with torch.no_grad():
            for value in net.parameters():
                value.add_(0.3 * torch.randn_like(value) / max(1, value[0].numel()) ** 0.5)
    return net


def cond_of(given, batch, rng):
    """A present value for every condition."""
    cond = {}
    for name, spec in given.items():
        match spec["type"]:
            case "class":
                cond[name] = torch.randint(0, spec["size"], (batch,), generator=rng)
            case "classes":
                cond[name] = (torch.rand(batch, spec["size"], generator=rng) < 0.5).float()
            case "number":
                cond[name] = torch.randn(batch, spec["size"], generator=rng)
            case "text":
                text = torch.randint(0, spec["size"], (batch, spec["length"]), generator=rng)
                text[::2, 3:] = -1
                cond[name] = text
            case _:
                cond[name] = torch.randn(batch, *spec["shape"], generator=rng)
    return cond


def inputs(case, batch=6, seed=1):
    rng = torch.Generator().manual_seed(seed)
    x_t, t = CASES[case][2](batch, rng), torch.rand(batch, generator=rng)
    return x_t, t, cond_of(given_of(case), batch, rng)


def pick(tree, index):
    if isinstance(tree, dict):
        return {name: value[index] for name, value in tree.items()}
    return tree[index]


def flat(output):
    """One finite matrix (B, D) of any output."""
    parts = output.values() if isinstance(output, dict) else [output]
    return torch.cat([part.reshape(len(part), -1).nan_to_num(neginf=0.0) for part in parts], dim=1)


def gap(a, b):
    return float((flat(a) - flat(b)).detach().abs().max())


every_case = pytest.mark.parametrize("case", CASES)


def test_every_registered_net_has_a_case():
    assert {CASES[case][0] for case in CASES} == set(nets.names())


@every_case
def test_output_is_zero_at_initialisation(case):
    x_t, t, cond = inputs(case)
    assert gap(made(case, wild=False)(x_t, t, cond), torch.zeros(1)) < 1e-6


@every_case
def test_reinitialising_keeps_closed_gates_closed(case):
    net = made(case)
    net.initialise()
    x_t, t, cond = inputs(case)
    assert gap(net(x_t, t, cond), torch.zeros(1)) < 1e-6


@every_case
def test_samples_of_a_batch_do_not_see_each_other(case):
    net = made(case)
    x_t, t, cond = inputs(case)
    with torch.no_grad():
        whole = flat(net(x_t, t, cond))
        order = torch.tensor([3, 0, 5, 1, 4, 2])
        assert gap(net(pick(x_t, order), t[order], pick(cond, order)), whole[order]) < 1e-5
        for part in (slice(0, 1), slice(1, 6)):
            assert gap(net(pick(x_t, part), t[part], pick(cond, part)), whole[part]) < 1e-5
    assert float(whole.std()) > 0.02  # the law is empty for a net that answers nothing


@every_case
def test_one_time_serves_the_whole_batch(case):
    net = made(case)
    x_t, _, cond = inputs(case)
    with torch.no_grad():
        one = net(x_t, torch.tensor(0.3), cond)
        assert gap(one, net(x_t, torch.full((6,), 0.3), cond)) < 1e-5
        assert gap(one, net(x_t, torch.tensor(0.6), cond)) > 1e-3


@every_case
def test_null_is_reached_and_a_present_condition_counts(case):
    net, given = made(case), given_of(case)
    x_t, t, cond = inputs(case)
    _, _, other = inputs(case, seed=7)
    other["label"] = (cond["label"] + 1) % 4
    with torch.no_grad():
        nothing = net(x_t, t, None)
        assert gap(net(x_t, t, {}), nothing) == 0
        assert gap(net(x_t, t, null(given, 6)), nothing) == 0
        for name in given:
            present = net(x_t, t, {name: cond[name]})
            assert float((flat(present) - flat(nothing)).abs().amax(1).min()) > 1e-4, name
            assert gap(net(x_t, t, {name: other[name]}), present) > 1e-4, name
            draw = torch.full((len(given), 6), 0.5)
            for value in (cond[name], other[name]):
                dropped = dropout({name: value}, given, {name: 0.6}, draw)
                assert gap(net(x_t, t, dropped), nothing) == 0, name
        # samples with and without a condition mix in a batch
        some = dropout(cond, given, 0.5, torch.rand(len(given), 6))
        mixed, alone = flat(net(x_t, t, some)), slice(2, 3)
        assert gap(net(pick(x_t, alone), t[alone], pick(some, alone)), mixed[alone]) < 1e-5


@every_case
def test_gradient_reaches_every_parameter_and_is_finite(case):
    net, given = made(case, two_times=True), given_of(case)
    x_t, t, cond = inputs(case)
    torch.manual_seed(0)
    draw = torch.arange(6).expand(len(given), 6) % 2 * 0.9  # every other sample is missing
    answer = flat(net(x_t, t, dropout(cond, given, 0.5, draw), 0.5 * t))
    (answer * torch.randn_like(answer)).sum().backward()
    for name, value in net.named_parameters():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name
        assert float(value.grad.abs().max()) > 0, name


@every_case
def test_options_rebuild_the_net(case):
    net = made(case, two_times=True)
    options = json.loads(json.dumps(net.options))
    twin = nets.make(CASES[case][0], **options)
    assert twin.options == options
    assert twin.conditions.given == options["given"] == given_of(case)
    twin.load_state_dict(net.state_dict())
    x_t, t, cond = inputs(case)
    with torch.no_grad():
        assert gap(twin(x_t, t, cond, 0.5 * t), net(x_t, t, cond, 0.5 * t)) == 0


@every_case
def test_second_time_is_used_only_when_asked(case):
    x_t, t, cond = inputs(case)
    with torch.no_grad():
        one, two = made(case), made(case, two_times=True)
        assert gap(one(x_t, t, cond, 0.5 * t), one(x_t, t, cond)) == 0
        assert gap(two(x_t, t, cond, t), two(x_t, t, cond)) == 0  # no s means s = t
        assert gap(two(x_t, t, cond, 0.5 * t), two(x_t, t, cond)) > 1e-3


@every_case
def test_bfloat16_inside_is_float32_outside(case):
    net = made(case)
    x_t, t, cond = inputs(case)
    with torch.no_grad():
        exact = net(x_t, t, cond)
        with torch.autocast("cpu", torch.bfloat16):
            rough = net(x_t, t, cond)
    for part in rough.values() if isinstance(rough, dict) else [rough]:
        assert part.dtype == torch.float32
    error = (flat(rough) - flat(exact)).square().mean().sqrt()
    assert 0 < float(error) < 0.05 * float(flat(exact).square().mean().sqrt())


@every_case
def test_forward_mode_derivative_in_time_is_the_slope(case):
    net = made(case, two_times=True).double()
    x_t, t, cond = inputs(case)
    x_t = (
        {n: v.double() if v.is_floating_point() else v for n, v in x_t.items()}
        if isinstance(x_t, dict)
        else x_t.double()
    )
    t, step = 0.1 + 0.8 * t.double(), 1e-5

    def answer(time):
        return flat(net(x_t, time, cond, 0.5 * t))

    with torch.no_grad():
        _, slope = torch.func.jvp(answer, (t,), (torch.ones_like(t),))
        measured = (answer(t + step) - answer(t - step)) / (2 * step)
    assert float((slope - measured).abs().max()) < 1e-5 * (1 + float(slope.abs().max()))


@every_case
def test_learns_the_sign_of_a_class(case):
    """Planted: the answer is +1 or -1 by class. Without the condition the loss can't go below 1."""
    given = {"label": GIVEN["label"]}
    net = made(case, wild=False, given=given)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    x_t, t, _ = inputs(case, batch=32)
    label = torch.arange(32) % 2
    for _ in range(60):
        answer = net(x_t, t, {"label": label})
        answer = answer["num"] if isinstance(answer, dict) else answer
        want = (2.0 * label - 1).view(-1, *(1,) * (answer.ndim - 1))
        loss = (answer - want).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.3


def test_every_condition_type_is_in_the_laws():
    kinds = {spec["type"] for spec in given_of("mlp").values()}
    assert kinds == {"class", "classes", "number", "text", "tensor", "state"}
    assert Conditions(given_of("mlp"), 8, tokens=True).tokens
