"""Changes of coordinates between codec and path: latent diffusion is a space, nothing more.

space = spaces.fit("pca", x, components=64)
u = space.into(x)          # what the path noises and the net sees
x = space.back(u)          # what the codec decodes
"""

from unfog.model.spaces.identity import Identity
from unfog.model.spaces.pca import Principal
from unfog.model.spaces.space import Space, build, fit, spaces
from unfog.model.spaces.wavelet import Wavelet

__all__ = ["Identity", "Principal", "Space", "Wavelet", "build", "fit", "spaces"]
