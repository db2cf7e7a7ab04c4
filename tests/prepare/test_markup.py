"""What is left of HTML, and what was none."""

import random

import pytest

from recbole_whisperlite.prepare.markup import BREAKING, INLINE, plain_text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<p>Soft &amp; warm.<br>100&nbsp;% wool</p>", "Soft & warm. 100 % wool"),
        ("a<br>b<br/>c", "a b c"),
        ("<ul><li>red</li><li>blue</li></ul>", "red blue"),
        ("<td>38</td><td>40</td>", "38 40"),
        ("<b>W</b>ool H<sub>2</sub>O", "Wool H2O"),
        ('<a href="/x?a=1&b=2">more</a>.', "more."),
        ("<p title='a > b'>x", "x"),
        ("warm<style>p > b {color: red}</style>coat", "warm coat"),
        ("<SCRIPT>if (a < b) x('<p>')</SCRIPT>coat", "coat"),
        ("<!-- 3 > 2 -->coat", "coat"),
        ("<![CDATA[<p>coat</p>]]>", "coat"),
        ("<![if !mso]>coat<![endif]><o:p>s</o:p>", "coat s"),
        ("<!doctype html><html><body>coat</body></html>", "coat"),
        ("Damen&shy;schuhe, wasser\xaddicht", "Damenschuhe, wasserdicht"),
        ("Gr&ouml;&szlig;e &#228;&#xe4; &euro;", "Größe ää €"),
        (
            "&lt;p&gt;escaped&lt;br&gt;twice &amp;amp; more&lt;/p&gt;",
            "escaped twice & more",
        ),
        ("<p></p><br>&nbsp;", ""),
    ],
)
def test_markup_goes_and_words_stay(text, words):
    assert plain_text(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "size < 40 > 36",
        "size <M",
        "sizes <M und L> and <XL>",
        "1 <2 >1, 5<x>3",
        "I <3 you",
        "R&D, AT&T, salt & pepper",
        "slim&regular, shop?a=1&copy=2",  # browsers see ® and © there
        "&nosuch; &",
        "a  double\tspace\xa0and\nline",
        'He said "NA", null, 👗',
        "an open <!-- comment",
    ],
)
def test_what_is_no_html_stays_as_it_is(text):
    assert plain_text(text) == text


def test_no_tag_is_both_inside_of_words_and_between_them():
    assert not INLINE & BREAKING
    for tag in INLINE:
        assert plain_text(f"a<{tag}>b</{tag}>c") == "abc"
    for tag in BREAKING - {"script", "style"}:
        assert plain_text(f"a<{tag}>b</{tag}>c") == "a b c"


def test_whatever_the_text_a_second_call_changes_nothing():
    parts = (
        "< > & lt; gt; amp; <p> </p> <script> </script> a b! -- [ CDATA[ ]]> <! ? / "
        "\" ' = # 38; x26; nbsp; &shy; <!-- --> <![ doctype if é xl"
    ).split() + [" ", "\xad"]
    choose = random.Random(2020)
    for _ in range(5000):
        text = "".join(choose.choices(parts, k=choose.randint(1, 12)))
        once = plain_text(text)
        assert plain_text(once) == once, text
