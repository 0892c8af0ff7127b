"""thalweg: scientific machine learning that obeys its laws. This is the public API, and nothing else.

Beside the names below, a plugin may use what these modules export: `boundaries` (files and servers that may fail),
`credentials` (what must not be shown), `quantities` (units, latitudes and longitudes) and `stores` (small files).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
