"""The text of gallery.md, around the pictures and figures of `make_gallery.py`."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

ABOUT = {
    "fashion": (
        "Fashion-MNIST",
        "Han Xiao et al., Zalando SE, MIT licence; 30 000 training images of 28×28 pixels, edited: of "
        "the 10 000 test images. `unfog fit train.npz --given label --budget 5m`, a perceptron on 256 "
        "principal components, one thread of a shared CPU.",
        "Class 8 is bags. Right in outline, coarse in texture: fine cloth becomes specks. **Out-painting is bad** and "
        "can't be otherwise: every training image fills its frame, so the model adds a second sole or "
        "collar where nothing should be. Where nothing known touches an object (the sandal behind the "
        "square) it may be left out. Between items that share no shape the way passes through "
        "cross-fades.",
    ),
    "cifar": (
        "CIFAR-10",
        "Alex Krizhevsky 2009, no licence stated; JPEG copies, 20 000 training images of 32×32 "
        "pixels, edited: of the 2000 test images. `unfog fit train.zip --given label --budget 8m`, a "
        "U-Net on wavelets, one thread of a shared CPU.",
        "What is pinned down all over the picture (scattered pixels, checks, lines, ×2, blur, noise) comes "
        "back well. **What is not is bad**: eight minutes of one thread teach colours and textures, not "
        "objects, so samples of strength 1 show none, variations from 0.6 on and other classes dissolve the "
        "object, a missing half is continued in colour and not in shape, and translation hardly changes "
        "more than the tint. Interpolations are near to cross-fades. The noise that items come from has a "
        "deviation of 0.81 where it should have 1: the net has not learnt its data's spread.",
    ),
    "flowers": (
        "Flowers",
        "Nilsback and Zisserman's Oxford flowers by way of a class-room repository, no licence "
        "stated; 200 training images of 14 species at 32×32 pixels, edited: of the test images. "
        "`unfog fit flowers --given label --size 32 --budget 4m --from runs/cifar`.",
        "Species mean colour and outline to this model: with 200 pictures it is better at them than at "
        "CIFAR-10's objects, and out-painting into grass and shade works. **Bad**: texture turns to specks from "
        "strength 0.6 on; the daisy loses its yellow heart where it is hidden; translation to sunflower "
        "burns in saturated yellow or does nothing.",
    ),
}
SHEETS = (
    (
        "inpaint",
        "In-painting under five masks; grey is unknown, the known pixels come out bit-equal",
        "unfog fill RUN photos/ -o out --keep left",
    ),
    (
        "restore",
        "Super-resolution ×2 and ×4, deblurring (1.5 pixels), denoising (0.3)",
        "unfog edit RUN small/ -o out --task enlarge",
    ),
    (
        "outpaint",
        "Out-painting by a quarter at each side",
        "unfog edit RUN photos/ -o out --task outpaint --grow 0.25",
    ),
    (
        "vary",
        "Variations by strength, as another class (guidance 3), translated through the noise",
        "unfog edit RUN photos/ -o out --task vary --strength 0.6 --given label=LABEL --scale 3",
    ),
    (
        "between",
        "Interpolation; the outermost pictures are the items, bit-equal",
        "unfog edit RUN photos/ -o out --task interpolate --frames 8",
    ),
)


def page(told: dict[str, Any], count: int) -> str:
    """gallery.md, from the figures of all data sets that were made."""
    lines = [
        "# Gallery",
        "",
        "Every edit of [](edit.md) on held-out images, by models that the main job trained for minutes "
        "on a CPU. Made by `python docs/make_gallery.py DATA RUNS`: one command line per row, the "
        "first seed, nothing picked. What is bad is said below the pictures.",
        "",
    ]
    for name, (title, source, said) in ABOUT.items():
        if name in told:
            lines += [
                f"## {title}",
                "",
                source,
                "",
                *sheets(name),
                *numbers(told[name], count),
                said,
                "",
            ]
    return "\n".join(lines + scales(told["guidance"])) + "\n"


def sheets(name: str) -> list[str]:
    lines = []
    for kind, caption, command in SHEETS:
        lines += [f"{caption}:", "", "```sh", command, "```", ""]
        lines += [f"![{caption}](pictures/gallery/{name}_{kind}.png)", ""]
    return lines


def numbers(told: dict[str, Any], count: int) -> list[str]:
    """One draw against the item, beside what costs nothing."""
    lines = [
        f"Root mean square error of one draw over {count} images, pixels from 0 to 255, of "
        "in-painting over the unknown pixels; beside it the known pixels' mean, bicubic enlargement, "
        "the blurred and the noisy image themselves. A draw is a guess with all its texture, not a "
        "mean: an honest one errs by 1.4 times what the mean of many does, which is why ×2 and ×4 can be behind bicubic enlargement here and still be the sharper picture.",
        "",
        "| task | draw | without a model |",
        "|---|---|---|",
    ]
    rows = [*((f"in-painting, known `{k}`", v) for k, v in told["inpaint"].items())]
    rows += list(told["restore"].items())
    lines += [f"| {task} | {draw:.1f} | {plain:.1f} |" for task, (draw, plain) in rows]
    return [
        *lines,
        f"| noise and back (`encode`, `decode`) | {told['round_trip']:.2f} | |",
        "",
    ]


def scales(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Guidance scale",
        "",
        "Fashion-MNIST, 500 samples per scale, 50 a class. Hit-rate: a support vector machine that "
        "was fitted to 8000 real training images finds the class that was asked for. Diversity: mean "
        "pixel distance of two samples of a class, relative to two real test images of it.",
        "",
        "![Hit-rate and diversity by guidance scale](pictures/gallery/guidance.png)",
        "",
        "| scale | hit-rate | diversity |",
        "|---|---|---|",
    ]
    lines += [f"| {r['scale']} | {r['hit']:.3f} | {r['diversity']:.2f} |" for r in rows]
    return lines
