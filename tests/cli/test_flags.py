"""Flags: none is abbreviated, what is wrong is told in one line, and each reaches the function that it is for."""

import inspect
from dataclasses import MISSING, fields

import pytest

import hf_nli
from hf_nli.cli.parser import FlagParser, nearest
from hf_nli.cli.quickstart import quickstart
from hf_nli.cli.reproduce import reproduce
from hf_nli.cli.run import COMMANDS, main
from hf_nli.settings.options import DataOptions, PredictorOptions, RunOptions, TextOptions
from hf_nli.settings.recipe import Recipe

TRAIN = ["train", "--model_name_or_path", "m", "--dataset", "d", "--output_dir", "o"]
REFUSED = {
    "no command": ([], "hf-nli: error: no command; hf-nli --help lists them"),
    "command": (["trian"], "hf-nli: error: unknown command trian; the nearest is train"),
    "flag before a command": (["--verison"], "hf-nli: error: unknown flag --verison; the nearest is --version"),
    "abbreviated recipe": (
        [*TRAIN, "--recip", "d2l"],
        "hf-nli train: error: unknown flag --recip; the nearest is --recipe",
    ),
    "three letters": (
        [*TRAIN, "--rec=d2l"],
        "hf-nli train: error: unknown flag --rec; the nearest is --recipe",
    ),
    "abbreviated required flag": (
        ["evaluate", "--mod", "m"],
        "hf-nli evaluate: error: unknown flag --mod; the nearest is --model_name_or_path",
    ),
    "letters left out": (
        ["train", "--epochs", "3"],
        "hf-nli train: error: unknown flag --epochs; the nearest is --num_train_epochs",
    ),
    "hyphens": (
        ["train", "--learning-rat", "1"],
        "hf-nli train: error: unknown flag --learning-rat; the nearest is --learning-rate",
    ),
    "stray word": (
        ["predict", "--model_name_or_path", "m", "--premise", "A", "man", "--hypothesis", "b"],
        "hf-nli predict: error: 'man' belongs to no flag; a value that has spaces needs quotes; the nearest "
        "flag is --",
    ),
    "missing": (
        ["push", "--repo_id", "a/b"],
        "hf-nli push: error: the following arguments are required: --model_name_or_path/--model-name-or-path",
    ),
    "no value": (
        ["quickstart", "--output_dir"],
        "hf-nli quickstart: error: argument --output_dir/--output-dir: expec",
    ),
    "choice": ([*TRAIN, "--recipe", "mxnet"], "hf-nli train: error: argument --recipe: invalid choice: 'mxnet' ("),
    "number": ([*TRAIN, "--seed", "x"], "hf-nli train: error: argument --seed: invalid int value: 'x'"),
    "yes or no": (["cache", "--clear", "maybe"], "hf-nli cache: error: argument --clear: "),
    "infinite": (
        [*TRAIN, "--learning_rate", "inf"],
        "hf-nli train: error: --learning_rate is inf; it must be at least",
    ),
    "negative with an exponent": (
        [*TRAIN, "--learning_rate", "-1e-4"],
        "hf-nli train: error: --learning_rate is -0.0001; it must be at least",
    ),
    "another flag for a value": (
        [*TRAIN, "--hub_model_id", "--seed", "1"],
        "hf-nli train: error: argument --hub_model_id/--hub-model-id: expected one argument; one that begins with - ",
    ),
    "help on no command": (["help", "trian"], "hf-nli: error: unknown command trian; the nearest is train"),
    "help on two": (["help", "train", "push"], "hf-nli: error: 'push' is one too many; hf-nli help takes one command"),
    "help itself": (["hepl"], "hf-nli: error: unknown command hepl; the nearest is help"),
    "lines and escapes in a name": (
        ["tr\n\x1b[1main\udcff"],
        r"hf-nli: error: unknown command tr\n\x1b[1main\udcff; ",
    ),
    "no second run": (
        ["compare", "a"],
        "hf-nli compare: error: the following arguments are required: RUN_B",
    ),
    "no run, and a mistyped flag": (
        ["compare", "--output_dri", "o"],
        "hf-nli compare: error: unknown flag --output_dri; the nearest is --output_dir",
    ),
    "a third run": (
        ["compare", "a", "b", "--seed", "1", "c"],
        "hf-nli compare: error: 'c' belongs to no flag; ",
    ),
    "an empty run": (["compare", "a", " "], "hf-nli compare: error: RUN_B is empty; give a value\n"),
    "nowhere to push to": ([*TRAIN, "--push_to_hub"], "hf-nli train: error: --push_to_hub needs --hub_model_id"),
}

# What torchrun sets for the second of two processes.
LAUNCHED = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize("argv, line", REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_one_line_and_exit_code_2(argv, line, capsys):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert err.startswith(line) and err.count("\n") == 1 and out == ""


def test_of_several_processes_one_tells_it(monkeypatch, capsys):
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)
    assert main(["train", "--recip", "d2l"]) == 2
    assert capsys.readouterr() == ("", "")


