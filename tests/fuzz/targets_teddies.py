"""Specs of the teddies: factors, captions, the data set and the renderer."""

from typing import Any

from inputs import factors, generator, labels
from spec import exclude, exclude_module, spec

from course_lib import teddies

F, C = "teddies.factors", "teddies.captions"

spec(f"{F}.num_values")(lambda: {"name": "fur"})
spec(f"{F}.value_index")(lambda: {"name": "fur", "value": "pink"})
spec(f"{F}.Factors.replace", fixed=("self",))(lambda: {"self": factors(), "fur": "pink", "light": 0.5, "count": [0, 1, 1, 0]})
spec(f"{F}.Factors.replace", fixed=("self",))(lambda: {"self": factors(), "scarf": factors().scarf, "x": factors().x})
spec(f"{F}.Factors.describe", fixed=("self",), raises=(IndexError,))(lambda: {"self": factors(), "row": 2})
spec(f"{F}.Factors.to", lambda self: self.to("cpu"), fixed=("self",))(lambda: {"self": factors()})
spec(f"{F}.Factors.labels", fixed=("self",))(lambda: {"self": factors()})
GET: dict[str, Any] = {"fixed": ("self",), "raises": (IndexError,)}
spec(f"{F}.Factors.__getitem__", lambda self, rows: self[rows], **GET)(lambda: {"self": factors(), "rows": [0, 2]})
spec(f"{F}.Factors.__getitem__", lambda self, rows: self[rows], **GET)(lambda: {"self": factors(), "rows": 1})
exclude("a record of factors, which the functions that take it check", f"{F}.Factors")
exclude("takes no arguments", f"{F}.Factors.items", f"{C}.vocabulary", f"{C}.lexicon")
spec(f"{F}.check_is_factors")(lambda: {"factors": factors()})
spec(f"{F}.check_factors")(lambda: {"factors": factors()})
spec(f"{F}.check_labels", shapes={"labels": "[N, 5]"}, labels={"labels": 100})(lambda: {"labels": labels()})
spec(f"{F}.sample_factors")(lambda: {"n": 3, "generator": 5, "fur": "pink", "light": 0.5, "count": [0, 1, 1]})
spec(f"{F}.sample_factors")(lambda: {"n": 3, "generator": generator(), "x": factors(3).x})
spec(f"{F}.combination_id")(lambda: {"factors": factors()})
spec(f"{F}.is_held_out")(lambda: {"factors": factors()})
spec(f"{F}.combination", labels={"ids": teddies.NUM_COMBINATIONS})(lambda: {"ids": teddies.combination_id(factors())})
spec(f"{F}.combination")(lambda: {"ids": 7})

spec(f"{C}.captions")(lambda: {"factors": factors(), "mention": ("fur", "count")})
spec(f"{C}.captions_from_labels", shapes={"labels": "[N, 5]"}, labels={"labels": 100})(lambda: {"labels": labels()})
spec(f"{C}.parse_caption", text=("caption",))(lambda: {"caption": "two pink teddy bears"})
spec(f"{C}.labels_from_captions", text=("text",))(lambda: {"text": ["two pink teddy bears", "one bear"]})
spec(f"{C}.labels_from_captions", text=("text",))(lambda: {"text": "two pink teddy bears"})

spec("teddies.dataset.dataset")(lambda: {"n": 2, "seed": 3, "size": 16, "unseen": False, "fine": True, "grain": False})
spec("teddies.render.render")(lambda: {"factors": factors(2), "size": 16, "chunk": 1, "fine": True, "grain": False})
spec("teddies.render.render")(lambda: {"factors": factors(2), "size": 32, "fine": False})

for name in ("bear", "canvas", "fur", "palette", "props", "scenes"):
    exclude_module("draws a part of an image for teddies.render, which checks the factors and the size", f"teddies.{name}")
