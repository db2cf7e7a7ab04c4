"""Words of languages with spaces between them, and of those without."""

import re

import pytest
from recbole.utils import get_model
from tiny import write_tiny

from recbole_whisperlite.words import words_of


@pytest.mark.parametrize(
    "text",
    ["A red dress, size M!", "don't_stop 2-in-1", "Größe für Mädchen, naïve café", ""],
)
def test_where_there_are_spaces_words_are_what_sklearn_takes_for_one(text):
    assert words_of(text) == re.findall(r"(?u)\b\w+\b", text.lower())


@pytest.mark.parametrize(
    "text, found",
    [
        ("靴", ["靴"]),
        ("红色裙", ["红", "色", "裙", "红色", "色裙"]),
        ("XL サイズ, 2枚", ["xl", *"サイズ", "サイ", "イズ", "2", "枚"]),
        ("ดำ", ["ดำ"]),  # one letter with a mark would be none to \w
        ("รองเท้า"[:4], ["รอ", "อง", "งเ", "รอง", "องเ"]),
        # combining accents, and the vowels of Hindi, belong to their words
        ("cafe\u0301 noir", ["cafe\u0301", "noir"]),
        ("लाल पोशाक", ["लाल", "पोशाक"]),
    ],
)
def test_runs_without_spaces_are_counted_by_characters(text, found):
    assert words_of(text) == found


CATALOGUES = {
    "Chinese": {
        "items": ["红色连衣裙", "蓝色牛仔裤", "黑色皮靴", "白色棉衬衫", "绿色羊毛围巾"],
        "requests": {"想要一条红色的裙子": 0, "冬天穿的皮靴": 2, "棉质衬衫": 3},
    },
    "Japanese": {
        "items": [
            "赤いワンピース",
            "青いジーンズ",
            "黒い革ブーツ",
            "白いシャツ",
            "緑のマフラー",
        ],
        "requests": {"赤のワンピースがほしい": 0, "冬用のブーツ": 2, "白シャツ": 3},
    },
    "Thai": {
        "items": [
            "ชุดเดรสสีแดง",
            "กางเกงยีนส์",
            "รองเท้าบูทหนัง",
            "เสื้อเชิ้ตสีขาว",
            "ผ้าพันคอ",
        ],
        "requests": {"อยากได้เดรสแดง": 0, "บูทหนังสำหรับหน้าหนาว": 2, "เชิ้ตขาว": 3},
    },
}


@pytest.mark.parametrize("model", ["BM25", "ZeroShot"])
@pytest.mark.parametrize("language", CATALOGUES)
def test_a_shop_without_spaces_finds_what_is_asked_for(
    tmp_path, prepare, model, language
):
    titles, asked = CATALOGUES[language].values()
    items = {f"i{n}": title for n, title in enumerate(titles)}
    # training has other requests; those that are asked come last
    texts = [*titles, *asked]
    choices = [(f"u{n}", f"i{n % 5}", f"r{n}", n) for n in range(len(texts))]
    requests = {f"r{n}": text for n, text in enumerate(texts)}
    write_tiny(tmp_path, choices=choices, requests=requests, items=items)
    args = {"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "none"}
    settings = {"encoder": "tfidf", "eval_args": args}
    config, dataset, (train, _, _) = prepare(model, tmp_path, **settings)
    found = get_model(model)(config, train._dataset)
    rows = [dataset.request_texts.index(text) for text in asked]
    import torch

    best = found.score_catalogue(torch.tensor(rows))[:, 1:].argmax(dim=1) + 1
    best = dataset.id2token("item_id", best.numpy())
    assert best.tolist() == [f"i{right}" for right in asked.values()]
