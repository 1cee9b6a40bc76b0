"""Safelight beside its peers: ten rows, on the same graphs or weights, precision and seeds, interleaved."""

import safelight_server  # noqa: F401 - first: the peers' processes then send no reports of their use, as ours send none
