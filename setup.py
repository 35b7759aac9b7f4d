"""Build the compiled core: csrc/kernels.c once for each instruction set, everything else once.

Everything that is plain data stands in pyproject.toml. Environment variables:

FASTNN_REQUIRE_NATIVE=1  fail where the core cannot be compiled, instead of installing without it
FASTNN_ISAS=LIST         build for these instruction sets (avx2,avx512) beside the baseline, not for all
FASTNN_DEBUG=1           -O1 -g, assertions in the kernels
FASTNN_SANITIZE=LIST     -fsanitize=LIST (address,undefined, or thread, whose teams are plain pthreads), with
                         FASTNN_DEBUG's flags; tests/sanitize.py runs the tests on such a core
CC, CFLAGS, LDFLAGS      as usual

``python setup.py build_ext --inplace`` compiles only what changed since the last time.
"""

import copy
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy
from Cython.Build import cythonize
from setuptools import Extension, errors, setup
from setuptools.command.build_ext import build_ext


class Isa(NamedTuple):
    """An instruction set that kernels.c is compiled for."""

    name: str
    vector_bytes: int
    flags: tuple[str, ...]
    macro: str | None  # defined by compilers whose target may have it; None: every target has it


ISAS = (
    Isa("baseline", 16, (), None),  # SSE2 on x86-64, NEON on Arm
    Isa("avx2", 32, ("-mavx2", "-mfma"), "__x86_64__"),
    Isa("avx512", 64, ("-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mavx2", "-mfma",
                       "-mprefer-vector-width=512"), "__x86_64__"),
)

ONLY = os.environ.get("FASTNN_ISAS")
DEBUG = os.environ.get("FASTNN_DEBUG", "0") != "0" or "FASTNN_SANITIZE" in os.environ
SANITIZE = [f"-fsanitize={os.environ['FASTNN_SANITIZE']}"] if os.environ.get("FASTNN_SANITIZE") else []
OPTIMIZE = ["-O1", "-g", "-fno-omit-frame-pointer", "-UNDEBUG"] if DEBUG else ["-O3", "-g0", "-DNDEBUG"]
PTHREADS = os.environ.get("FASTNN_SANITIZE") == "thread"  # ThreadSanitizer does not see how OpenMP's threads meet
MACROS = [("FNN_PTHREADS", "1")] if PTHREADS else []

# Python's own flags come first, hence -fno-wrapv: the core's index arithmetic never wraps.
CORE_FLAGS = [*OPTIMIZE, *SANITIZE, "-std=gnu11", "-fno-math-errno", "-fno-trapping-math",
              "-ffp-contract=fast", "-fno-wrapv", "-fvisibility=hidden", "-Wall", "-Wextra"]
BINDING_FLAGS = [*OPTIMIZE, *SANITIZE, "-fvisibility=hidden"]

# Compile flags and link flags, tried in this order; the core also builds without any.
OPENMP = ((["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"]))

CSRC = Path("csrc")
PLAIN = ("dispatch.c", "executor.c", "arrays.c", "team.c")  # compiled once, without an instruction set's flags
# kernels.c sees every file; the others see the headers and the tables only.
HEADERS = sorted(str(p) for p in CSRC.glob("*") if p.suffix in (".h", ".def"))
INCLUDES = sorted(str(p) for p in CSRC.glob("*.inc"))

NO_CORE = """\
WARNING: fastnn's compiled core could not be built, so this installation runs on NumPy alone: \
everything works, but many times slower. The reason: {reason}. To get the core, install a C compiler \
(Debian and Ubuntu: apt install gcc libc6-dev; Fedora: dnf install gcc; macOS: xcode-select --install) \
and install fastnn again with pip's --no-cache-dir. With FASTNN_REQUIRE_NATIVE=1 in the environment \
this is an error, and pip shows the compiler's messages."""


