"""The training doctor: why a network does not learn, in words and numbers."""

from .findings import RULES, Evidence, Finding, Found, Outcome, Rule, examine, rule
from .measuring import LayerFigures, Measurement, Probe
from .monitor import Monitor
from .report import Diagnosis, diagnose
from .sanity import SanityItem, SanityReport, sanity_check

__all__ = ["RULES", "Diagnosis", "Evidence", "Finding", "Found", "LayerFigures", "Measurement", "Monitor",
           "Outcome", "Probe", "Rule", "SanityItem", "SanityReport", "diagnose", "examine", "rule",
           "sanity_check"]
