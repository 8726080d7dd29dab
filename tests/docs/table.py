"""How the tests run each command of the documentation: the table that every command has exactly one row in.

A command is run as it is written, in a copy of the project, unless its row changes it: a placeholder is replaced by a
name that exists there, and what would train for minutes, needs a cluster or never ends is run as a dry run or once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

SLURM = "snakemake --profile slurm"
DIFFERS = (0, 1)
"""Exit codes of commands that report a difference with 1."""


@dataclass(frozen=True)
class Row:
    """Way to run a command.

    Attributes:
        text: the command as the pages state it.
        run: the command that is run instead; empty for ``text``.
        statuses: exit codes that it may have.
    """

    text: str
    run: str = ""
    statuses: tuple[int, ...] = (0,)

    @property
    def command(self) -> str:
        """The command that is run."""
        return self.run or self.text


def dry(text: str) -> Row:
    """Return the row of a command of Snakemake that only plans."""
    return Row(text, text.replace("snakemake", "snakemake -n", 1))


def only_parsed(target: str) -> Row:
    """Return the row of a target of the Makefile whose recipe is only printed."""
    return Row(target, target.replace("make", "make --dry-run", 1))


def distinct(rows: Iterable[Row]) -> list[Row]:
    """Return one row for each command that is run, in their order."""
    return list({row.command: row for row in rows}.values())


FINISHED = (
    Row(". <(make -s shell)", ". <(make -s shell) && command -v snakemake tapeout"),
    Row("make environments"),
    Row("make environments PIP_OPTIONS='--extra-index-url ADDRESS'"),
    Row("make plan"),
    Row("snakemake sft/model --configfile my.yaml"),
    Row("snakemake instruction_sets --configfile my.yaml"),
    Row(
        "snakemake results/.graph/instructions/my-chats.sealed --configfile my.yaml",
        "snakemake results/.graph/instructions/my-chats.sealed --configfile my_data.yaml",
    ),
    Row("make report CONFIG=my.yaml"),
    Row("make report"),
    Row("snakemake sweep --configfile my.yaml", "snakemake -n sweep --configfile config/examples/sweep.yaml"),
    dry("snakemake sweep --configfile config/examples/sweep.yaml"),
    dry("snakemake sweep --configfile config/examples/tokenizer_sweep.yaml"),
    Row("snakemake -n sweep --configfile config/examples/sweep.yaml"),
    Row("tapeout cost sweep --configfile config/examples/sweep.yaml", statuses=DIFFERS),
    Row("tapeout status"),
    Row("tapeout status --configfile my.yaml"),
    Row("tapeout top"),
    Row("tapeout cost", statuses=DIFFERS),
    Row("tapeout cost [TARGET] [--cores N] [--json]", "tapeout cost sft --cores 2 --json", DIFFERS),
    Row("tapeout batch sft --step 120", "tapeout batch sft --step 1"),
    Row("tapeout batch ARTIFACT --step N [--rank R] [--json]", "tapeout batch dapt --step 1 --rank 0 --json"),
    Row("snakemake --dry-run sft"),
    Row("tapeout inspect results/nemo/base.nemo"),
    Row("tapeout inspect MODEL", "tapeout inspect results/base --json"),
    Row("tapeout chat sft", "echo 'What is a mux?' | tapeout chat sft --max-tokens 4"),
    Row(
        "tapeout chat --compare base,sft",
        "echo 'What is a mux?' | tapeout chat --compare base,sft --max-tokens 4 --json",
    ),
    # the servers are tested in tests/serve/test_server.py
    Row("tapeout serve export/hf --port 8000", "tapeout serve export/hf --port 8000 --check"),
    Row("tapeout verify"),
    Row("tapeout verify --deep --repair"),
    Row("tapeout runs save before"),
    Row("tapeout runs save NAME", "tapeout runs save again"),
    Row("tapeout diff @before results"),
    Row("tapeout report --output run"),
    Row("tapeout compare @before results"),
    Row("tapeout compare @before results --output comparison"),
    Row("openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out public.pem"),
    Row("tapeout export out --format slsa --key key.pem"),
    Row("sha256sum --check SHA256SUMS", "cd out && sha256sum --check --quiet SHA256SUMS"),
    Row("tapeout reproduce out --check --public-key public.pem"),
    # the build itself is tested on a small project (tests/provenance/test_reproduce.py)
    Row("tapeout reproduce out --public-key public.pem", "tapeout reproduce out --public-key public.pem --check"),
    Row(
        "tapeout export out --format slsa --format rocrate --date 2026-11-22 --key key.pem",
        "tapeout export crate --format slsa --format rocrate --date 2026-11-22 --key key.pem",
    ),
    Row("snakemake eval_report"),
    Row("snakemake data_report"),
    Row("snakemake gates"),
    Row("snakemake eval_gates"),
    Row("snakemake encodings"),
    Row("snakemake results/.graph/sources/<name>.sealed", "snakemake results/.graph/sources/alpha.sealed"),
    Row("snakemake export/hf"),
    dry("snakemake export/mcore.nemo"),
    Row("snakemake deploy/nim"),
    Row("snakemake export/model.gguf"),
    Row("snakemake corpus/words.json"),
    Row("snakemake pretraining_blend --configfile my.yaml", "snakemake pretraining_blend -n --configfile my_data.yaml"),
    dry("snakemake probe"),
    dry("snakemake --forcerun dapt/model"),
    Row("snakemake -n"),
    Row(f"{SLURM} -n eval_report"),
    Row(f"{SLURM} -n"),
    dry(f"{SLURM} eval_report"),
    Row("snakemake --profile profiles/slurm-dryrun eval_report"),
    Row("snakemake --profile profiles/slurm-dryrun TARGET", "snakemake --profile profiles/slurm-dryrun tokenizer"),
    Row("TAPEOUT_STORE=/shared/store make report", "TAPEOUT_STORE=$PWD/work/shared make plan"),
    Row("TAPEOUT_REMOTE=s3://bucket/store make report", "TAPEOUT_REMOTE=s3://bucket/store make plan"),
    Row("tapeout push", "TAPEOUT_REMOTE=s3://bucket/store TAPEOUT_REMOTE_MODE=read-write tapeout push"),
    Row(
        "tapeout push [ARTIFACT…]",
        "TAPEOUT_REMOTE=s3://bucket/store TAPEOUT_REMOTE_MODE=read-write tapeout push tokenizer",
    ),
    Row("tapeout gc"),
    Row("tapeout rebuild ARTIFACT --check", "tapeout rebuild gates.json --check"),
    Row("tapeout rebuild --check", "tapeout rebuild --check gates.json data_report"),
    Row("tapeout sources pin hf_dataset:OpenAssistant/oasst1 --file '*_all.trees.*'"),
    Row("tapeout sources pin hf_model:nvidia/GPT-2B-001 > config/sources/gpt-2b-001.yaml"),
    # after a row of config/questions.jsonl has changed
    Row("tapeout why sft/model", r"sed -i 1s,What,Now\ what, tiny/questions.jsonl && tapeout why sft/model", (1,)),
)
"""Commands that are run in a project with finished results, in this order: those with another configuration come first,
because they change results and the configuration that later commands use."""

PARSED = (
    Row("tapeout cost --configfile config/models/llama2-7b.yaml", statuses=DIFFERS),
    dry("snakemake retrieval/recall.json --configfile config/examples/retrieval.yaml"),
    Row(
        "snakemake retrieval/recall.json --configfile my.yaml",
        "snakemake -n retrieval/recall.json --configfile config/examples/retrieval.yaml",
    ),
    dry("snakemake dpo/model --configfile config/examples/dpo.yaml"),
    Row("git clone ADDRESS tapeout && cd tapeout", "git clone -q --depth 1 file://$ROOT tapeout && cd tapeout"),
    Row("tapeout --version"),
    # Typer asks which shell called it, so that a shell must be its parent
    Row("tapeout --install-completion", "tapeout --show-completion | grep _tapeout_completion"),
    Row("tapeout top --help"),
    Row("bin/tapeout COMMAND", "cd $ROOT && bin/tapeout gc --help"),
    Row("tapeout -C DIR COMMAND", "tapeout -C $ROOT/docs gc --help"),
    # run in tests/serve/test_passages.py
    Row("tapeout chat sft --retrieve retrieval/index/embedder_tuned", "tapeout chat --help"),
    # run on a small project (tests/graph/run/test_forwarding.py)
    Row("tapeout track dapt", "tapeout track --help"),
    Row("tapeout why", "tapeout why --help"),
    Row("tapeout export", "tapeout export --help"),
    Row("tapeout reproduce", "tapeout reproduce --help"),
    dry("snakemake instruction_sets --configfile config/examples/seeds.yaml"),
    dry("snakemake lora/adapter lora/merged --configfile config/examples/lora.yaml"),
    dry("snakemake automodel_lora/adapter automodel_lora/merged --configfile config/examples/automodel_lora.yaml"),
    *map(
        only_parsed,
        (
            "make test",
            "make test SLURM=no BROWSER=no",
            "make test-dev",
            "make test-browser",
            "make check",
            "make picture",
            "make screenshots",
            "make lock",
        ),
    ),
    *map(only_parsed, ("make environments dev", "make environments ADD=nemo-cuda")),
    only_parsed("make environments ADD=tracking"),
    only_parsed("make environments ADD=vllm"),
    only_parsed("make environments ADD=lm_eval"),
    only_parsed("make test-families"),
    only_parsed("make test-shared-data TAPEOUT_SHARED_DATA=FOLDER"),
    # the configuration is planned in tests/config/
    only_parsed("make report CONFIG=config/examples/smollm2-cpu.yaml"),
    *(
        Row(f"python -m benchmarks.{name}", f"python3.11 -m py_compile benchmarks/{name}.py")
        for name in ("gpu_training", "nine_faults", "sizes")
    ),
)
"""Commands that need no results: they are run as they are, or only as far as their command line is parsed."""

ELSEWHERE = {
    "tapeout compare sweep/lr=0.003,new_pieces=768 sweep/lr=0.001,new_pieces=768": (
        "tests/cli/test_compare.py",
        "test_variants_of_a_sweep",
    ),
    "tapeout verify --deep": ("tests/cli/test_commands.py", 'call(built, "verify", "--deep")'),
    "pip install .": (
        "tests/cli/test_start.py",
        "test_an_installation_with_pip_has_a_program_that_works_in_and_outside_a_project",
    ),
    "tapeout publish export/hf --repo OWNER/NAME": ("tests/cli/test_publish.py", '"publish", artifact, "--repo", repo'),
    "tapeout publish export/hf --repo OWNER/NAME --execute": (
        "tests/cli/test_publish.py",
        'place.publish("--execute")',
    ),
    **{
        f"tapeout trust {words}": ("tests/cli/test_trust.py", f'"trust", "{words.split()[0]}"')
        for words in ("add", "add public.pem", "add key.pem", "sign", "sign ARTIFACT", "list", "remove signing")
    },
    "tapeout batch dpo --step N": ("tests/end_to_end/test_preference_training.py", '"batch", "dpo"'),
    "rocrate-validator validate -p workflow-run-crate-0.5 .": ("tests/provenance/test_crate.py", "services.validate"),
}
"""Commands that a test of another environment or project runs: the file, and the name in it."""

COMPOSED = {
    "apptainer exec --cleanenv --no-home [--nv] --bind ... --pwd FOLDER": "tapeout/graph/launch/launcher.py",
    "srun --overlap --container-image=... --container-mounts=...": "tapeout/graph/launch/launcher.py",
    "srun --nodes=2 --ntasks=2 --ntasks-per-node=1 --overlap --kill-on-bad-exit=1": "tapeout/graph/launch/launcher.py",
    "srun -n1": "docs/containers.md",
    "sbatch took no job: …": "tapeout/slurm/job_messages.py",
}
"""Command lines and messages of the program itself, which a reader does not type: the file that composes them."""
