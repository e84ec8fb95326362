"""SDV's synthesizers on a table, their defaults: GaussianCopula, CTGAN, TVAE.

The networks train until the CPU-seconds are spent, where their default is 300 epochs: the progress
bar of their loop ends it, the loop itself is theirs.
"""

from __future__ import annotations

import warnings

from benchmarks.contestants.child import Child, until

child = Child()
warnings.filterwarnings("ignore")
with child.phase("import"):
    import ctgan.synthesizers.ctgan as gan
    import ctgan.synthesizers.tvae as vae
    import numpy as np
    import pandas as pd
    import torch
    from sdv.metadata import Metadata
    from sdv.single_table import CTGANSynthesizer, GaussianCopulaSynthesizer, TVAESynthesizer

torch.set_num_threads(child.asked["threads"])
torch.manual_seed(child.asked["seed"])
np.random.seed(child.asked["seed"])
rows = pd.read_csv(child.asked["train"])
described = Metadata.load_from_dict(
    {
        "tables": {
            "rows": {
                "columns": {
                    name: {
                        "sdtype": "categorical"
                        if name in child.asked["categories"]
                        else "numerical"
                    }
                    for name in rows.columns
                }
            }
        }
    }
)
method = child.asked["method"]
with child.phase("fit"):
    if method == "copula":
        model = GaussianCopulaSynthesizer(described)
    else:
        gan.tqdm = vae.tqdm = until(child.asked["budget"])
        make = CTGANSynthesizer if method == "ctgan" else TVAESynthesizer
        model = make(described, epochs=1_000_000)
    model.fit({"rows": rows})
with child.phase("sample"):
    drawn = model.sample(child.asked["rows"])
with child.phase("bulk"):
    model.sample(child.asked["bulk"])
drawn["rows"].to_csv(f"{child.asked['folder']}/drawn.csv", index=False)
child.answer("sdv", "ctgan", "copulas", "torch")
