"""Every setting of a run as checked values: the schema of recipes.

A recipe is YAML with the keys of `Recipe`. Unknown keys and bad values are errors that name the key, the value and what
is allowed. Values from the paper say so; "pocket" marks values measured at the pocket scale (docs/log.md).
Reading files is in `rstar_math.config.reading`.
"""

from rstar_math.config.answering import (
    AggregateName,
    AnsweringSettings,
    BudgetSettings,
    FittedSettings,
    FormName,
    MethodList,
    MethodSettings,
    SearchSettings,
    SelectorName,
    WeightName,
)
from rstar_math.config.base import Settings
from rstar_math.config.execution import REQUIRED_LAYERS, ExecutionSettings, IsolationLayer
from rstar_math.config.problems import ProblemSource, SynthesisSettings
from rstar_math.config.recipe import (
    CalibrationSettings,
    EvaluationSettings,
    ExtraSearch,
    FurtherBase,
    PPMHeldOut,
    Recipe,
    ReproduceSettings,
    RoundSettings,
    SelectionSettings,
)
from rstar_math.config.runtime import EndpointSettings, PolicySettings, RuntimeSettings
from rstar_math.config.training import LoRASettings, PPMSettings, SFTSettings, TrackerName, TrainingSettings

__all__ = [
    "REQUIRED_LAYERS",
    "AggregateName",
    "AnsweringSettings",
    "BudgetSettings",
    "CalibrationSettings",
    "EndpointSettings",
    "EvaluationSettings",
    "ExecutionSettings",
    "ExtraSearch",
    "FittedSettings",
    "FormName",
    "FurtherBase",
    "IsolationLayer",
    "LoRASettings",
    "MethodList",
    "MethodSettings",
    "PPMHeldOut",
    "PPMSettings",
    "PolicySettings",
    "ProblemSource",
    "Recipe",
    "ReproduceSettings",
    "RoundSettings",
    "RuntimeSettings",
    "SFTSettings",
    "SearchSettings",
    "SelectionSettings",
    "SelectorName",
    "Settings",
    "SynthesisSettings",
    "TrackerName",
    "TrainingSettings",
    "WeightName",
]
