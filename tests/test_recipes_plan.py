"""What a plan's training tables become, and how a wrong one is told."""

from pathlib import Path

import pytest
from blend_files import write_blend

from megatron_recipes.job import MisuseError, make_job
from megatron_recipes.plan import read_plan, run_plan
from megatron_recipes.plan_ahead import check_ahead
from megatron_recipes.run_directory import write_state

HEAD = '[run]\ndirectory = "${RUNS}/one"\n[[stage]]\nname = "mix"\n'
TRAINING = '[[training]]\nname = "first"\nrecipe = "tiny"\nblend = "mix"\n'


def read(tmp_path: Path, text: str) -> list[list[str]]:
    plan = tmp_path / "plan.toml"
    plan.write_text(text)
    return [training.arguments() for training in read_plan(plan, {"RUNS": str(tmp_path)})]


def test_table_becomes_the_train_command(tmp_path: Path) -> None:
    (tmp_path / "one/mix").mkdir(parents=True)
    text = HEAD + TRAINING + "set = { num_steps = 5, sequence_parallel = true }\n"
    assert read(tmp_path, text) == [
        [
            "train",
            "tiny",
            "--blend",
            f"{tmp_path}/one/mix/blend.json",
            "--checkpoint-dir",
            f"{tmp_path}/one/first",
            "--set",
            "num_steps=5",
            "--set",
            "sequence_parallel=true",
        ]
    ]


def test_blend_may_be_a_stages_file_or_any_path(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/blend.json").touch()
    text = HEAD + TRAINING.replace('"mix"', '"blend.json"')
    assert read(tmp_path, text)[0][3] == f"{tmp_path}/one/blend.json"
    text = HEAD + TRAINING.replace('"mix"', '"${RUNS}/elsewhere.json"')
    assert read(tmp_path, text)[0][3] == f"{tmp_path}/elsewhere.json"


def test_blend_of_a_stage_that_has_not_run_is_looked_for_in_the_run_directory(
    tmp_path: Path,
) -> None:
    assert read(tmp_path, HEAD + TRAINING)[0][3] == f"{tmp_path}/one/mix"


def test_wrong_setting_of_the_last_training_starts_none(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    second = TRAINING.replace("first", "second")
    plan.write_text(HEAD + TRAINING + second + "set = { num_steps = 5 }\n")
    said: list[str] = []
    with pytest.raises(MisuseError) as caught:
        run_plan(read_plan(plan, {"RUNS": str(tmp_path)}), tell=said.append, verbose=False)
    assert str(caught.value) == (
        "training second: lr_warmup_steps (10) plus lr_wsd_decay_steps (0) must be below "
        "num_steps (5)"
    )
    assert said == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            'from = "frist"\n',
            "from frist: expected a checkpoint, a Hugging Face directory or the name of a training "
            "before it, found no such path; before it are: first",
        ),
        (
            'from = "first"\nset = { hidden_size = 64 }\n',
            "from first: hidden_size is 128 there and 64 here; start from a training of the same "
            "model",
        ),
        (
            'from = "${RUNS}/one/first/step_0000100"\nset = { num_layers = 2 }\n',
            "from first: num_layers is 4 there and 2 here; start from a training of the same model",
        ),
        ('from = "${RUNS}"\n', "expected a checkpoint directory of megatron-recipes, found no"),
        ("set = { max_epochs = 0.5 }\n", "group agent would be read 3.20 times"),
        ("set = { vocab_size = 512 }\n", "the blend's tokenizer has 300 tokens, fewer than"),
    ],
)
def test_what_would_stop_the_last_training_starts_none(
    tmp_path: Path, table: str, message: str
) -> None:
    blend, plan = write_blend(tmp_path / "data"), tmp_path / "plan.toml"
    first = TRAINING.replace('"mix"', f'"{blend}"')
    plan.write_text(HEAD + first + first.replace("first", "second") + table)
    said: list[str] = []
    with pytest.raises(ValueError, match=r"^training second: ") as caught:
        run_plan(read_plan(plan, {"RUNS": str(tmp_path)}), tell=said.append, verbose=False)
    assert message in str(caught.value)
    assert said == []


def test_training_that_has_checkpoints_may_have_lost_what_it_began_with(tmp_path: Path) -> None:
    blend, plan = write_blend(tmp_path / "data"), tmp_path / "plan.toml"
    plan.write_text(HEAD + TRAINING.replace('"mix"', f'"{blend}"') + 'from = "${RUNS}/gone"\n')
    (training,) = read_plan(plan, {"RUNS": str(tmp_path)})
    with pytest.raises(FileNotFoundError, match="found no such path; before it are: none"):
        check_ahead(training, [])
    saved = tmp_path / "one/first/step_0000010"
    saved.mkdir(parents=True)
    write_state(saved, {"step": 10, "consumed_samples": 40}, {})
    check_ahead(training, [])


def test_training_that_is_done_but_was_another_is_refused(tmp_path: Path) -> None:
    blend, directory = write_blend(tmp_path / "data"), tmp_path / "one/first"
    job = make_job("tiny", blend=blend, checkpoint_dir=directory, start_from=None, settings=[])
    job.run.prepare(job.identity())
    job.run.done.touch()
    plan = tmp_path / "plan.toml"
    said: list[str] = []
    for settings in ("", "set = { num_steps = 99 }\n"):
        plan.write_text(HEAD + TRAINING.replace('"mix"', f'"{blend}"') + settings)
        trainings = read_plan(plan, {"RUNS": str(tmp_path)})
        if not settings:
            assert run_plan(trainings, tell=said.append, verbose=False) == 0
            assert said == [f"training first: already done, {directory}"]
            continue
        with pytest.raises(ValueError, match=r"another schedule.num_steps \(there 100, now 99\)"):
            run_plan(trainings, tell=said.append, verbose=False)


def test_from_is_an_earlier_training_or_a_path(tmp_path: Path) -> None:
    second = TRAINING.replace("first", "second")
    text = HEAD + TRAINING + second + 'from = "first"\n'
    assert read(tmp_path, text)[1][6:] == ["--from", f"{tmp_path}/one/first"]
    text = HEAD + TRAINING + 'from = "some/checkpoint"\n'
    assert read(tmp_path, text)[0][6:] == ["--from", "some/checkpoint"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run", "expected a plan in TOML: "),
        (TRAINING, 'expected [run] with directory = "..."'),
        (HEAD, "expected at least one [[training]], found none"),
        (HEAD + TRAINING + TRAINING, "each [[training]] needs its own name, found 'first'"),
        (HEAD + TRAINING + "steps = 5\n", "training first has unknown keys: steps"),
        (HEAD + TRAINING.replace("blend", "data"), "training first has unknown keys: data"),
        (HEAD + '[[training]]\nname = "a"\nrecipe = "tiny"\n', "training a needs blend, a string"),
        (
            HEAD + TRAINING + "set = 5\n",
            "training first takes a string as from and a table as set",
        ),
        (
            HEAD + TRAINING + "from = 5\n",
            "training first takes a string as from and a table as set",
        ),
        (
            HEAD + TRAINING.replace("[[training]]", "[training]"),
            "expected [[training]], in double brackets, for each training",
        ),
        (
            HEAD.replace("RUNS", "RUN5") + TRAINING,
            "${RUN5}/one: the environment variable RUN5 is not set",
        ),
    ],
)
def test_wrong_plan_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read(tmp_path, text)
    assert message in str(caught.value)
