"""The site's pages on paper: every question has an answer to each of its parts, and the numbers are right."""

import itertools
import math
import re

import pytest

from course_lib import schedule
from course_lib.storage import paths

EXAMS = sorted((paths.ROOT / "notebooks" / "pages" / "exam").glob("*.md"))


@pytest.mark.parametrize("path", EXAMS, ids=lambda path: path.stem)
def test_each_exam_has_questions_with_folded_answers_to_every_part(path):
    _, *questions = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.M)
    assert len(questions) >= 5
    for number, question in enumerate(questions, 1):
        assert question.startswith(f"{number} · ")
        asked, answered = question.split("<details><summary><b>Answer</b></summary>\n")
        parts = re.findall(r"^- \*\*([a-e])\)\*\*", asked, flags=re.M)
        assert parts == re.findall(r"^- \*\*([a-e])\)\*\*", answered, flags=re.M) == list("abcde"[: len(parts)])
        assert len(parts) > 1
        assert answered.rstrip().endswith("</details>")


def kl(mean: float, std: float) -> float:
    return (mean**2 + std**2 - 1 - 2 * math.log(std)) / 2


FLOW = [round(1 - 0.05 * i, 2) for i in range(20)]
RATIO = 0.75 * math.sqrt(1 - 0.6**2 / 0.8**2)
ANSWERS = [  # (page, what its answer says, the number again)
    ("1", "= 1.16$ nats", -math.log(1 - 0.95**2) / 2),
    ("1", "= 3.9$.", 100**2 / (50.5**2 + 99 * 0.25)),
    ("1", "so $d = 5/0.683 = 7.3$", 5 / sum(map(math.log, (1.05, 1.2, 1.1, 1.4, 1.02)))),
    ("2", "= 826$ nats more", 1024 * (1.5 - math.log(2))),
    ("2", "= 326$ nats more", 1024 * (math.log(2) + 1 / 8 - 1 / 2)),
    ("2", "= 21.9$ dB", 10 * math.log10(4 / 0.16**2)),
    ("2", "so $\\rho = -0.05$", 2 * 0.69**2 - 1),
    ("3", "= 0.818$ (1.18 bits)", kl(1, 0.5)),
    ("3", "= 52.4$ nats", 64 * kl(1, 0.5)),
    ("3", "= -1.43$", -math.log(2 * math.pi * 1.25) / 2 - 1 / 2.5),
    ("3", "= 0.405$", math.log(math.sqrt(0.2) / 0.2) + 0.04 / 0.4 - 0.5),
    ("3", "= 0.69$ nats, exactly", kl(math.sqrt(0.75), 0.5)),
    ("4", "= 2.5$ dB", 20 * math.log10(0.8 / 0.6)),
    ("4", "\\tanh 0.469 = 0.437$", math.tanh(0.6 * 0.5 / 0.8**2)),
    ("4", "= 0.496$. The old", RATIO),
    ("4", "\\cdot 0.875 = 0.695$", 0.4 + math.sqrt(0.36 - RATIO**2) * 0.875),
    ("4", "= 14.8$ dB", 20 * math.log10(5.5)),
    ("4", "= -23.3$ dB", 20 * math.log10(0.068 / math.sqrt(1 - 0.068**2))),
    ("5", "= 1.75$, so 0.76", 1.75**-0.5),
    ("5", "from 0.126 to 0.795", 2 / math.pi * math.atan(0.2)),
    ("5", ": 12 steps", sum(0.2 < u / (1 - u) <= 3 + 1e-9 for u in FLOW[1:])),
]


@pytest.mark.parametrize(("exam", "said", "again"), ANSWERS)
def test_the_numbers_of_the_answers_are_right(exam, said, again):
    path = next(path for path in EXAMS if path.stem.startswith(exam))
    assert said in path.read_text(encoding="utf-8")
    numbers = re.findall(r"-?\d+(?:\.\d+)?", said)
    assert any(abs(float(one) - again) <= 0.51 * 10 ** -len(one.partition(".")[2]) for one in numbers), again


def test_the_conversions_of_the_symbols_page_are_diffusers():
    from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

    ours = schedule.scaled_linear(1000).grid(1000)
    theirs = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    levels = [level for level in ours if level.t > 0]
    assert len(levels) == len(theirs.alphas_cumprod) == 1000
    for level in itertools.islice(levels, 0, None, 97):
        t = round(level.t)
        assert level.alpha == pytest.approx(theirs.alphas_cumprod[t - 1].item() ** 0.5, rel=1e-4)
        assert level.sigma == pytest.approx((1 - theirs.alphas_cumprod[t - 1].item()) ** 0.5, rel=1e-4)
    assert max(level.ratio for level in levels) == pytest.approx(theirs.sigmas.max().item(), rel=1e-3)
    flow = FlowMatchEulerDiscreteScheduler()
    assert flow.sigmas.max() <= 1
    assert schedule.flow(1000).grid(1000)[0].sigma == pytest.approx(flow.sigmas[0].item())
