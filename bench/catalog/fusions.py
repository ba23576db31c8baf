"""Fusions: rules that combine the results of trained models."""

from dataclasses import dataclass

from bench.catalog.names import find


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """A fusion's entry: a rule that combines the results of trained models; suites name it among their models.

    Attributes:
        target: "module:function" of the rule, which maps log-probabilities of N members `(N, B, C)` to fused ones
            `(B, C)` and the members' conflict `(B,)`.
        line: what it is.
        weighted: whether the rule takes `weights`, one of each member, which are fitted on validation clips.
    """

    target: str
    line: str
    weighted: bool = False
    package: None = None


FUSIONS = {
    "fusion-average": Fusion(
        target="models.fusion:weighted_average", line="members' probabilities, weighted average", weighted=True
    ),
    "fusion-ds": Fusion(target="models.fusion:dempster_shafer", line="members combined by Dempster's rule"),
    "fusion-murphy": Fusion(
        target="models.fusion:murphy", line="members averaged, then combined with themselves by Dempster's rule"
    ),
    "fusion-deng": Fusion(
        target="models.fusion:deng", line="as fusion-murphy, members far from the others weighing little"
    ),
    "fusion-ids": Fusion(
        target="models.fusion:improved_dempster_shafer",
        line="members weighted by distance and purity, then Dempster's rule",
    ),
}


def fusion(name: str) -> Fusion:
    """Return a fusion's entry."""
    return find(FUSIONS, name, "fusion")
