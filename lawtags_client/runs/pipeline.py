"""The stages of a run, in order."""

from __future__ import annotations

from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.stage import Stage
from lawtags_client.runs.stages.baselines import Baselines
from lawtags_client.runs.stages.curate import Curate
from lawtags_client.runs.stages.customize import Customize
from lawtags_client.runs.stages.encoder import TuneEncoder
from lawtags_client.runs.stages.evaluate import Evaluate
from lawtags_client.runs.stages.plan import Plan, PlanWish
from lawtags_client.runs.stages.predict import Predict
from lawtags_client.runs.stages.repeats import RepeatRuns
from lawtags_client.runs.stages.report import Report
from lawtags_client.runs.stages.serve import Serve
from lawtags_client.runs.stages.upload import Upload


def stages(recipe: Recipe, wish: PlanWish | None = None) -> list[Stage]:
    """The stages of a run, in order.

    Args:
        recipe: of the run.
        wish: what a plan asks for beyond what a run needs.
    """
    before: list[Stage] = [Curate(), Plan(wish), Baselines(), Upload()]
    repeats: list[Stage] = [RepeatRuns()] if recipe.evaluation.repeats > 1 else []
    return [*before, Customize(), TuneEncoder(), Serve(), Predict(), Evaluate(), *repeats, Report()]