class BuildCore(build_ext):
    """Compile each instruction set's object into a folder of its own, then link them all."""

    def build_extension(self, ext):
        module = Path(self.get_ext_fullpath(ext.name))
        notice = module.with_name("_native_missing.txt")  # for `fastnn info`: pip hides warnings
        try:
            notice.unlink(missing_ok=True)
            self.find_compiler()
            compile_openmp, link_openmp = self.find_openmp()
            linked = copy.copy(ext)
            linked.sources = []
            linked.depends = linked.extra_objects = self.compile_objects(ext, compile_openmp)
            linked.extra_link_args = [*ext.extra_link_args, *SANITIZE, *link_openmp]
            super().build_extension(linked)
        except (errors.BaseError, errors.CCompilerError, OSError) as error:
            if os.environ.get("FASTNN_REQUIRE_NATIVE", "0") != "0":
                raise
            reason = str(error).strip().rstrip(".")
            print(f"\n{NO_CORE.format(reason=reason)}\n", file=sys.stderr)
            ext.optional = True
            module.unlink(missing_ok=True)  # one from an earlier build
            notice.parent.mkdir(parents=True, exist_ok=True)
            notice.write_text(reason + "\n")

    def find_compiler(self):
        """Refuse compilers that lack vector extensions; replace a missing one that nobody asked for."""
        if self.compiler.compiler_type == "msvc":
            raise errors.PlatformError("the core needs GCC or Clang, not MSVC")
        wanted = self.compiler.compiler_so[0]
        if shutil.which(wanted):
            return
        others = () if "CC" in os.environ else ("cc", "gcc", "clang")
        found = next(filter(shutil.which, others), None)
        if found is None:
            raise errors.CompileError(f"no C compiler was found ({wanted} is not on PATH)")
        for command in (self.compiler.compiler, self.compiler.compiler_so, self.compiler.linker_so):
            command[0] = found

    def accepts(self, code, flags):
        """Whether `code` compiles and links into a module with `flags`; silently."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(code)
            files = [str(source), "-o", str(Path(folder, "probe"))]
            command = [*self.compiler.linker_so, "-fPIC", *files, *flags]
            return subprocess.run(command, capture_output=True).returncode == 0

    def find_openmp(self):
        """Return the compile flags and the link flags, both empty where there is no OpenMP, or none is wanted."""
        code = "#include <omp.h>\nint f(void) { return omp_get_max_threads(); }\n"
        if PTHREADS:
            return [], []
        for compile_flags, link_flags in OPENMP:
            if self.accepts(code, [*compile_flags, *link_flags]):
                return compile_flags, link_flags
        print("fastnn: this compiler has no OpenMP, so the core will run on one thread", file=sys.stderr)
        return [], []

    def find_isas(self):
        """Return the rows of `ISAS` that are wanted and that this compiler can build for its target."""
        code = "#ifndef {0}\n#error\n#endif\nint f(void) {{ return 0; }}\n"
        wanted = [isa for isa in ISAS if isa.macro is None or ONLY is None or isa.name in ONLY.split(",")]
        return [isa for isa in wanted if isa.macro is None or self.accepts(code.format(isa.macro), isa.flags)]

    def compile_objects(self, ext, openmp):
        """Compile what is out of date, several files at a time, and return all object files."""
        isas = self.find_isas()
        print("fastnn: building the core for", ", ".join(isa.name for isa in isas))
        have = [(f"FNN_HAVE_{isa.name.upper()}", "1") for isa in isas]
        flags = [*CORE_FLAGS, *openmp]
        jobs = []
        with ThreadPoolExecutor(self.parallel or os.cpu_count()) as pool:

            def submit(source, folder, *arguments):
                folder = Path(self.build_temp, folder)
                jobs.append(pool.submit(self.compile_object, ext, str(source), folder, *arguments))

            for isa in reversed(isas):  # the slowest to compile first
                macros = [("FNN_ISA", isa.name), ("FNN_VECTOR_BYTES", str(isa.vector_bytes))]
                submit(CSRC / "kernels.c", isa.name, [*flags, *isa.flags], macros, HEADERS + INCLUDES)
            for name in PLAIN:
                submit(CSRC / name, "common", flags, have, HEADERS)
            for source in self.cythonize(ext):  # while the compilers run
                submit(source, "binding", BINDING_FLAGS, [], HEADERS)
        return [job.result() for job in jobs]

    def cythonize(self, ext):
        """Translate _native.pyx, if it changed, into a C file under the build folder."""
        module = Extension(ext.name, [source for source in ext.sources if source.endswith(".pyx")])
        (translated,) = cythonize(module, build_dir=self.build_temp, force=bool(self.force), language_level=3)
        return translated.sources

    def compile_object(self, ext, source, folder, flags, macros, depends):
        """Compile one file, unless its object is newer than all it depends on and its flags are the same."""
        (target,) = self.compiler.object_filenames([source], output_dir=str(folder))
        record = Path(target + ".flags")
        command = repr((self.compiler.compiler_so, ext.define_macros, flags, macros, numpy.__version__))
        inputs = [source, *depends]
        if (
            not self.force
            and record.exists()
            and record.read_text() == command
            and Path(target).stat().st_mtime > max(Path(path).stat().st_mtime for path in inputs)
        ):
            return target
        record.unlink(missing_ok=True)
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        start = time.time()
        try:
            self.compiler.compile([source], str(folder), macros=[*ext.define_macros, *macros],
                                  include_dirs=ext.include_dirs, extra_postargs=flags)
        except errors.CompileError as error:
            reason = f"{source} did not compile, see the compiler's messages above"
            raise errors.CompileError(reason) from error
        os.utime(target, (start, start))  # a file saved while the compiler ran counts as newer
        record.write_text(command)
        return target


native = Extension(
    "fastnn._native",
    ["src/fastnn/_native.pyx", *(str(CSRC / name) for name in ("kernels.c", *PLAIN))],
    include_dirs=[str(CSRC), numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"), *MACROS],
    extra_link_args=["-pthread", "-Wl,-Bsymbolic"] if sys.platform.startswith("linux") else [],
    libraries=[] if sys.platform == "win32" else ["m"],
    depends=HEADERS + INCLUDES,
)

setup(ext_modules=[native], cmdclass={"build_ext": BuildCore})
