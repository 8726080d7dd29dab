rule eval_report:
    input:
        action("eval_report"),
        base=artifact("evaluation/base.json"),
        dapt=artifact("evaluation/dapt.json"),
        sft=artifact("evaluation/sft.json"),
        tokenizer=artifact("tokenizer", "report.json"),
        dapt_log=artifact("dapt/model", "train_log.json"),
        sft_log=artifact("sft/model", "train_log.json"),
        behind=[
            artifact("corpus/domain"),
            artifact("corpus/general"),
            *[artifact(f"instructions/{name}") for name in sorted(settings.instructions.train)],
            artifact("tokenizer"),
            artifact("base"),
            artifact("base_extended"),
            artifact("nemo/base.nemo"),
            artifact("dapt/model"),
            artifact("sft/model"),
            artifact("export/hf"),
            *[artifact(f"sources/{name}") for name in settings.used_sources],
        ],
    output:
        sealed("eval_report"),
    params:
        **parameters(
            settings.report,
            trained_on=sorted(settings.corpus.domain.train),
            held_out=sorted(settings.corpus.domain.test),
            general=list(settings.corpus.general.sources),
        ),
    resources:
        **site.cpu,
    localrule: True
    log:
        "logs/eval_report.log",
    conda:
        "../envs/data.yaml"
    shell:
        build("scripts/eval_report.py")
