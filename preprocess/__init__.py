"""Raw data to Megatron's indexed dataset: one module and one subcommand a stage."""
