"""Trainings of the exported model as they are planned: tokens, FLOP and hours, the same on every machine."""

from collections.abc import Callable

from tapeout.config.report import PlannedTraining
from tapeout.config.root import Settings
from tapeout.costs.estimates import Estimates


def planned_trainings(settings: Settings, rate: Callable[[str | None], float]) -> tuple[PlannedTraining, ...]:
    """Return the trainings that make the exported model from the base model, in order.

    Hours are those of the computation alone. They are not the forecast of ``tapeout cost``, which knows what this
    machine measured, because the numbers are parameters of the report.

    Args:
        settings: the configuration.
        rate: returns the assumed FLOP/s of one GPU of a model, or of one CPU thread for None.
    """
    estimates, names = Estimates(settings), list(settings.exported_trainings)
    found = []
    for name, job in settings.exported_trainings.items():
        gpu, gflop = job.layout.gpu_model, estimates.training_gflop(job)
        found.append(
            PlannedTraining(
                section=name if name in ("dapt", "sft") else f"methods.{name}",
                artifact=settings.export.model if name == names[-1] else f"{name}/model",
                tokens=job.max_steps * job.global_batch_size * job.seq_length,
                gflop=gflop,
                steps=job.max_steps,
                **job.model_dump(include={"global_batch_size", "seq_length", "lr", "precision"}),
                gpu=gpu,
                units=job.layout.world_size * (job.threads if gpu is None else 1),
                hours=round(1e9 * gflop / rate(gpu) / 3600, 6),
            )
        )
    return tuple(found)
