"""The networks of one model, and the names that its graphs' inputs and outputs go by."""

from __future__ import annotations

from typing import NamedTuple

from safelight_server.lanes.network import Network

from .text_encoder import TextEncoder

# DeepCache: an output that the whole UNet has beside the noise prediction, and an input of the shallow one.
FEATURE = "deep_feature"


class Networks(NamedTuple):
    """Those that a model has not are None."""

    encoders: tuple[TextEncoder, ...]
    unet: Network
    shallow_unet: Network | None  # the UNet's outermost layers, on the FEATURE that the whole one gave
    vae_encoder: Network
    vae_decoder: Network
    tiny_decoder: Network | None

    def all(self) -> list[Network]:
        rest = (self.unet, self.shallow_unet, self.vae_encoder, self.vae_decoder, self.tiny_decoder)
        return [encoder.network for encoder in self.encoders] + [network for network in rest if network is not None]
