"""What an evaluation leaves: results and predictions for programs, a report for people."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from hf_nli.core.files import staged, write_json
from hf_nli.core.hub_ids import public_name
from hf_nli.evaluation.figures import confusion_matrix, reliability_diagram, risk_coverage_curve
from hf_nli.evaluation.inputs import Inputs
from hf_nli.evaluation.results import EvaluationResults, Outcome, telling_answers
from hf_nli.inference.predictor import decide

RESULTS, PREDICTIONS = "eval_results.json", "predictions.jsonl"
PICTURES = {
    "confusion_matrix.png": "Confusion matrix: how many pairs of each gold label got which prediction",
    "reliability.png": "Reliability: how often predictions of a probability are right",
    "risk_coverage.png": "Risk and coverage: the share of mistakes among the most probable predictions",
}
REPORTS = ("report.md", "report.html")
FILES = (RESULTS, PREDICTIONS, *PICTURES, *REPORTS)

TEMPLATES = Path(__file__).parent
BASELINE_NAMES = {
    "majority": "always the most frequent label",
    "hypothesis_only": "words of the hypothesis alone",
    "premise_only": "words of the premise alone",
    "bag_of_words": "words of both, and which of them are new in the hypothesis",
    "exchanged_premises": "this model, with another pair's premise",
}


@dataclass(frozen=True)
class Chapter:
    """A data set in a report.

    Attributes:
        results: What was found out.
        inputs: Its pairs.
        outcome: The model's answers.
    """

    results: EvaluationResults
    inputs: Inputs
    outcome: Outcome

    @property
    def name(self) -> str:
        """What to call it: the data set and the split."""
        return public_name(self.results.dataset) + (f", {self.results.split}" if self.results.split else "")


def write_report(output_dir: Path, chapters: Sequence[Chapter]) -> None:
    """Writes all files of an evaluation.

    Args:
        output_dir: The folder.
        chapters: The data sets; of several, each gets a folder in that folder.
    """
    names = [""] if len(chapters) == 1 else _folders(chapters)
    with staged(output_dir) as folder:
        for name, chapter in zip(names, chapters, strict=True):
            (folder / name).mkdir(exist_ok=True)
            _write_chapter(folder / name, chapter)
        first = chapters[0].results
        if len(chapters) > 1:
            about = {"model": first.model, "model_sha256": first.model_sha256}
            results = [{"folder": name} | each.results.as_dict() for name, each in zip(names, chapters, strict=True)]
            write_json(folder / RESULTS, about | {"results": results})
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            undefined=jinja2.StrictUndefined,
            autoescape=jinja2.select_autoescape(["html.jinja"]),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {"cell": _cell, "percent": _percent, "picture": lambda path: _embedded(folder / path)}
        parts = [_content(name, chapter) for name, chapter in zip(names, chapters, strict=True)]
        for report in REPORTS:
            text = environment.get_template(f"{report}.jinja").render(model=public_name(first.model), parts=parts)
            (folder / report).write_text(text.strip() + "\n", encoding="utf-8")


def _write_chapter(folder: Path, chapter: Chapter) -> None:
    results, outcome, labels = chapter.results, chapter.outcome, chapter.inputs.labels
    results.write(folder / RESULTS)
    probabilities = outcome.logits.double().softmax(-1)
    confusion_matrix(results.confusion_matrix, folder / "confusion_matrix.png", results.model_sha256)
    reliability_diagram(probabilities, outcome.references, folder / "reliability.png", results.model_sha256)
    risk_coverage_curve(probabilities, outcome.references, folder / "risk_coverage.png", results.model_sha256)
    with (folder / PREDICTIONS).open("w", encoding="utf-8") as file:
        for pair, row in zip(chapter.inputs.pairs, outcome.logits, strict=True):
            decision = decide(row, labels)
            prediction = {**pair, "label": labels[pair["label"]], "prediction": decision["label"]}
            file.write(json.dumps(prediction | {"scores": decision["scores"]}, ensure_ascii=False) + "\n")


def _content(folder: str, chapter: Chapter) -> dict[str, Any]:
    """What the templates are filled with."""
    results = chapter.results
    wrong, unsure = telling_answers(chapter.inputs, chapter.outcome)
    baselines = {BASELINE_NAMES[name]: accuracy for name, accuracy in results.baselines.items()}
    hypothesis_only = results.baselines.get("hypothesis_only")
    return {
        "name": chapter.name,
        "results": results,
        "baselines": baselines,
        "gain": None if hypothesis_only is None else results.accuracy - hypothesis_only,
        "pictures": {f"{folder}/{name}".lstrip("/"): title for name, title in PICTURES.items()},
        "answers": {"The most certain mistakes": wrong, "The least certain answers": unsure},
    }


def _folders(chapters: Sequence[Chapter]) -> list[str]:
    """A name for the folder of each data set, none twice."""
    names: list[str] = []
    for chapter in chapters:
        name = re.sub(r"[^\w.-]+", "-", chapter.name).strip(".-") or "data"
        same = sum(each == name or each.startswith(f"{name}-") for each in names)
        names.append(f"{name}-{same + 1}" if name in names else name)
    return names


def _cell(text: object) -> str:
    """Text for a cell of a Markdown table."""
    return re.sub(r"\s+", " ", str(text)).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _embedded(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
