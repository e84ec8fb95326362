"""The report says what was measured, in one file; its commands make the run again."""

import html.parser
import json
import re
import shlex
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from unfog.cli import run as command
from unfog.model import files
from unfog.tasks.fit import fit
from unfog.tasks.load import load
from unfog.tasks.looks import seen
from unfog.tasks.report.charts import Chart
from unfog.tasks.report.commands import again
from unfog.tasks.report.cost import Cost, cost_of, duration
from unfog.tasks.report.curves import clock
from unfog.tasks.report.sections import commands
from unfog.train.log import read

FLAT = {"br", "img", "meta", "th", "td", "tr", "li", "p", "use", "path", "rect"}
"""Elements that HTML lets one leave open, or that have no end."""


class Balanced(html.parser.HTMLParser):
    """Checks that elements end in the order in which they began, and collects what they refer to."""

    def __init__(self):
        super().__init__()
        self.open, self.refers = [], []

    def handle_starttag(self, tag, attrs):
        self.refers += [v for n, v in attrs if n in ("src", "href", "xlink:href", "srcset")]
        if tag not in FLAT:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in FLAT:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    word = np.where(a + rng.normal(size=200) > 0, "up", "do<wn")
    pd.DataFrame({"a<b>": a.round(3), "b&c": (2 * a + rng.normal(size=200)).round(3), "w": word}).to_csv(
        home / "x.csv", index=False
    )  # fmt: skip
    settings = {"net.width": 16, "net.depth": 1}
    fit(home / "x.csv", out=home / "run", steps=30, batch=32, settings=settings, quiet=True)
    model = load(home / "run")
    model.report()
    return model


def test_the_page_is_one_whole_file_that_asks_for_nothing(run):
    page = (run.folder / "report.html").read_text()
    reader = Balanced()
    reader.feed(page)
    assert reader.open == []
    assert reader.refers
    assert all(ref.startswith(("data:", "#")) for ref in reader.refers)
    assert not re.search(r"<script|@import|url\((?!#)", page)


def test_the_users_own_names_are_text_not_markup(run):
    page = (run.folder / "report.html").read_text()
    for name in ("a<b>", "b&c", "do<wn"):
        assert html.escape(name) in page
    assert "<b>,b" not in page
    assert "do<wn" not in page


def test_somebody_who_reads_the_cards_alone_is_told_in_words(run):
    page = (run.folder / "report.html").read_text()
    assert "of kind table (3 columns)" in page
    card = re.search(r"Is it new\?</b><p>(.*?)</p>", page)[1]
    assert re.match(r"(No sign of copying|Some rows may be copies): \d+ % of samples", card)
    assert "than to a held-out one; by chance 50 % would be." in card


def test_every_figure_is_there_with_its_interval_and_floor(run):
    page = (run.folder / "report.html").read_text()
    judged = files.read_json(run.folder / "evaluation.json")
    for figure in judged["figures"]:
        assert figure["name"] in page
        assert f"{figure['low']:.3g} to {figure['high']:.3g}" in page
        assert f"{figure['floor_low']:.3g} to {figure['floor_high']:.3g}" in page


def test_charts_have_no_colour_of_their_own(run):
    chart = Chart("growth", "step")
    chart.line([0, 1], [1, 2], "one")
    chart.line([0, 1], [2, 1], "other", "#0a0b04")
    drawn = chart.svg()
    assert "var(--first)" in drawn
    assert "var(--second)" in drawn
    assert not re.search(r"#0a0b0\d", drawn)
    assert "#000000" not in drawn.replace("stroke: #000000; stroke-width: 0", "")


def test_steps_are_whole_on_the_axis():
    chart = Chart("two looks", "step")
    chart.line([39, 41], [0, 1], "it")
    assert [tick for tick in chart.axes.get_xticks() if tick % 1] == []


def test_the_commands_make_the_run_again(run, tmp_path, monkeypatch):
    fitting = again(run.config, "run")[0]
    words = shlex.split(fitting.split(" ", 1)[1])
    monkeypatch.chdir(tmp_path)
    assert words[:2] == ["unfog", "fit"]
    assert command(words[1:]) == 0
    twin = load(tmp_path / "run-again")
    assert all(map(torch.equal, run.net.state_dict().values(), twin.net.state_dict().values()))


def test_a_run_that_copying_ended_is_made_again_with_the_steps_it_set_out_for(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32))
    settings = {"net.width": 64, "train.looks": 2}
    one = fit("x.npy", out="one", kind="array", steps=1200, batch=32, settings=settings, quiet=True)
    assert one.config.train.steps < 1200
    looks = seen(one.folder, "clock")
    facts = SimpleNamespace(model=one, log=read(one.folder / "metrics.jsonl"), clock=looks)
    assert clock(facts).count("weights kept") == 1
    line = re.search(r"unfog fit [^\n]*--steps 1200 [^\n]*", commands(facts))[0]
    assert command(shlex.split(html.unescape(line))[1:]) == 0
    twin = load("one-again")
    assert twin.config.train.steps == one.config.train.steps
    assert all(map(torch.equal, one.net.state_dict().values(), twin.net.state_dict().values()))


def test_the_card_carries_the_figures_in_front_matter(run):
    yaml = pytest.importorskip("yaml")
    card = (run.folder / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    judged = files.read_json(run.folder / "evaluation.json")
    metrics = front["model-index"][0]["results"][0]["metrics"]
    assert [m["value"] for m in metrics] == [f["value"] for f in judged["figures"]]
    assert front["library_name"] == "unfog"
    assert str(run.folder.parent) not in card  # where the data lies is nobody's business


def test_cost_is_what_was_logged(run):
    lines = [json.loads(text) for text in (run.folder / "metrics.jsonl").read_text().splitlines()]
    cost = cost_of(lines, "cpu")
    assert cost == Cost(lines[-1]["seconds"], lines[-1]["cpu_seconds"], 0.0)
    assert cost.processor > 0
    assert Cost(3600, 3600, 0).watt_hours == 10
    assert cost_of([], "cpu") is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3.21, "3.21 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (59.99, "60 s")],
)
def test_durations_are_said_in_two_units(seconds, words):
    assert duration(seconds) == words
