"""The domain: what an event is, by platform, and how one is validated."""

from shared.events.platform import DemographicsPaths, Envelope, Platform, RevenuePaths
from shared.events.registry import REGISTRY, Registry
from shared.events.validation import EventValidator, Problem, Rejection, Valid

SOURCES = REGISTRY.sources

__all__ = [
    "REGISTRY",
    "SOURCES",
    "DemographicsPaths",
    "Envelope",
    "EventValidator",
    "Platform",
    "Problem",
    "Registry",
    "Rejection",
    "RevenuePaths",
    "Valid",
]
