"""Number words from 1 to 999,999 in English, German, French and Chinese."""

from corpus.chance import Dice
from corpus.item import Item


def _words(text: str) -> tuple[str, ...]:
    """Cut a line into words; those of value zero are empty."""
    return ("", *text.split())


_EN = _words(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen"
)
_EN_TENS = ("", *_words("twenty thirty forty fifty sixty seventy eighty ninety"))
_DE = _words(
    "ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn "
    "neunzehn"
)
_DE_TENS = ("", *_words("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"))
_FR = _words(
    "un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf"
)
_FR_TENS = ("", *_words("vingt trente quarante cinquante soixante"))
_ZH = "零一二三四五六七八九"


def english(n: int) -> str:
    """Name n in British English: `three hundred and forty-two`."""
    if n < 20:
        return _EN[n]
    if n < 100:
        return _EN_TENS[n // 10] + (f"-{_EN[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{_EN[n // 100]} hundred" + (f" and {english(n % 100)}" if n % 100 else "")
    rest = n % 1000
    joint = " and " if rest < 100 else " "
    return f"{english(n // 1000)} thousand" + (f"{joint}{english(rest)}" if rest else "")


def german(n: int) -> str:
    """Name n in German, as one word: `dreihundertzweiundvierzig`."""
    word = _german_stem(n)
    return f"{word}s" if n % 100 == 1 else word


def _german_stem(n: int) -> str:
    if n < 20:
        return _DE[n]
    if n < 100:
        return (f"{_DE[n % 10]}und" if n % 10 else "") + _DE_TENS[n // 10]
    if n < 1000:
        return f"{_DE[n // 100]}hundert{_german_stem(n % 100)}"
    return f"{_german_stem(n // 1000)}tausend{_german_stem(n % 1000)}"


def french(n: int) -> str:
    """Name n in French, in the spelling before 1990: `trois cent quarante-deux`."""
    if n < 20:
        return _FR[n]
    if n < 70:
        unit = n % 10
        return _FR_TENS[n // 10] + (" et un" if unit == 1 else f"-{_FR[unit]}" if unit else "")
    if n < 80:
        return "soixante et onze" if n == 71 else f"soixante-{_FR[n - 60]}"
    if n < 100:
        return "quatre-vingts" if n == 80 else f"quatre-vingt-{_FR[n - 80]}"
    if n < 1000:
        hundreds, rest = divmod(n, 100)
        head = "cent" if hundreds == 1 else f"{_FR[hundreds]} cent{'' if rest else 's'}"
        return f"{head} {french(rest)}" if rest else head
    thousands, rest = divmod(n, 1000)
    # `cents` and `quatre-vingts` lose their s before `mille`.
    count = french(thousands)
    count = count.removesuffix("s") if thousands % 100 in (0, 80) else count
    head = "mille" if thousands == 1 else f"{count} mille"
    return f"{head} {french(rest)}" if rest else head


def chinese(n: int) -> str:
    """Name n in Chinese: `三百四十二`; two thousands are `两千`, gaps are one `零`, and `万` counts ten thousands."""
    if n >= 10_000:
        count, rest = divmod(n, 10_000)
        head = ("两" if count == 2 else chinese(count)) + "万"
        if not rest:
            return head
        # After 万, 14 is 零一十四: a gap, and its 十 is counted.
        low = "一" + chinese(rest) if 10 <= rest < 20 else chinese(rest)
        return head + ("零" if rest < 1000 else "") + low
    if n < 10:
        return _ZH[n]
    if n < 20:
        return "十" + (_ZH[n % 10] if n % 10 else "")
    text, has_gap = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = n // unit % 10
        if digit:
            text += ("零" if has_gap and text else "") + ("两" if unit == 1000 and digit == 2 else _ZH[digit]) + name
        has_gap = not digit
    return text


LANGUAGES = {"German": german, "Chinese": chinese, "French": french}


def translation(dice: Dice, language: str, *, is_test: bool = False) -> Item:
    """Translate an English number word; a number is held out of training in all languages at once.

    Test documents have four to six digits, a zero among them: there the languages differ most.
    """
    digits = dice.pick((4, 5, 6)) if is_test else dice.pick((1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6))
    n = dice.between(10 ** (digits - 1), 10**digits - 1)
    while is_test and "0" not in str(n):
        n = dice.between(10 ** (digits - 1), 10**digits - 1)
    source, target = english(n), LANGUAGES[language](n)
    return Item(
        key=f"number {n}",
        prompt=f"English: {source}\n{language}:",
        answer=f" {target}",
        fields={"source": source, "target": target},
    )
