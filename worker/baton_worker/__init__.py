"""Keeps a worker registered with a baton control plane: see Worker."""

from .config import Config, ConfigError
from .session import State
from .tls import Tls
from .worker import Worker

__all__ = ["Config", "ConfigError", "State", "Tls", "Worker"]
__version__ = "0.2.0-dev"
