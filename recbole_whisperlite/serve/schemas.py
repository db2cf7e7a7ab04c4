"""What clients send and get, as pydantic models: the source of ``/docs``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from recbole_whisperlite import feedback
from recbole_whisperlite.serve.limits import (
    MOST_ID,
    MOST_IDS,
    MOST_K,
    MOST_REQUESTS,
    MOST_TEXT,
)


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("there is a NUL character in the text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("there is half a surrogate pair in the text") from None
    return text


Text = Annotated[str, Field(max_length=MOST_TEXT), AfterValidator(_storable)]
Word = Annotated[str, Field(max_length=MOST_ID), AfterValidator(_storable)]
Id = Annotated[str, Field(min_length=1, max_length=MOST_ID), AfterValidator(_storable)]
Ids = Annotated[list[Id], Field(max_length=MOST_IDS)]
Count = Annotated[int, Field(ge=1, le=MOST_K, strict=True)]
Model = Annotated[
    Id | None, Field(description="which model answers; by default the first")
]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Range(_Body):
    """Numbers from ``min`` to ``max``, both included; either may be left out."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _says_something(self):
        if self.min is None and self.max is None:
            raise ValueError("a range needs min or max")
        return self


Value = Annotated[Word | Number, Field(union_mode="left_to_right")]
Condition = Value | Annotated[list[Value], Field(max_length=MOST_IDS)] | Range


class _Among(_Body):
    model: Model = None
    k: Annotated[Count, Field(description="how many products")] = 10
    exclude: Annotated[Ids, Field(description="products to leave out")] = []
    among: Annotated[Ids | None, Field(description="the only products to rank")] = None
    where: Annotated[
        dict[Id, Condition],
        Field(
            description="conditions on columns: a value, several of them, or a range",
            examples=[{"colour": ["black", "navy"], "price": {"max": 50}}],
        ),
    ] = {}
    columns: Annotated[
        list[Id],
        Field(max_length=50, description="columns of the catalogue that come along"),
    ] = []


class Asking(_Among):
    """One request, or several of the same user."""

    request: Annotated[
        Text | None, Field(description="what is wanted, in the shopper's words")
    ] = None
    requests: Annotated[
        list[Text] | None, Field(min_length=1, max_length=MOST_REQUESTS)
    ] = None
    user: Annotated[
        Id | None, Field(description="who asks: history and feedback are used")
    ] = None
    history: Annotated[
        Ids | None, Field(description="products, oldest first, instead of the user's")
    ] = None
    picture: Annotated[
        str | None, Field(description="the bytes of a picture in base64")
    ] = None
    like: Annotated[
        Id | None, Field(description="a product that was shown: like this, but …")
    ] = None
    exclude_seen: Annotated[
        bool, Field(strict=True, description="leave out the products of the history")
    ] = True
    explain: Annotated[
        bool, Field(strict=True, description="with the parts of each score")
    ] = False

    @model_validator(mode="after")
    def _asks_for_one_thing(self):
        if self.request is not None and self.requests is not None:
            raise ValueError("give request or requests, not both")
        return self


class AskingSimilar(_Among):
    """The products most similar to one."""

    item: Id


class Understood(BaseModel):
    """What was understood of a request."""

    wish: str
    ruled_out: str


class Found(BaseModel):
    """A product of an answer."""

    item: str
    rank: int
    score: Annotated[float, Field(description="comparable only within an answer")]
    text: Annotated[str, Field(description="what the model knows it by")]
    picture: Annotated[str | None, Field(description="its address on this service")]
    columns: dict[str, str | float | None]
    parts: Annotated[
        dict[str, float] | None,
        Field(description="with explain: their sum is the score"),
    ] = None
    times_chosen: Annotated[
        int | None, Field(description="with explain: for the same request before")
    ] = None


class Answer(BaseModel):
    """The products for one request, the best first."""

    answer: Annotated[str, Field(description="an id, for feedback")]
    request: str
    user: str | None
    understood: Understood
    notes: list[str]
    items: list[Found]


class Answers(BaseModel):
    """An answer for each request."""

    model: str
    answers: list[Answer]


class Said(_Body):
    """A shopper's word on a product."""

    item: Id
    outcome: Literal[feedback.OUTCOMES]
    rank: Annotated[int | None, Field(ge=1, le=10**6, strict=True)] = None


class Saying(_Body):
    """Feedback on the products of an answer."""

    user: Id
    events: Annotated[list[Said], Field(min_length=1, max_length=MOST_K)]
    request: Text = ""
    answer: Word = ""
    model: Model = None
    id: Annotated[
        Id | None,
        Field(description="of this message of the user; sent again it is stored once"),
    ] = None


class Stored(BaseModel):
    """What was stored; it is on the disk."""

    stored: int


class Changing(_Body):
    """Products that come and go."""

    model: Model = None
    add: Annotated[
        list[dict[Id, Text | Number | Ids | None]], Field(max_length=MOST_IDS)
    ] = []
    remove: Ids = []
    save: Annotated[
        bool,
        Field(strict=True, description="write the model to its folder afterwards"),
    ] = False


class Changed(BaseModel):
    """A model after a change."""

    model: str
    items: Annotated[int, Field(description="how many products it has")]


class Item(BaseModel):
    """A product of the catalogue."""

    item: str
    text: str
    picture: str | None
    columns: dict[str, str | float | None]


class AboutModel(BaseModel):
    """A model of the service."""

    name: str
    model: str
    items: int
    users: Annotated[int | None, Field(description="None: exported without users")]
    columns: Annotated[dict[str, str], Field(description="atomic types, for where")]
    knows_pictures: bool
    about: dict


class AboutUser(BaseModel):
    """What is known of a shopper."""

    user: str
    known: Annotated[bool, Field(description="whether the model has a history")]
    history: Annotated[list[str], Field(description="products, oldest first")]
    said: Annotated[
        dict[str, str], Field(description="the last outcome of each product")
    ]


class Error(BaseModel):
    """Every error."""

    class _Error(BaseModel):
        status: int
        message: str
        accepted: str

    error: _Error
