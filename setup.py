"""Builds the one C extension; everything else is in pyproject.toml.

SAFELIGHT_SANITIZE=1 builds it with the address and undefined-behaviour sanitizers.
"""

import os

from setuptools import Extension, setup

flags = ["-std=c11", "-O3", "-Wall", "-Wextra"]
# No fused multiply-adds: NumPy then gives the same bits. Traps and errno hold back vector code and change no value.
flags += ["-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno"]
sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g", "-O1"]
sanitize = sanitize if os.environ.get("SAFELIGHT_SANITIZE") else []

setup(
    ext_modules=[
        Extension(
            "safelight_server.pixels._native",
            ["server/safelight_server/pixels/_native.c"],
            depends=["server/safelight_server/pixels/_arguments.h", "server/safelight_server/pixels/_loops.h"],
            extra_compile_args=flags + sanitize,
            extra_link_args=sanitize,
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            optional=True,  # without a compiler the NumPy twin draws the same pictures
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
