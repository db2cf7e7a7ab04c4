"""The files that ``study make`` writes, as pydantic models: the plan and the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from recbole_whisperlite.errors import UserError

PLAN, KEY = "study.json", "key.json"
#: The scale that is used unless another one is given.
DEFAULT_SCALE = Path(__file__).with_name("scale.yaml")
#: In the wording of an attention check, where the answer to give stands.
LABEL = "{label}"
#: Characters of a request.
MOST_TEXT = 20_000

Text = Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]
Place = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Option(_Strict):
    """What can be answered: a label, and the value that it counts as."""

    value: Annotated[float, Field(allow_inf_nan=False)]
    label: Text


class Scale(_Strict):
    """What raters are asked, and what they can answer, from worst to best."""

    title: Text
    introduction: Text
    question: Text
    options: Annotated[list[Option], Field(min_length=2, max_length=11)]
    attention: Text

    @model_validator(mode="after")
    def _is_a_scale(self):
        if any(one >= other for one, other in zip(self.values, self.values[1:])):
            raise ValueError("the values of options must rise, from worst to best")
        labels = [option.label for option in self.options]
        if len({*labels}) < len(labels):
            raise ValueError("two options have the same label")
        if LABEL not in self.attention:
            raise ValueError(f"attention must say {LABEL}, for the answer to give")
        return self

    @property
    def values(self) -> list[float]:
        """list of float: What the options count as, ascending."""
        return [option.value for option in self.options]

    def told_check(self, option: int) -> str:
        """Return the wording of an attention check whose answer is an option."""
        return self.attention.replace(LABEL, self.options[option].label)


class Product(_Strict):
    """A product as raters see it.

    Attributes:
        item (str): Its id.
        text (str): What is said of it.
        picture (str or None): The name of a file in ``pictures/``.
    """

    item: str
    text: str
    picture: str | None


class Shown(_Strict):
    """A list: products for a request, by number.

    Attributes:
        request (int): Of :attr:`Plan.requests`.
        k (int): How many products were asked for.
        products (list of int): Of :attr:`Plan.products`, in the order of the catalogue
            or of a model; each page has an order of its own.
    """

    request: Place
    k: Annotated[int, Field(ge=1)]
    products: list[Place]


class Check(_Strict):
    """An attention check: at which place of a page, and which option is the answer."""

    place: Place
    option: Place


class Page(_Strict):
    """A list as a rater sees it: its products in the order shown, maybe with a check."""

    shown: Place
    products: list[Place]
    check: Check | None = None

    @property
    def n_entries(self) -> int:
        """int: What is to be judged: products, and a check."""
        return len(self.products) + (self.check is not None)


class Rater(_Strict):
    """A rater: a name for the report, the secret of the link, and pages in order."""

    name: Text
    secret: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{16,}$")]
    pages: list[Page]


class Plan(_Strict):
    """All that raters are shown, and nothing of who made it."""

    format: Literal["recbole-whisperlite study"] = "recbole-whisperlite study"
    version: Literal[1] = 1
    id: Text
    created: Text
    scale: Scale
    requests: list[Text]
    products: list[Product]
    lists: list[Shown]
    raters: list[Rater]

    @model_validator(mode="after")
    def _hangs_together(self):
        for shown in self.lists:
            if shown.request >= len(self.requests):
                raise ValueError("a list names a request that is not there")
            if any(number >= len(self.products) for number in shown.products):
                raise ValueError("a list names a product that is not there")
        for page in (page for rater in self.raters for page in rater.pages):
            if page.shown >= len(self.lists):
                raise ValueError("a page names a list that is not there")
            if sorted(page.products) != sorted(self.lists[page.shown].products):
                raise ValueError("a page does not show the products of its list")
            if page.check and (
                page.check.place > len(page.products)
                or page.check.option >= len(self.scale.options)
            ):
                raise ValueError("an attention check is out of place")
        return self


class Model(_Strict):
    """A model of the study: its name, what it is, and where it came from."""

    name: Text
    kind: Text
    source: Text


class Drawn(_Strict):
    """How a study was drawn.

    Attributes:
        requests_file (str): From where.
        requests_in_file (int): From how many, each once.
        catalogue (int): How many products the first model has.
        per_request (int): How many raters judge each request.
        k (list of int): The sizes of lists.
        seed (int): Of all that is drawn.
    """

    requests_file: str
    requests_in_file: int
    catalogue: int
    per_request: int
    k: list[int]
    seed: int


class Key(_Strict):
    """What raters must not know.

    Attributes:
        id (str): That of the plan.
        models (list of Model): In the order in which they were given.
        made_by (list of list of str): For each list of the plan, the names of the models
            that made it: several, where they found the same products.
        users (list): For each request, who asked; None for nobody.
        drawn (Drawn): How the study was drawn.
    """

    id: Text
    models: list[Model]
    made_by: list[list[Text]]
    users: list[str | None]
    drawn: Drawn


Read = TypeVar("Read", bound=_Strict)


def read_scale(path: str | Path) -> Scale:
    """Return the scale in a yaml file.

    Raises:
        UserError: If it cannot be read, or is no scale; the message says why.
    """
    try:
        content = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not yaml: {' '.join(str(error).split())}") from None
    return _checked(path, content, Scale)


def read_plan(folder: str | Path) -> Plan:
    """Return the plan of a study.

    Raises:
        UserError: If the folder holds no study, or its plan is damaged.
    """
    path = Path(folder, PLAN)
    if not path.is_file():
        raise UserError(
            f"{folder} is no study: it has no {PLAN}. Make one with: recbole-whisperlite "
            f"study make … --output {folder}"
        )
    return _read_json(path, Plan)


def read_key(folder: str | Path, plan: Plan) -> Key:
    """Return the key of a study.

    Raises:
        UserError: If it is missing, damaged, or that of another study.
    """
    path = Path(folder, KEY)
    key = _read_json(path, Key)
    names = {model.name for model in key.models}
    if (
        (key.id, len(key.made_by), len(key.users))
        != (plan.id, len(plan.lists), len(plan.requests))
        or not all(key.made_by)
        or any({*each} - names for each in key.made_by)
    ):
        raise UserError(f"{path} is the key of another study than {PLAN} beside it.")
    return key


def _read_json(path, kind: type[Read]) -> Read:
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: this is not JSON ({error}).") from None
    return _checked(path, content, kind)


def _text(path):
    try:
        return Path(path).read_text("utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error.reason}).") from None


def _checked(path, content, kind: type[Read]) -> Read:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        mistake = error.errors()[0]
        where = ".".join(map(str, mistake["loc"]))
        said = mistake["msg"].removeprefix("Value error, ").rstrip(".")
        fields = ", ".join(kind.model_fields)
        raise UserError(
            f"{path}: {f'{where}: ' if where else ''}{said}. It holds {fields}."
        ) from None
