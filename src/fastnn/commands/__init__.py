"""The commands of ``fastnn``, a module each: `add` gives argparse its flags and the function that runs it."""

from . import diagnose, gradcheck, info, train

COMMANDS = (train, diagnose, info, gradcheck)  # as ``fastnn --help`` lists them
