"""The binding's types are in _native.pyx and backends/native.py; to a type checker it is opaque."""

from typing import Any

def __getattr__(name: str) -> Any: ...
