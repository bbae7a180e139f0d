"""`python -m megatron_recipes` is the command `megatron-recipes`."""

from megatron_recipes.cli import main

if __name__ == "__main__":
    main()
