"""Text of others: hidden characters become visible, wherever text is printed; all other text stays as it is."""

import re
import unicodedata

from tapeout.visible import HIDDEN, visible, visible_on_page

PLAIN = (
    "plain ASCII ~!\\x",
    "\u4e2d\u6587\u3000\u5168\u89d2",  # Chinese with an ideographic space
    "e\u0301 a\u030a n\u0303",  # combining
    "\U0001f600 \u2764\ufe0f \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea",  # variation, skin, flag
    "\U0001f469\u200d\U0001f4bb \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f\u200d\U0001f525",  # joined
    "1\ufe0f\u20e3 \u260e\ufe0e \xa9\ufe0f \u1820\u180b\u1821",  # key, variants of text, Mongolian
    "\u05e9\u05dc \u0645\u0631\u062d\u0628\u0627 \u0939\u093f\u0928\u094d\u0926\u0940",  # Hebrew, Arabic, Hindi
    "1\u00a0000\u202f000 \u2713 \u2717",
)
OBEYED = {"Cc", "Cs", "Zl", "Zp"}
VISIBLE_FORMATS = {0x6DD, 0x70F, 0x8E2, 0x110BD, 0x110CD, *range(0x600, 0x606), *range(0x890, 0x892)}
"""Signs around numbers: of the category of bidirectional controls, but printed."""
EGYPTIAN = range(0x13430, 0x13440)
"""Joiners that arrange hieroglyphs."""


def test_no_control_separator_or_format_character_is_left() -> None:
    for code in range(0x110000):
        character = chr(code)
        category = unicodedata.category(character)
        dangerous = category in OBEYED or unicodedata.bidirectional(character) in {
            *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN")
        }
        dangerous |= category == "Cf" and code not in VISIBLE_FORMATS and code not in EGYPTIAN
        hidden = any(first <= code <= last for first, last in HIDDEN)
        assert hidden or not dangerous or code & 0xFFFE == 0xFFFE, hex(code)
        for show in (visible, visible_on_page):
            shown = show(f"a{character}b")
            kept = not hidden or character in "\n\t"
            assert (shown == f"a{character}b") if kept else (character not in shown and shown.isprintable()), hex(code)


def test_selectors_stay_only_after_what_they_change() -> None:
    for selector, allowed in {"\u180b": range(0x1820, 0x18AB), "\ufe0f": (0x2139,), "\ufe00": ()}.items():
        text = visible(" ".join(f"{chr(code)}{selector}" for code in range(0x110000)))
        for character in re.findall(f"(?s)(.){selector}", text):
            picture = selector == "\ufe0f" and unicodedata.category(character)[0] in "SPC"
            assert picture or ord(character) in allowed, hex(ord(character))
    assert visible("1\ufe0f \u2764\ufe0f\ufe0f") == "1\\ufe0f \u2764\ufe0f\\ufe0f"
    assert visible("a\ufe0f\u200d\u2764") == "a\\ufe0f\\u200d\u2764"


def test_other_text_stays_as_it_is() -> None:
    for text in PLAIN:
        assert visible(text) == visible_on_page(text) == text


def test_known_answers() -> None:
    assert visible("\x1b]0;title\x07\r\n\tok") == "\\x1b]0;title\\x07\\r\n\tok"
    assert visible("safe\u202ecod.exe\u200b", "") == "safe\\u202ecod.exe\\u200b"
    assert visible("a\nb", "") == "a\\nb"
    assert visible("a\u200db \U0001f469\u200d") == "a\\u200db \U0001f469\\u200d"  # a joiner joins nothing here
    assert visible_on_page("\x1b\x7f\u202e\U000e0041\ud800") == "\u241b\u2421[U+202E][U+E0041]\ufffd"
