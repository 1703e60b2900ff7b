"""Runs at the same time that write one folder."""

from __future__ import annotations

import json
import shlex
import shutil

from bad_inputs.rows import write_template
from warm_process import Call, finished, forking

LENGTHS = (12, 16, 24, 32)


def test_evaluations_of_one_model(tmp_path):
    """Each is kept, whichever writes first, and the card tells of all."""
    template, models = write_template(tmp_path / "template"), tmp_path / "models"
    shutil.copytree(template / "m", models / "m")
    calls = [
        Call(
            shlex.split(
                "evaluate --model_name_or_path ../models/m --dataset pairs.jsonl --output_dir ../models/scores "
                f"--max_seq_length {length}"
            ),
            shutil.copytree(template, tmp_path / str(length)),
        )
        for length in LENGTHS
    ]
    processes = [forking(call) for call in calls]
    for process, call in zip(processes, calls, strict=True):
        ended = finished(process, call)
        assert ended.code == 0, ended
    records = json.loads((models / "m/evaluations.json").read_text())
    assert sorted(record["max_seq_length"] for record in records) == list(LENGTHS)
    card = (models / "m/README.md").read_text()
    assert all((models / "m" / record["picture"]).exists() and record["picture"] in card for record in records)
    scores = json.loads((models / "scores/eval_results.json").read_text())
    assert scores["max_seq_length"] in LENGTHS
    assert {path.name for path in models.iterdir()} == {"m", "scores"}
    assert not [path for path in models.rglob(".*")]
