"""`megatron-recipes convert import | export`."""

import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from megatron_recipes.convert.allocator import give_large_blocks_back
from megatron_recipes.convert.hf_model import ImportOptions, read_hf_model, settings_that_differ
from megatron_recipes.job import MisuseError, resolve_config
from megatron_recipes.run_directory import find_checkpoint

DTYPE_NAMES = ("float32", "bfloat16", "float16")
WEIGHTS = ("model", "master")
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}

Reporting = Callable[..., AbstractContextManager[None]]
HfDirectory = Annotated[Path, typer.Argument(metavar="HF_DIR", show_default=False)]
CheckpointPath = Annotated[Path, typer.Argument(metavar="CKPT", show_default=False)]
Dtype = Annotated[
    str, typer.Option(help="Change the weights to float32, bfloat16 or float16; else they stay.")
]
Verify = Annotated[
    bool, typer.Option("--verify/--no-verify", help="Read what was written; compare every tensor.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Add the traceback to an error.")]


def convert_app(reporting: Reporting) -> typer.Typer:
    """Return the commands.

    Args:
        reporting: Turns an error into one line and an exit status.
    """
    app = typer.Typer(
        help="Hugging Face models to checkpoints, and checkpoints to Hugging Face models.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @app.command("import")
    def import_(
        hf_dir: HfDirectory,
        ckpt: CheckpointPath,
        recipe: Annotated[
            str, typer.Option(help="Refuse a model that is not the one of this recipe.")
        ] = "",
        dtype: Dtype = "",
        vocab_size: Annotated[
            int, typer.Option(help="Rows of the tables, with those of added tokens.")
        ] = 0,
        make_vocab_size_divisible_by: Annotated[
            int, typer.Option(help="Pad the rows to a multiple; 0: the recipe's, else 128.")
        ] = 0,
        tokenizer: Annotated[
            Path | None, typer.Option(help="A tokenizer other than the one in HF_DIR.")
        ] = None,
        verify: Verify = True,
        verbose: Verbose = False,
    ) -> None:
        """Write the weights in HF_DIR (Llama, Mistral, Qwen 2.5) as a checkpoint in CKPT."""
        with reporting("convert import", verbose=verbose):
            wanted = resolve_config(recipe, []).model if recipe else None
            divisor = wanted.make_vocab_size_divisible_by if wanted else 128
            options = ImportOptions(
                dtype=_dtype(dtype),
                vocab_size=vocab_size,
                make_vocab_size_divisible_by=make_vocab_size_divisible_by or divisor,
                tokenizer=tokenizer,
                verify=verify,
            )
            hf = read_hf_model(hf_dir, options)
            differing = settings_that_differ(hf.model, wanted) if wanted else []
            if differing:
                raise ValueError(
                    f"{hf_dir} is not the model of {recipe}: {', '.join(differing)}; leave out "
                    "--recipe, and train with --set for each"
                )
            from megatron_recipes.convert.importing import import_checkpoint

            give_large_blocks_back()
            typer.echo(import_checkpoint(hf, ckpt, options, _tell).path)

    @app.command("export")
    def export(
        ckpt: CheckpointPath,
        hf_dir: HfDirectory,
        max_shard_size: Annotated[
            str, typer.Option(help="Most bytes of tensors in a file, such as 5GB or 512MiB.")
        ] = "5GB",
        dtype: Dtype = "",
        weights: Annotated[
            str,
            typer.Option(
                help="model: as the training computes with them; master: as its optimizer keeps "
                "them. Default: master where it keeps the model's in FP8, else model."
            ),
        ] = "",
        hf: Annotated[
            Path | None,
            typer.Option(
                help="A directory with the config and tokenizer that the model is to have."
            ),
        ] = None,
        verify: Verify = True,
        verbose: Verbose = False,
    ) -> None:
        """Write the weights of CKPT, saved at any layout, as a model in HF_DIR."""
        with reporting("convert export", verbose=verbose):
            max_bytes, dtype = _bytes(max_shard_size), _dtype(dtype)
            if weights and weights not in WEIGHTS:
                raise MisuseError(f"--weights takes {', '.join(WEIGHTS)}, not {weights!r}")
            checkpoint = find_checkpoint(ckpt, asked_by="")
            from megatron_recipes.convert.exporting import ExportOptions, export_checkpoint

            options = ExportOptions(
                max_shard_bytes=max_bytes, dtype=dtype, weights=weights, hf=hf, verify=verify
            )
            give_large_blocks_back()
            typer.echo(export_checkpoint(checkpoint, hf_dir, options, _tell))

    return app


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _dtype(name: str) -> str:
    if name and name not in DTYPE_NAMES:
        raise MisuseError(f"--dtype takes {', '.join(DTYPE_NAMES)}, not {name!r}")
    return name


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?B)?", text.strip().upper())
    number = int(float(match[1]) * _UNITS[match[2] or ""]) if match else 0
    if number <= 0:
        raise MisuseError(f"--max-shard-size takes bytes, or such as 5GB or 512MiB, not {text!r}")
    return number
