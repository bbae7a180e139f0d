"""A plan as jobs of Slurm: `preprocess run PLAN.toml --slurm`, or `slurm/pipeline.sh PLAN.toml`.

| module | is |
|---|---|
| `site` | what a site is like: `slurm/site.env` |
| `resources` | what each stage asks for: `[slurm]` of the plan over the site's defaults |
| `options` | that as options of sbatch |
| `work` | the plan as steps, and what of each is done: from marks and manifests alone |
| `trainings` | the plan's trainings, as `megatron-recipes plan --json` lists them |
| `arrays` | numbers of tasks as arrays that the site takes |
| `scheduler` | the commands of Slurm |
| `submit` | what is missing, submitted behind what it needs |
| `record` | what was submitted, in the run directory |
| `tree`, `status` | what a user sees |

Nothing of it runs on the nodes: there the scripts in `slurm/` call the same subcommands that a user
would. The submitter lives here since stages are known here; of a training it knows what
`megatron-recipes` prints, so that neither program imports the other.
"""

from preprocess.slurm.status import show_status
from preprocess.slurm.submit import submit_plan

__all__ = ["show_status", "submit_plan"]
