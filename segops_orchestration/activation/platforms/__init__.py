"""The platforms, by type. A new one is one module here and one line below."""

from __future__ import annotations
