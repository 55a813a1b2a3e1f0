"""Tests of the checks: right answers pass in every style, and each mistake is caught and named."""

import functools
import io
import math
import sys

import pytest
import torch
from answers import BOOKS, CHECKED, RIGHT, WRONG, function

from course_lib.homework.answers.call import Outcome, observe_call
from course_lib.homework.checks import HOMEWORKS, verdict
from course_lib.homework.checks.__main__ import messages
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise, Homework
from course_lib.homework.checks.wording import common_factor, factor_of_all, largest_difference
from course_lib.homework.grading import protocol

CPU = [torch.device("cpu")]
HIDDEN = range(1, 6)  # seeds such as a teacher's secret may give
EXERCISES = [(hw, one) for hw, homework in CHECKED.items() for one in homework.exercises]
# A chapter's practice shares exercises with a homework: each is tested once.
DISTINCT = {(one.oracle, tuple(one.mistakes)): (hw, one) for hw, one in reversed(EXERCISES)}
BY_NAME = pytest.mark.parametrize(("hw", "exercise"), [*DISTINCT.values()][::-1], ids=lambda v: getattr(v, "name", v))


def complaint(hw, name, program, seed=0):
    return getattr(CHECKED[hw], name).complaint(function(name, program), seed, CPU)


@pytest.mark.parametrize(("hw", "name", "program"), RIGHT, ids=[f"{hw}-{name}-{i}" for i, (hw, name, _) in enumerate(RIGHT)])
def test_a_right_answer_passes_in_every_style(hw, name, program):
    for seed in (0, *HIDDEN):
        found = complaint(hw, name, program, seed)
        assert found is None, found.text(name, 1)


@pytest.mark.parametrize(("hw", "name", "title", "words", "program"), WRONG, ids=[f"{r[0]}-{r[1]}-{r[2]}" for r in WRONG])
def test_a_mistake_is_caught_and_named(hw, name, title, words, program):
    for seed in (0, *HIDDEN):
        found = complaint(hw, name, program, seed)
        assert found is not None, f"{title}: not caught with seed {seed}"
        assert words in found.text(name, 1), f"{title}, seed {seed}:\n{found.text(name, 1)}"


@BY_NAME
def test_the_oracle_passes_and_each_known_mistake_is_named(hw, exercise, monkeypatch):
    """Every known mistake is compared with every other one, so what they give for a case is computed once."""
    trials: dict[tuple, Outcome] = {}

    def observe_once(function, args, differentiable=False):
        key = function, id(args)
        if key not in trials:
            trials[key] = observe_call(function, args, differentiable)
        return trials[key]

    monkeypatch.setattr(verdict, "observe_call", observe_once)
    for seed in (0, *HIDDEN):
        cases = Exercise.draws(exercise, seed, CPU)
        with monkeypatch.context() as same_cases:
            same_cases.setattr(Exercise, "draws", lambda self, seed, devices, cases=cases: cases)
            assert exercise.complaint(exercise.oracle, seed, CPU) is None
            for mistake in exercise.mistakes:
                found = exercise.complaint(mistake.function, seed, CPU)
                assert found is not None, f"not caught with seed {seed}: {mistake.message}"
                assert found.likely == mistake.message, found
        trials.clear()


@BY_NAME
def test_a_check_neither_changes_nor_uses_the_global_random_state(hw, exercise, capsys):
    wrong = exercise.mistakes[0].function
    texts = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        assert exercise.check(exercise.oracle) is exercise.oracle
        exercise.check(wrong)
        assert torch.equal(torch.get_rng_state(), before)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


@BY_NAME
def test_inputs_come_in_several_shapes_and_dtypes_and_depend_on_the_seed(hw, exercise):
    first, again, other = (exercise.draws(seed, CPU) for seed in (1, 1, 2))
    tensors = [[x for case in cases for x in case.args if isinstance(x, torch.Tensor)] for cases in (first, again, other)]
    assert len(first) >= 2
    assert all(torch.equal(a, b) for a, b in zip(tensors[0], tensors[1], strict=True))
    if tensors[0]:
        assert len({x.shape for x in tensors[0]}) >= 2
        assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(tensors[0], tensors[2], strict=True))
        if any(x.is_floating_point() for x in tensors[0]):
            assert {x.dtype for x in tensors[0] if x.is_floating_point()} == {torch.float32, torch.float64}


