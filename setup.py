"""Builds the one C extension; everything else is in pyproject.toml.

SAFELIGHT_SANITIZE=1 builds it with the address and undefined-behaviour sanitizers.
"""

import os

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g", "-O1"]
# No fused multiply-adds: NumPy then gives the same bits. Traps and errno hold back vector code and change no value.
FLAGS = {
    "unix": ["-std=c11", "-O3", "-Wall", "-Wextra", "-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno"],
    "msvc": ["/std:c11", "/O2", "/W3", "/fp:precise"],  # which contracts nothing, as long as no /arch says AVX2 or more
}
FLAGS["mingw32"] = FLAGS["cygwin"] = FLAGS["unix"]


class Build(build_ext):
    """The flags are those of the compiler that is found."""

    def build_extension(self, extension: Extension) -> None:
        extension.extra_compile_args = FLAGS.get(self.compiler.compiler_type, [])
        if os.environ.get("SAFELIGHT_SANITIZE") and self.compiler.compiler_type == "unix":
            extension.extra_compile_args = extension.extra_compile_args + SANITIZE
            extension.extra_link_args = SANITIZE
        super().build_extension(extension)


setup(
    cmdclass={"build_ext": Build},
    ext_modules=[
        Extension(
            "safelight_server.pixels._native",
            ["server/safelight_server/pixels/_native.c"],
            depends=["server/safelight_server/pixels/_arguments.h", "server/safelight_server/pixels/_loops.h"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            optional=True,  # without a compiler the NumPy twin draws the same pictures
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
