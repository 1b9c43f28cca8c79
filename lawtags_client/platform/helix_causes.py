"""Why a job on Helix failed or waits: what a runner of lawtags says, and what only Helix has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from lawtags_client.platform.failure_causes import FailureCause, FailureEvidence, TextRule, match_rules
from lawtags_client.platform.unattended import Neglect


def _runner(options: str) -> Callable[[FailureEvidence], str]:
    return lambda found: f"lawtags local runner --platform {found.address or 'URL'}{options}"


_RULES = (
    TextRule(
        "dataset-files",
        re.compile(r"the dataset has no training rows"),
        "The training fileset holds no rows where a training looks for them.",
        "Name its files train*.jsonl, or put them into the folder training/; a run does so",
        lambda found: "lawtags run RECIPE --data QUESTIONS",
    ),
    TextRule(
        "unsupported-setting",
        re.compile(r"the runner of lawtags does not support this value of"),
        "The runner cannot follow a setting of the job.",
        "Change the field that the message names; the job has it under spec",
        lambda found: f"lawtags jobs show {found.job}",
    ),
    TextRule(
        "adapter-name-taken",
        # As a runner says it, the platform when a job is submitted, and NVIDIA's own task at the end of one.
        re.compile(
            r"the adapter \S{1,130} belongs to the base model"
            r"|Adapter '[^']{1,130}' already exists (on base model|but update failed)"
        ),
        "The name of the adapter belongs to another base model; names of adapters are unique in a workspace.",
        "Choose another name for what the training makes, or delete that adapter",
        lambda found: "lawtags run RECIPE --set model.output=WORKSPACE/NAME",
    ),
)


def helix_causes(found: FailureEvidence, neglect: Neglect | None) -> Iterator[FailureCause]:
    """Causes that only Helix has, the likeliest first.

    Args:
        found: what is known of the job.
        neglect: what its next step waits for, if it does.
    """
    yield from match_rules(_RULES, found)
    if neglect is not None:
        yield _waiting(found, neglect)
    listed = found.served
    if found.status == "completed" and listed is not None and found.output_model not in (None, *listed):
        yield _not_served(found)


def _waiting(found: FailureEvidence, neglect: Neglect) -> FailureCause:
    evidence = f"step {neglect.step} is {neglect.state}"
    if neglect.kind == "taken":
        return FailureCause(
            "step-not-begun",
            "A step was taken, and has not begun.",
            "What took it may be waiting for a free GPU or an image. Look at its log",
            f"lawtags jobs logs {found.job}",
            evidence,
        )
    if neglect.kind == "silent":
        return FailureCause(
            "runner-silent",
            f"The runner of the job, {neglect.runner}, gives no sign of life.",
            "Start it again with its --dir, and it resumes; another one trains from the beginning",
            _runner(neglect.runner_options)(found),
            f"{evidence}; last sign of life {neglect.heartbeat}",
        )
    if neglect.kind == "behind":
        return FailureCause(
            "waits-for-its-turn",
            f"Other jobs are carried out first: {', '.join(neglect.others[:5])}.",
            "Wait, start another runner, or cancel a job that you do not need",
            "lawtags jobs ls --status active",
            evidence,
        )
    if neglect.is_training:
        return FailureCause(
            "no-runner",
            "Nothing has taken the next step of the job.",
            "Start a runner, or a GPU cluster's jobs controller",
            _runner(neglect.runner_options)(found),
            evidence,
        )
    return FailureCause(
        "no-jobs-controller",
        "Nothing has taken the next step of the job. A runner takes those of trainings only.",
        "Start the platform's jobs controller",
        "nemo services run --controllers jobs",
        evidence,
    )


def _not_served(found: FailureEvidence) -> FailureCause:
    listed = ", ".join(sorted(found.served or ())[:10]) or "none"
    return FailureCause(
        "output-not-served",
        f"No server offers {found.output_model}.",
        "Serve its base model; adapters are found by themselves",
        _runner(f" --serve {found.base_model or 'WORKSPACE/MODEL'}")(found),
        f"served models: {listed}",
    )
