"""The commands of ``fastnn``, a module each: `add` gives argparse its flags and the function that runs it."""

from . import bench, diagnose, evaluate, gradcheck, info, lesson, predict, train

COMMANDS = (train, evaluate, predict, diagnose, info, gradcheck, lesson, bench)  # as ``fastnn --help`` lists them
