"""Configuration: in come the environment and at most one TOML file, out go checked, typed `Settings`."""

from __future__ import annotations

from torkd.settings.addresses import split_address
from torkd.settings.model import Settings
from torkd.settings.origins import Origin
from torkd.settings.reading import Loaded, load_settings
from torkd.settings.rendering import render_config, settings_table
from torkd.settings.sizes import format_size, parse_size

__all__ = [
    "Loaded",
    "Origin",
    "Settings",
    "format_size",
    "load_settings",
    "parse_size",
    "render_config",
    "settings_table",
    "split_address",
]