def test_a_file_beside_the_program_is_no_source_of_flags(monkeypatch, tmp_path, capsys):
    """HfArgumentParser's default is to read PROGRAM.args."""
    (tmp_path / "program.args").write_text("--clear true")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "program.py")])
    assert main(["cache", "--clea"]) == 2
    assert "unknown flag --clea;" in capsys.readouterr().err
    assert main(["predict"]) == 2
    assert "required" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"hf-nli {hf_nli.__version__}\n"


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_a_command_too(command, capsys):
    texts = []
    for argv in [["--help"], ["help"]] if command is None else [[command, "--help"], ["help", command]]:
        with pytest.raises(SystemExit) as end:
            main(argv)
        assert end.value.code == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and (command or "hf-nli COMMAND") in texts[0]


@pytest.mark.parametrize("words", ["a b --seed 1", "a --seed=1 b", "--seed 1 a b", "--seed 1 -- a b"])
def test_what_needs_no_flag_may_be_anywhere(words):
    arguments, _ = FlagParser(COMMANDS["compare"].settings, "hf-nli compare").parse(words.split())
    assert (arguments.run_a, arguments.run_b, arguments.seed) == ("a", "b", 1)


def test_help_has_the_defaults_of_the_recipe(capsys):
    for flags, rate in (["--recipe", "d2l"], "0.0001"), ([], "0.0002"):
        with pytest.raises(SystemExit) as end:
            main(["train", *flags, "--help"])
        assert end.value.code == 0
        assert f"Peak learning rate of AdamW. (default: {rate})" in " ".join(capsys.readouterr().out.split())


def test_nearest():
    assert nearest("--modl", ["--help", "--model_name_or_path", "--dataset"]) == "--model_name_or_path"
    assert nearest("quikstart", COMMANDS) == "quickstart"
    assert nearest("evaluation", COMMANDS) == "evaluate"
    assert nearest("--batch_size", ["--dataset", "--train_batch_size", "--seed"]) == "--train_batch_size"


FUNCTIONS = {
    "convert": hf_nli.convert,
    "train": hf_nli.train,
    "evaluate": hf_nli.evaluate,
    "calibrate": hf_nli.calibrate,
    "compare": hf_nli.compare,
    "inspect": hf_nli.inspect_data,
    "predict": hf_nli.predict_file,
    "export": hf_nli.export,
    "push": hf_nli.push,
    "reproduce": reproduce,
    "quickstart": quickstart,
}
OBJECTS = {Recipe: "recipe", DataOptions: "data_options", RunOptions: "run_options", TextOptions: "text_options"}
# What the command line alone has; `predict_file` gets a function that loads a `Predictor`, which has its own.
OF_THE_COMMAND = {
    "train": {"push_to_hub", "hub_model_id"},
    "predict": {"model_name_or_path", "revision", "device", "dtype", "backend", "int8", "premise", "hypothesis"}
    | {"input_file", "output_file"}
    | {each.name for each in fields(PredictorOptions)},
}
OF_PYTHON = {"predict": {"load", "input_file", "output_file"}, "push": {"waits"}}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_flags_and_parameters_have_the_same_names_and_defaults(name):
    flags = {}
    for settings in COMMANDS[name].settings:
        own = {each.name: each.default for each in fields(settings)}
        flags |= {OBJECTS[settings]: None} if settings in OBJECTS else own
    parameters = inspect.signature(FUNCTIONS[name]).parameters.values()
    defaults = {each.name: MISSING if each.default is each.empty else each.default for each in parameters}
    for own, others in (flags, OF_THE_COMMAND), (defaults, OF_PYTHON):
        for other in others.get(name, ()):
            del own[other]
    assert flags == defaults


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "predict"])
def test_each_flag_reaches_its_parameter(name, monkeypatch):
    """Every flag has a value of its own, and a function in the place of the real one notes what it is called with."""

    class Called(Exception):
        pass

    def noting(*args, **kwargs):
        raise Called(inspect.signature(function).bind(*args, **kwargs).arguments)

    function = FUNCTIONS[name]
    monkeypatch.setattr(f"{function.__module__}.{function.__name__}", noting)
    given, expected = [], {}
    for settings in COMMANDS[name].settings:
        if settings in OBJECTS:
            given.append(settings())
            expected[OBJECTS[settings]] = given[-1]
        else:
            values = {each.name: object() for each in fields(settings)}
            values |= dict.fromkeys(OF_THE_COMMAND.get(name, ()))
            given.append(settings(**values))
            expected |= values
    for own in OF_THE_COMMAND.get(name, ()):
        del expected[own]
    with pytest.raises(Called) as call:
        COMMANDS[name].execute(*given)
    assert call.value.args[0] == expected