@BY_NAME
def test_a_blank_a_crash_and_an_unsupported_object_are_distinguished(hw, exercise, capsys):
    def blank(*_):
        raise NotImplementedError(f"{exercise.name} is not written yet")

    assert exercise.check(blank) in (exercise.oracle, exercise.block)
    assert f"○ {exercise.name}: not written yet" in capsys.readouterr().out
    exercise.check(lambda *_: 1 / 0)
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().out
    exercise.check(lambda *_: object())
    assert "an object of type object" in capsys.readouterr().out
    exercise.check(None)
    assert f"check({exercise.name})" in capsys.readouterr().out


def test_there_are_enough_mistakes_and_enough_right_answers():
    for hw, book in BOOKS.items():
        assert len(book.WRONG) >= (12 if hw in HOMEWORKS else 6), hw
        names = {one.name for one in CHECKED[hw].exercises}
        assert set(book.RIGHT) == names
        assert {row[0] for row in book.WRONG} == names
        assert all(len(texts) >= 2 for texts in book.RIGHT.values())
    assert len(WRONG) >= 60


def test_draws_are_the_same_values_in_every_dtype():
    single, double = (Draw(3, dtype).normal(4, 5) for dtype in (torch.float32, torch.float64))
    assert torch.equal(double.float(), single)


def test_answers_that_look_the_same_are_shown_where_they_differ():
    a, b = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)
    a[1, 2, 3], b[0, 1, 0] = 5.0, 0.5
    assert largest_difference(a, b) == "At [1, 2, 3] it is 5, expected 0."
    assert largest_difference(a > 1, b > 1) == "At [1, 2, 3] it is True, expected False."
    assert largest_difference(1.0000001, 1.0) == "It is 1.0000001, expected 1."
    a[0, 0, 0] = math.nan
    assert largest_difference(a, b) == "At [0, 0, 0] it is nan, expected 0."


def test_only_an_informative_factor_is_shown():
    assert common_factor(torch.tensor([1.0, -2.0]), torch.tensor([2.5, -5.0]), 1e-4) == " = got × 2.5"
    assert common_factor(torch.tensor([1.0, 2.0]), torch.tensor([2.5, -5.0]), 1e-4) == ""
    assert common_factor(12.0, 3.0, 1e-4) == " = got ÷ 4"
    assert common_factor(12.0, 5.0, 1e-4) == ""  # any two numbers have a ratio
    assert common_factor(1e-9, 1.0, 1e-4) == ""


def test_under_nbgrader_a_wrong_answer_raises(monkeypatch):
    hw, name, _, words, program = WRONG[0]
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match=words):
        getattr(CHECKED[hw], name).check(function(name, program))


