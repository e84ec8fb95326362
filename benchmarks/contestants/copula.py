"""A Gaussian copula with empirical marginals: the baseline that unfog ships. It costs nothing."""

from __future__ import annotations

from benchmarks.contestants.child import Child

child = Child()
with child.phase("import"):
    from unfog.judge.baselines.copula import gaussian_copula
    from unfog.kinds.table.back import give_back
    from unfog.kinds.table.read import read

items = read(child.asked["train"])
with child.phase("sample"):  # it is fitted and drawn in one call
    drawn = gaussian_copula(items.data, child.asked["rows"], child.asked["seed"])
with child.phase("bulk"):
    gaussian_copula(items.data, child.asked["bulk"], child.asked["seed"])
give_back(drawn, items.origin).to_csv(f"{child.asked['folder']}/drawn.csv", index=False)
child.answer("numpy", fit_cpu=0.0)
