"""Nets: `net(x_t, t, cond=None, s=None) -> output`. They know shapes, and nothing of paths."""

from unfog.nets.conditions import Conditions, Embedded, dropout, null
from unfog.nets.dit import DiT
from unfog.nets.mlp import MLP
from unfog.nets.registry import nets
from unfog.nets.rnn import RNN
from unfog.nets.sets import Points, Sets
from unfog.nets.table import TableNet
from unfog.nets.unet import UNet

__all__ = [
    "MLP",
    "RNN",
    "Conditions",
    "DiT",
    "Embedded",
    "Points",
    "Sets",
    "TableNet",
    "UNet",
    "dropout",
    "nets",
    "null",
]
