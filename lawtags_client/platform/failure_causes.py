"""Why a training failed: known causes, found in what the platform says, each with the command that cures it.

A cause is found by the words of the embedded stack, of Kubernetes, of torch and the Hugging Face Hub, or of
the Customizer as its documentation and its users quote them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lawtags_client.helix.types.jobs import is_final as is_helix_final
from lawtags_client.platform.protocol import Dialect
from lawtags_client.types.common import is_final

# The end of a log says what a job died of; patterns must not run over gigabytes.
_MOST_TEXTS = 2000
_LONGEST_TEXT = 2000
_VALIDATION_ROWS = re.compile(r"\b(\d{1,9}) validation (?:row|sample|example)s?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureEvidence:
    """What is known of a job that failed or makes no progress.

    Attributes:
        job: its id.
        texts: history, events, logs and errors, line by line.
        status: its state.
        dataset: ``namespace/name``.
        config: ``namespace/name@version``.
        base_model: the model that is tuned.
        output_model: the model it makes.
        batch_size: rows per step.
        served: the ids that the inference endpoint lists; None if that is not known.
        dialect: the API of the platform.
        address: of the platform, for commands that name it.
    """

    job: str
    texts: Sequence[str]
    status: str | None = None
    dataset: str | None = None
    config: str | None = None
    base_model: str | None = None
    output_model: str | None = None
    batch_size: int | None = None
    served: frozenset[str] | None = None
    dialect: Dialect = "v1"
    address: str | None = None


@dataclass(frozen=True, slots=True)
class FailureCause:
    """A cause and its cure.

    Attributes:
        name: short, for scripts.
        message: what happened, in one sentence.
        cure: what to do.
        command: the command that does it.
        evidence: the line that shows it.
    """

    name: str
    message: str
    cure: str
    command: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.message} {self.cure}: {self.command}"


@dataclass(frozen=True, slots=True)
class JobDiagnosis:
    """A job, and the known causes of its failure or silence.

    Attributes:
        job: its id, as the other commands take it.
        status: its state.
        causes: the likeliest first; empty if none is known.
    """

    job: str
    status: str | None
    causes: tuple[FailureCause, ...]

    @property
    def has_ended(self) -> bool:
        """Whether the job no longer changes."""
        return is_final(self.status) or is_helix_final(self.status)


@dataclass(frozen=True, slots=True)
class TextRule:
    """A cause that a text shows.

    Attributes:
        name: of the cause.
        pattern: finds the text.
        message: what happened, in one sentence.
        cure: what to do.
        command: makes the command that does it.
    """

    name: str
    pattern: re.Pattern[str]
    message: str
    cure: str
    command: Callable[[FailureEvidence], str]


def _upload(found: FailureEvidence) -> str:
    if found.dialect == "helix":
        return "lawtags run RECIPE --data QUESTIONS"
    return f"lawtags upload FOLDER {found.dataset or 'NAMESPACE/NAME'}"


def _smaller_batch(found: FailureEvidence) -> str:
    half = max((found.batch_size or 16) // 2, 1)
    return f"lawtags run RECIPE --set training.batch_size={half}"


def _batch_within_validation(found: FailureEvidence) -> str:
    """The largest power of two that is no more than the validation rows, where a text counts them."""
    texts = (text[:_LONGEST_TEXT] for text in found.texts[-_MOST_TEXTS:])
    counts = [int(match[1]) for text in texts for match in _VALIDATION_ROWS.finditer(text)]
    if not counts or counts[-1] < 1:
        return _smaller_batch(found)
    return f"lawtags run RECIPE --set training.batch_size={1 << (counts[-1].bit_length() - 1)}"


def _more_space(found: FailureEvidence) -> str:
    if found.dialect == "helix":
        return f"{_runner(found)} --dir FOLDER"
    return "lawtags local up --dir FOLDER"


def _whole_model(found: FailureEvidence) -> str:
    if found.dialect == "helix":
        return f"{_runner(found)} --base-model WORKSPACE/NAME=FOLDER"
    return "lawtags local up --base-model NAME=FOLDER"


def _runner(found: FailureEvidence) -> str:
    return f"lawtags local runner --platform {found.address or 'URL'}"


_TEXT_RULES = (
    TextRule(
        "disk-full",
        re.compile(
            r"no space (is )?left on|disk quota exceeded|of free disk space, and the job needs", re.IGNORECASE
        ),
        "The machine that carries out the job has no space left.",
        "Free space there, or start what carries it out with another folder; then submit the job again",
        _more_space,
    ),
    TextRule(
        "no-weights",
        re.compile(
            r"the base model in .{0,200} has no (safetensors|config\.json|tokenizer\.json)"
            r"|the folder of the base model does not exist|is not a safetensors file"
            r"|the (model|tokenizer in .{0,300}) cannot be loaded|has no safetensors weights"
        ),
        "The base model is not a complete Hugging Face folder with safetensors.",
        "Offer a complete folder, and train that",
        _whole_model,
    ),
    TextRule(
        "batch-larger-than-validation",
        re.compile(
            r"batch.?size\b.{0,60}\b(larger|greater|more|exceeds?|only|less)\b.{0,60}\bvalidation"
            r"|validation.{0,40}\b(fewer|less|smaller|at least)\b.{0,60}\bbatch.?size",
            re.IGNORECASE,
        ),
        "The batch is larger than the validation part.",
        "Use a smaller batch, or more validation rows",
        _batch_within_validation,
    ),
    TextRule(
        "config-version-missing",
        re.compile(r"version is not specified", re.I),
        "The config is named without its version.",
        "List the configs, and write the name with @VERSION",
        lambda found: "lawtags models ls",
    ),
    TextRule(
        "hub-token",
        re.compile(
            r"gated repo|GatedRepoError|access to model .{0,80} is restricted|401 client error"
            r"|invalid (user )?token|hf_token|403 (client error|forbidden).{0,80}huggingface",
            re.IGNORECASE,
        ),
        "The platform may not download the base model from the Hugging Face Hub.",
        "Accept the model's license there, have the token of the platform renewed, then check the target",
        lambda found: "lawtags models ls",
    ),
    TextRule(
        "gpu-memory",
        re.compile(r"out of memory|OutOfMemoryError|OOMKilled|exit code 137", re.I),
        "The training ran out of memory.",
        "Use a smaller batch or shorter rows",
        _smaller_batch,
    ),
    TextRule(
        "dataset-schema",
        re.compile(
            r"\.jsonl?:\d+: |field '(prompt|completion|messages)'"
            r"|dataset.{0,40}(schema|validation failed|invalid)"
            r"|(missing|required).{0,30}\b(prompt|completion|messages)\b"
            r"|KeyError: '(prompt|completion|messages)'",
            re.IGNORECASE,
        ),
        "A row of the dataset does not have the fields that the config needs.",
        "Correct the row, and upload the dataset again; lawtags checks each row first",
        _upload,
    ),
    TextRule(
        "no-free-gpu",
        re.compile(
            r"NotEnoughResources|Insufficient nvidia\.com/(gpu|mig-)|another job is training"
            # The schedulers of Run:ai, claims of devices, and quotas of Kueue and of a namespace.
            r"|didn't have enough resources?: .{0,80}\bGPUs?\b|cannot allocate all claims"
            r"|insufficient (unused )?quota for nvidia\.com/"
            r"|exceeded quota: .{0,300}requested: .{0,300}nvidia\.com/(gpu|mig-)",
            re.IGNORECASE,
        ),
        "The job waits for a free GPU.",
        "Wait, or cancel a job that you do not need",
        lambda found: "lawtags jobs ls --status running",
    ),
    TextRule(
        "no-volume",
        re.compile(
            r"unbound (immediate )?PersistentVolumeClaims|persistentvolumeclaim \S+ not found"
            r"|had volume node affinity conflict|FailedAttachVolume|Multi-Attach error",
            re.IGNORECASE,
        ),
        "The training waits for a volume.",
        "Compare the storage class and access mode of its claims with what the cluster offers",
        lambda found: "kubectl get pvc,storageclass --all-namespaces",
    ),
    TextRule(
        "no-image",
        re.compile(
            r"ErrImagePull|ImagePullBackOff|Failed to pull image|Back-off pulling image", re.IGNORECASE
        ),
        "A node cannot get the image of the training.",
        "Look for its name in the events; the registry's secret may be missing, or be for another registry",
        lambda found: "kubectl get events --all-namespaces --field-selector type=Warning",
    ),
    TextRule(
        "no-room",
        re.compile(r"(?m)^(?!.*Insufficient nvidia).*\bInsufficient (cpu|memory|ephemeral-storage|pods)\b"),
        "No node with a GPU has enough free CPU or memory for the training.",
        "Wait, or free some; the requests of each node are in its description",
        lambda found: "kubectl describe nodes",
    ),
    TextRule(
        "no-node",
        # What the rules above explain is no matter of taints and selectors; with the GPUs all in use,
        # a scheduler lists the tainted nodes beside them.
        re.compile(
            r"(?m)^(?!.*(Insufficient \w|didn't have enough resource|PersistentVolumeClaim"
            r"|volume node affinity|cannot allocate all claims))"
            r".*(\b0/\d+ nodes are (un)?available|\bUnschedulable\b)"
        ),
        "No node of the cluster can take the training.",
        "Compare the tolerations and node selectors of the training config with the nodes that have GPUs",
        lambda found: "kubectl get nodes --label-columns nvidia.com/gpu.product",
    ),
    TextRule(
        "diverged",
        re.compile(r"loss (became|is) (nan|-?inf)", re.I),
        "The loss is no longer a number.",
        "Lower the learning rate",
        lambda found: "lawtags run RECIPE --set training.learning_rate=1e-5",
    ),
    TextRule(
        "killed",
        re.compile(r"SIGKILL|signal 9\b", re.I),
        "The training process was killed, most likely because the machine ran out of memory.",
        "Free memory on that machine, or use a smaller batch",
        _smaller_batch,
    ),
)


WAITS_FOR = frozenset({"no-free-gpu", "no-volume", "no-image", "no-room", "no-node"})
"""Names of causes that are over once a job runs."""


def find_causes(found: FailureEvidence) -> list[FailureCause]:
    """The known causes that the evidence shows, the likeliest first.

    Args:
        found: what is known of the job.
    """
    # A job that has left the queue has found its GPU, its volume, its image and its node; events of the time
    # before that are still listed.
    over = WAITS_FOR if found.status in ("running", "active", "completed") else frozenset()
    if found.status not in (None, "created", "pending"):
        over |= {"no-free-gpu"}
    causes = [cause for cause in match_rules(_TEXT_RULES, found) if cause.name not in over]
    if found.status == "cancelled":
        causes.insert(0, _cancelled(found))
    return causes if found.dialect == "helix" else [*causes, *_serving_causes(found)]


def _cancelled(found: FailureEvidence) -> FailureCause:
    return FailureCause(
        "cancelled",
        "A person or a program cancelled the job. It made nothing.",
        "Submit another; a run that is repeated does so",
        "lawtags run RECIPE --data QUESTIONS",
        f"{found.job} is {found.status}",
    )


def match_rules(rules: Sequence[TextRule], found: FailureEvidence) -> Iterator[FailureCause]:
    """The causes that texts show, in the order of the rules.

    Args:
        rules: to look for.
        found: what is known of the job.
    """
    texts = [text[:_LONGEST_TEXT] for text in found.texts[-_MOST_TEXTS:]]
    for rule in rules:
        if (text := _last_match(rule.pattern, texts)) is not None:
            yield FailureCause(rule.name, rule.message, rule.cure, rule.command(found), text)


def _last_match(pattern: re.Pattern[str], texts: Sequence[str]) -> str | None:
    return next((text for text in reversed(texts) if pattern.search(text)), None)


def _serving_causes(found: FailureEvidence) -> Iterable[FailureCause]:
    if found.status != "completed" or found.served is None or found.output_model in (None, *found.served):
        return
    listed = ", ".join(sorted(found.served)[:10]) or "none"
    evidence = f"served models: {listed}"
    if found.base_model is not None and found.base_model not in found.served:
        yield FailureCause(
            "nim-not-loaded",
            f"No server has loaded the base model {found.base_model}.",
            "Deploy it; its server loads the adapters",
            f"lawtags deploy {found.base_model} --image IMAGE:TAG",
            evidence,
        )
        return
    yield FailureCause(
        "adapter-not-listed",
        f"The server of {found.base_model or 'the base model'} does not list {found.output_model}.",
        "It looks for new adapters every NIM_PEFT_REFRESH_INTERVAL seconds, in what NIM_PEFT_SOURCE names. "
        "Look again",
        "lawtags models ls",
        evidence,
    )
