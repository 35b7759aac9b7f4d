"""The commands of ``fastnn``, a module each: `add` gives argparse its flags and the function that runs it."""

from . import diagnose, gradcheck, info, lesson, train

COMMANDS = (train, diagnose, info, gradcheck, lesson)  # as ``fastnn --help`` lists them
