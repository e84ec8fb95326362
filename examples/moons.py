"""Learn two moons, condition on which moon, and judge: half a minute on a laptop."""

import numpy as np

import unfog


def moons(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, 2) points on two half circles with noise, and which moon each is on."""
    rng = np.random.default_rng(seed)
    moon = rng.integers(0, 2, count)
    angle = np.pi * rng.random(count)
    x = np.stack([np.cos(angle), np.sin(angle)], 1)
    x[moon == 1] = [1.0, 0.5] - x[moon == 1]
    return x + 0.06 * rng.normal(size=x.shape), moon


def main() -> None:
    x, moon = moons(4000, seed=0)
    np.savez("moons.npz", data=x, moon=moon)
    model = unfog.fit("moons.npz", given="moon", budget="20s", reading={"key": "data"})
    samples = model.sample(1000, given={"moon": [i % 2 for i in range(1000)]})
    samples.look("moons.png")
    print(model.evaluate())


if __name__ == "__main__":
    main()
