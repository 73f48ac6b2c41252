"""What a gate says. Apart from the gates, because a web machine, which cannot measure them, can roll back as well."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class GateResult:
    """One gate: what was measured and what was asked for.

    Attributes:
        name: Constant; the Dagster check has the same.
        passed: Whether the index may be published as far as this gate goes.
        figure: What was measured.
        bound: What it is compared with.
        means: The comparison in words.
    """

    name: str
    passed: bool
    figure: float
    bound: float
    means: str

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)
