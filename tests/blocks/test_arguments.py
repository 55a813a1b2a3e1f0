"""What is said of a bad argument: each check accepts what it should, and refuses the rest in a sentence with name and value."""

import math

import numpy as np
import pytest
import torch

from course_lib import arguments as a

X = torch.zeros(2, 3, 4, 4)


@pytest.mark.parametrize(
    ("x", "axes", "dtype"),
    [
        (X, "[B, C, H, W]", "float"),
        (X, "[B, 3, H, H]", "number"),
        (X, "[B, ...]", "any"),
        (X, "", "float"),
        (torch.zeros(2, dtype=torch.bool), "[N]", "any"),
        (torch.zeros(2, dtype=torch.uint8), "[N]", "integer"),
        (torch.zeros(2, dtype=torch.bfloat16), "[N]", "float"),
    ],
)
def test_a_good_tensor_passes(x, axes, dtype):
    a.check_tensor("x", x, axes, dtype)


@pytest.mark.parametrize(
    ("x", "axes", "dtype", "says"),
    [
        (X, "[B, 1, H, W]", "float", r"x has shape \(2, 3, 4, 4\), but must be \[B, 1, H, W\]"),
        (X, "[B, B, H, W]", "float", r"\[B, B, H, W\]"),
        (X, "[B, C, H, W, D, ...]", "float", r"\(2, 3, 4, 4\)"),
        (X[0], "[B, C, H, W]", "float", r"\(3, 4, 4\)"),
        (X.byte(), "", "float", r"torch.uint8, but must hold floats: .*to_float"),
        (X, "", "integer", "integers"),
        (X.bool(), "", "number", "real numbers"),
        (X.cfloat(), "", "number", "complex64"),
        (X[:0], "", "float", "at least 1 row"),
        (X[:, :0], "", "float", r"\(2, 0, 4, 4\)"),
    ],
)
def test_a_bad_tensor_is_named_with_what_is_expected(x, axes, dtype, says):
    with pytest.raises(ValueError, match=says):
        a.check_tensor("x", x, axes, dtype)


def test_least_rows():
    a.check_tensor("x", X[:0], least=0)
    with pytest.raises(ValueError, match="at least 3 rows"):
        a.check_tensor("x", X, least=3)


@pytest.mark.parametrize(
    ("x", "says"), [(None, "None"), (np.zeros(3), r"a ndarray.*as_tensor\(x\)"), ([1.0], "as_tensor"), ("a", "'a'")]
)
def test_what_is_no_tensor(x, says):
    with pytest.raises(TypeError, match=rf"x is .*{says}"):
        a.check_tensor("x", x)


def test_pairs():
    a.check_same_shape("x", X, "y", X + 1)
    a.check_same_length("x", X, "y", torch.zeros(2))
    with pytest.raises(ValueError, match=r"x has shape \(2, 3, 4, 4\) and y \(3, 4, 4\)"):
        a.check_same_shape("x", X, "y", X[0])
    with pytest.raises(ValueError, match="x has 2 rows and y 3"):
        a.check_same_length("x", X, "y", torch.zeros(3))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_finite(value):
    a.check_finite("x", X)
    a.check_finite("x", X.long())
    with pytest.raises(ValueError, match="x contains NaN or infinite"):
        a.check_finite("x", torch.tensor([0.0, value]))


def test_labels():
    a.check_labels("y", torch.tensor([0, 2]), 3, rows=2)
    a.check_labels("y", torch.tensor([], dtype=torch.long), 3)
    for bad, says in (
        ([-1, 0], "from -1 to 0"),
        ([0, 3], "0 to 2"),
        ([0.0, 1.0], "integers"),
        ([[0]], r"\[N\]"),
        ([0], "1 labels for 2"),
    ):
        with pytest.raises(ValueError, match=says):
            a.check_labels("y", torch.tensor(bad), 3, rows=2)


def test_labels_of_a_device_are_not_read():
    a.check_labels("y", torch.zeros(2, dtype=torch.long, device="meta"), 3, rows=2)  # reading a value of "meta" would raise


@pytest.mark.parametrize("value", [1, 5, np.int64(3)])
def test_integers(value):
    found = a.check_integer("steps", value, 1, 5)
    assert type(found) is int
    assert found == value


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (0, ValueError, "steps is 0, but must be a whole number from 1 to 5"),
        (6, ValueError, "6"),
        (2.0, ValueError, "2.0"),
        (math.nan, ValueError, "nan"),
        (True, TypeError, "True"),
        ("3", TypeError, "'3'"),
        (None, TypeError, "None"),
    ],
)
def test_what_is_no_integer(value, error, says):
    with pytest.raises(error, match=says):
        a.check_integer("steps", value, 1, 5)


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.25), torch.tensor(0.5), torch.tensor([1.0])])
def test_numbers(value):
    found = a.check_number("eta", value, at_least=0, at_most=1)
    assert type(found) is float
    assert found == value


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (math.nan, {}),
        (math.inf, {}),
        (-math.inf, {"below": 0}),
        (-0.1, {"at_least": 0}),
        (1.1, {"at_most": 1}),
        (0.0, {"above": 0}),
        (1.0, {"below": 1}),
        (math.nan, {"at_least": 0}),
    ],
)
def test_numbers_out_of_range(value, bounds):
    with pytest.raises(ValueError, match=r"eta is .* but must be a finite number"):
        a.check_number("eta", value, **bounds)


@pytest.mark.parametrize("value", [True, None, "1", 1j, torch.zeros(2)])
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match="eta is "):
        a.check_number("eta", value)


def test_flags_and_choices():
    a.check_flag("unseen", True)
    with pytest.raises(TypeError, match="unseen is 2, but must be True or False"):
        a.check_flag("unseen", 2)
    a.check_choice("kind", "v", ("eps", "v"))
    with pytest.raises(ValueError, match="kind is 'w', but must be one of 'eps', 'v'"):
        a.check_choice("kind", "w", ("eps", "v"))