def test_the_script_prints_what_a_student_reads_for_each_known_mistake():
    lines = "\n".join(messages(Homework("hw2", "", HOMEWORKS["hw2"].conv_output_size)))
    for mistake in HOMEWORKS["hw2"].conv_output_size.mistakes:
        assert f"hw2 · {mistake.function.__name__}\n✗ conv_output_size: not yet, 1 point to earn." in lines
        assert mistake.message in lines
    assert "NOT CAUGHT" not in lines
    unknown = Exercise("double", points=1, difficulty=1, minutes=1, oracle=lambda x: 2 * x, cases=lambda draw: [Case("3", (3,))])
    unknown.mistake("It adds x to itself.")(lambda x: x + x)
    assert "NOT CAUGHT" in "".join(messages(Homework("hw9", "", unknown)))


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_check_prints_on_an_old_console(encoding, monkeypatch):
    """Its marks ✓, ✗ and ○ are not in these encodings."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    exercise = HOMEWORKS["hw3"].exercises[0]
    exercise.check(exercise.oracle)
    exercise.check(lambda *_: None)
    stream.seek(0)
    assert stream.read().count("?") >= 2


PATCHES = (
    "x = F.unfold(images, size, stride=size).transpose(1, 2).flatten(0, 1)\n    return x.mean(0), torch.cov(x.T, correction={})"
)
CONVERSIONS = "return {{'eps': {}, 'v': {}, 'x0': out}}[prediction_type]"
EPS, V = "(x_t - sigma * out) / alpha", "alpha * x_t - sigma * out"


@pytest.mark.parametrize(
    ("hw", "name", "given", "body", "earned", "right"),
    [
        ("hw4", "to_x0", "prediction_type, out, x_t, alpha, sigma", CONVERSIONS.format(EPS, "out"), 2 / 3, ('"eps"', '"x0"')),
        ("hw4", "to_x0", "prediction_type, out, x_t, alpha, sigma", CONVERSIONS.format(EPS, V) + "[0]", 0, ()),
        ("hw4", "to_x0", "prediction_type, out, x_t, alpha, sigma", "return x_t / 0", 0, ()),
        ("hw4", "to_x0", "prediction_type, out, x_t, alpha, sigma", "x_t.zero_()\n    return out", 0, ()),
        ("hw4", "target", "kind, x0, eps, alpha, sigma", "return {'eps': eps, 'x0': x0}[kind]", 2 / 3, ('"eps"', '"x0"')),
        ("hw5", "to_guidance_scale", "value, convention", "return {'imagen': value}[convention]", 1 / 3, ('"imagen"',)),
        ("hw1", "patch_statistics", "images, size", PATCHES.format(0), 0.5, ("the mean",)),
        (
            "hw2",
            "latent_shape",
            "height, width, halvings, channels",
            "return 1, 1, 1, 3 * 4**halvings / channels",
            0.5,
            ("the ratio",),
        ),
    ],
)
def test_each_right_part_of_an_exercise_earns_its_share(hw, name, given, body, earned, right):
    found = complaint(hw, name, f"def {name}({given}):\n    {body}")
    assert found.earned == pytest.approx(earned)
    assert found.right == right
    assert found.points(3) == int(6 * found.earned + 1e-6) / 2
    if earned:
        assert f"✗ {name}: {found.points(3):g} of 3 points so far (right: {', '.join(right)})." in found.text(name, 3)


def test_a_wrong_gradient_earns_nothing_and_a_summary_counts_shares(capsys):
    def detached(mean, logvar):
        return HOMEWORKS["hw3"].kl.oracle(mean, logvar).detach()

    assert HOMEWORKS["hw3"].kl.complaint(detached, 0, CPU).earned == 0
    hw4 = HOMEWORKS["hw4"]
    program = f"def to_x0(prediction_type, out, x_t, alpha, sigma):\n    {CONVERSIONS.format(EPS, 'out')}"
    functions = [function("to_x0", program) if one.name == "to_x0" else one.oracle for one in hw4.exercises]
    hw4.summary(*functions)
    printed = capsys.readouterr().out
    assert f"1 of {hw4.to_x0.points} points" in printed
    full = sum(one.points for one in hw4.exercises)
    assert f"{full - hw4.to_x0.points + 1} of {full} points." in printed


def test_every_homework_has_20_points_and_words_have_5():
    for homework in HOMEWORKS.values():
        assert homework.points == 20
        assert [one.points for one in homework.written] == [5]


KL_GIVEN = "def kl(mean, logvar):\n    {}\n    return 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum((1, 2, 3))"
REMARKS = [
    ("torch.randn(2)", "torch's global random state was changed"),
    ("torch.manual_seed(0)", "resets the global seed"),
    ("torch.set_default_dtype(torch.float64)", "the default dtype of torch changed"),
    ("torch.set_num_threads(torch.get_num_threads() + 1)", "the number of threads of torch changed"),
    ("torch.use_deterministic_algorithms(True)", "deterministic algorithms of torch changed"),
    ("torch.set_default_device('meta'); torch.set_default_device('cpu')", ""),
    ("torch.set_default_device('meta')", "the default device of torch changed"),
    ("mean.requires_grad_()", "mean.detach().requires_grad_()"),
    ("mean, logvar = mean.float(), logvar.float()", "It returns float32 for arguments of float64"),
    ("mean, logvar = mean.double(), logvar.double()", "It returns float64 for arguments of float32"),
    ("pass", ""),
]


@pytest.mark.parametrize(("line", "words"), REMARKS, ids=[line[:40] for line, _ in REMARKS])
def test_what_a_right_call_leaves_changed_is_restored_and_remarked(line, words, capsys):
    settings = torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()
    exercise, program = HOMEWORKS["hw3"].kl, function("kl", KL_GIVEN.format(line))
    assert exercise.check(program) is program
    printed = capsys.readouterr().out
    assert settings == (torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads())
    assert not torch.are_deterministic_algorithms_enabled()
    assert printed.startswith("✓ kl: passed, 3 points.")
    assert ("Note: " in printed) == bool(words)
    assert words in printed
    task = exercise.task(b"secret")
    outcomes = protocol.unpack_outcomes(
        protocol.pack_outcomes([observe_call(program, case.args, True) for case in task.hidden_inputs])
    )
    assert task.explain(task.hidden_inputs, outcomes) is None
    assert words in task.remark(task.hidden_inputs, outcomes)


def test_gradients_that_a_call_switches_off_are_on_again():
    outcome = observe_call(lambda: torch.set_grad_enabled(False) and None, ())
    assert torch.is_grad_enabled()
    assert outcome.settings == ("gradients",)
    assert "gradients of torch" in verdict.remarks(HOMEWORKS["hw3"].kl.key, [Case("", ())], [outcome])


@pytest.mark.parametrize(
    ("given", "words"),
    [(["the moon"], "does not exist"), ([3], "does not exist")],
)
def test_a_forged_setting_is_no_outcome(given, words):
    with pytest.raises(protocol.Malformed, match=words):
        protocol.unpack_outcomes(protocol.pack_outcomes([Outcome(1.0, settings=tuple(given))]))


GIVEN = {
    "kl": "mean, logvar",
    "reparameterise": "mean, logvar, eps",
    "rescaled": "guided, cond, rescale",
    "cfg": "cond, null, scale",
}
GIVEN |= {"averaged": "average, weights, decay", "add_noise": "x0, t, eps, alphas_cumprod", "unscale": "z, latents"}
GIVEN |= {"conv_output_size": "size, kernel, stride, padding", "elbo": "images, copies, cost, noise_std"}
GIVEN |= {"bottleneck": "images, weight1, bias1, weight2, bias2"}
P = "0.5 * (mean**2 + logvar.exp() - 1 - logvar)"
RATIO = "guided.std((1, 2, 3), keepdim=True)"
UNLISTED = [
    ("hw3", "kl", "return 0.5 * (mean**2 + logvar.exp() - 3 - logvar).sum((1, 2, 3))", "a constant term is wrong. The result is"),
    ("hw3", "kl", "return 0.5 * (5 * mean**2 + logvar.exp() - 1 - logvar).sum((1, 2, 3))", "what depends on mean is 5 times"),
    ("hw3", "kl", f"return ({P}).sum((1, 2, 3)) ** 2", "square of the right answer"),
    ("hw3", "kl", f"return ({P}).sum((1, 2, 3))[:, None]", "The values are right, but their shape is not"),
    ("hw3", "kl", f"return ({P}).sum((1, 2, 3)).numpy()", "torch.from_numpy"),
    ("hw3", "kl", "return 0.5 * (mean^2 + logvar.exp() - 1 - logvar).sum((1, 2, 3))", "A power is written **"),
    ("hw3", "kl", "return (0.5 * (mean.detach()**2 + logvar.exp() - 1 - logvar)).sum((1, 2, 3))", "to mean (it flows to logvar)"),
    ("hw3", "reparameterise", "return mean.mean(0) + (logvar / 2).exp() * eps", "the mean of mean over axis 0"),
    ("hw3", "averaged", "return decay * average + 0.3 * weights", "Look at the factor of weights"),
    (
        "hw4",
        "add_noise",
        "a = alphas_cumprod[t - 1].view(-1, 1, 1, 1)\n    return a.sqrt() * x0 + 3 * eps",
        "Look at the factor of eps",
    ),
    ("hw4", "unscale", "return z * 3 + latents.mean((0, 2, 3), keepdim=True)", "in channel 0"),
    ("hw5", "rescaled", f"return guided.mul_(1 / {RATIO})", "The value is wrong, and the argument guided was changed"),
    ("hw5", "cfg", "return null + scale * (cond - null.detach())", "is wrong"),
    ("hw5", "cfg", "return null + scale**2 * (cond - null)", "scale² in place of scale"),
    (
        "hw2",
        "conv_output_size",
        "return (size + 2 * padding - kernel) // stride + 9",
        "The result is 8 too large for every input",
    ),
    ("hw2", "bottleneck", "return F.conv2d(F.conv2d(images, weight1, bias1, 3, 2), weight2, bias2, 1, 1)", "has size"),
]


@pytest.mark.parametrize(("hw", "name", "body", "words"), UNLISTED, ids=[f"{row[1]}-{i}" for i, row in enumerate(UNLISTED)])
def test_a_mistake_that_no_list_holds_gets_a_cause(hw, name, body, words):
    found = complaint(hw, name, f"def {name}({GIVEN[name]}):\n    {body}")
    assert words in found.text(name, 1), found.text(name, 1)


def test_a_ratio_of_single_numbers_is_said_only_if_two_inputs_have_it():
    one = [(1.0, 2.0), (1.0, 2.0)]
    assert factor_of_all(one, 1e-4) == ""
    assert factor_of_all([*one, (3.0, 6.0)], 1e-4) == " = got × 2"
    assert factor_of_all([*one, (3.0, 5.0)], 1e-4) == ""


def test_a_coincidence_in_one_of_the_inputs_names_no_cause():
    exercise = Exercise(
        "add", 1, 1, 5, oracle=lambda x: x + 1.0, cases=lambda draw: [Case(str(x), (x,)) for x in (1.0, 2.0, 5.0)]
    )
    exercise.mistake("It doubles.")(lambda x: 2 * x if x > 1 else 0.5)
    assert exercise.complaint(lambda x: {1.0: 2.0, 2.0: 4.0, 5.0: 10.0}[x], 0, CPU).likely == ""


USES = (
    "def helper(x):\n    return {}\n"
    "def kl(mean, logvar):\n    return 0.5 * (mean**2 + helper(logvar.exp()) - 1 - logvar).sum((1, 2, 3))"
)


@pytest.mark.parametrize(
    ("before", "use", "name"),
    [
        ("m_demo = torch.zeros(1)", "x + m_demo", "`m_demo`"),
        ("net = nn.Identity()", "net(x)", "`net`"),
        ("table = {'a': np.zeros(1)}", "x + table['a'][0]", "`table`"),
        ("class Box:\n    pass\nbox = Box()", "x if box else x", "`box`"),
        ("LOG = math.log(2.0)\nSHAPE = (1, [2, 'a'])", "x + 0 * LOG * SHAPE[0]", ""),
        ("mean = torch.zeros(1)", "x + 0 * x.mean()", ""),
        ("one = lambda x: x", "one(x)", ""),
        ("class Box:\n    def get(self, x):\n        return x + m_demo\nm_demo = torch.zeros(1)", "Box().get(x)", "`m_demo`"),
    ],
)
def test_a_check_says_what_the_grader_will_not_have(before, use, name, capsys):
    program = function("kl", f"{before}\n{USES.format(use)}")
    assert HOMEWORKS["hw3"].kl.check(program) is program
    printed = capsys.readouterr().out
    assert ("Note: it uses" in printed) == bool(name)
    if name:
        assert f"it uses {name}, which the grader has only where a cell writes its value down" in printed


def test_a_check_says_that_the_checks_are_not_there_when_graded(capsys):
    kl = HOMEWORKS["hw3"].kl
    kl.check(kl.oracle)
    assert "course_lib.homework.checks is not there when you are graded" in capsys.readouterr().out
    program = function(
        "kl", "from course_lib.homework.checks import hw3\ndef kl(mean, logvar):\n    return hw3.kl.oracle(mean, logvar)"
    )
    kl.check(program)
    assert "course_lib.homework.checks, which is not there when you are graded" in capsys.readouterr().out
    kl.check(functools.partial(program))
    assert "an object of type partial" in capsys.readouterr().out
