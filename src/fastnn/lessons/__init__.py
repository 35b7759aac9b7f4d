"""Lessons: what the course notes claim, as experiments that run here; ``fastnn lesson NAME``."""

from . import (
    activations,
    adversaries,
    batches,
    divergence,
    gradcheck,
    initial_weights,
    inputs,
    optimizers,
    overfitting,
    recurrent,
    saddle,
    schedules,
    search,
    slowdown,
    softmax,
    transfer,
    universality,
    vanishing,
)
from .base import Done, Lesson, Results, find, registry

LESSONS = registry([module.LESSON for module in (
    slowdown, softmax, divergence, overfitting, initial_weights, vanishing, recurrent, gradcheck, inputs, batches,
    optimizers, schedules, universality, activations, search, saddle, adversaries, transfer)])

__all__ = ["LESSONS", "Done", "Lesson", "Results", "find"]
