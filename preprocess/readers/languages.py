"""Which programming language a file is in, by its name or its first line."""

import re
from pathlib import PurePosixPath

_EXTENSIONS = {
    "Ada": "adb ads",
    "Assembly": "asm s",
    "Awk": "awk",
    "Batch": "bat cmd",
    "C": "c",
    "C#": "cs",
    "C++": "cc cpp cxx c++ hh hpp hxx inl ipp",
    "C/C++ header": "h",
    "CMake": "cmake",
    "CUDA": "cu cuh",
    "Clojure": "clj cljs cljc",
    "Common Lisp": "lisp lsp",
    "Crystal": "cr",
    "Cython": "pyx pxd pxi",
    "D": "d",
    "Dart": "dart",
    "Elixir": "ex exs",
    "Elm": "elm",
    "Emacs Lisp": "el",
    "Erlang": "erl hrl",
    "F#": "fs fsi fsx",
    "Fortran": "f f77 f90 f95 f03 f08 for",
    "GLSL": "glsl vert frag",
    "Go": "go",
    "GraphQL": "graphql gql",
    "Groovy": "groovy gradle",
    "HLSL": "hlsl",
    "Haskell": "hs",
    "JavaScript": "js mjs cjs jsx",
    "Java": "java",
    "Julia": "jl",
    "Kotlin": "kt kts",
    "Lua": "lua",
    "MLIR": "mlir",
    "Makefile": "mk mak",
    "Meson": "meson",
    "Metal": "metal",
    "Nim": "nim",
    "Nix": "nix",
    "OCaml": "ml mli",
    "Objective-C": "m",
    "Objective-C++": "mm",
    "OpenCL": "cl",
    "PHP": "php",
    "Pascal": "pas",
    "Perl": "pl pm",
    "PowerShell": "ps1 psm1",
    "Prolog": "pro",
    "Protocol Buffers": "proto",
    "Python": "py pyi pyw",
    "R": "r",
    "Racket": "rkt",
    "Ruby": "rb",
    "Rust": "rs",
    "SQL": "sql",
    "Scala": "scala",
    "Scheme": "scm ss",
    "Shell": "sh bash zsh ksh fish csh",
    "Solidity": "sol",
    "Starlark": "bzl star",
    "Swift": "swift",
    "TableGen": "td",
    "Tcl": "tcl",
    "Terraform": "tf",
    "Thrift": "thrift",
    "TypeScript": "ts tsx mts cts",
    "VHDL": "vhd vhdl",
    "Verilog": "v sv svh",
    "Vim script": "vim",
    "Visual Basic": "vb",
    "WebAssembly": "wat",
    "XSLT": "xslt xsl",
    "Zig": "zig",
}
_BY_EXTENSION = {
    f".{extension}": language
    for language, extensions in _EXTENSIONS.items()
    for extension in extensions.split()
}
_BY_NAME = {
    "build": "Starlark",
    "build.bazel": "Starlark",
    "cmakelists.txt": "CMake",
    "containerfile": "Dockerfile",
    "dockerfile": "Dockerfile",
    "gemfile": "Ruby",
    "gnumakefile": "Makefile",
    "jenkinsfile": "Groovy",
    "justfile": "Just",
    "makefile": "Makefile",
    "meson.build": "Meson",
    "rakefile": "Ruby",
    "vagrantfile": "Ruby",
    "workspace": "Starlark",
}
_INTERPRETERS = {
    "awk": "Awk",
    "bash": "Shell",
    "csh": "Shell",
    "dash": "Shell",
    "fish": "Shell",
    "gawk": "Awk",
    "julia": "Julia",
    "ksh": "Shell",
    "lua": "Lua",
    "node": "JavaScript",
    "perl": "Perl",
    "php": "PHP",
    "pypy": "Python",
    "python": "Python",
    "rscript": "R",
    "ruby": "Ruby",
    "sh": "Shell",
    "tclsh": "Tcl",
    "wish": "Tcl",
    "zsh": "Shell",
}


def language_of_name(path: PurePosixPath) -> str | None:
    """Return the language that a file's name tells, else None. Case does not matter."""
    name = path.name.lower()
    return _BY_NAME.get(name) or _BY_EXTENSION.get(path.suffix.lower())


def language_of_shebang(text: str) -> str | None:
    """Return the language of the interpreter that the first line names, else None."""
    line = text.partition("\n")[0]
    if not line.startswith("#!"):
        return None
    # `env` takes options and assignments before the program: "#!/usr/bin/env -S python3 -u".
    words = (word for word in line[2:].split() if not word.startswith("-") and "=" not in word)
    programs = (word.rpartition("/")[2] for word in words)
    program = next((program for program in programs if program != "env"), "")
    return _INTERPRETERS.get(re.sub(r"[\d.]+$", "", program.lower()))
