"""The commands of ``fastnn``, a module each: `add` gives argparse its flags and the function that runs it."""

from . import bench, diagnose, evaluate, gradcheck, info, lesson, predict, report, train

# as ``fastnn --help`` lists them
COMMANDS = (train, evaluate, predict, report, diagnose, info, gradcheck, lesson, bench)
