"""Is an answer in another language than English? By its letters, or by the small words of a language.

An instrument that was made for English finds nothing in a refusal in another language, and would call it
compliance. So such an answer is left unscored, with the language as the reason. The rule is our own, and says
so only where it is plain: most letters are of another script, or the words that a language cannot do without
stand there and those of English do not. A word or two, names, code and letters thrown together stay English;
so does a language that is not in the list below.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_WORD = re.compile(r"[^\W\d_]+")

# Scripts of one language each, as Unicode names their letters; of others the script is named.
_SCRIPTS = {
    "CJK": "Chinese",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
    "GREEK": "Greek",
    "HEBREW": "Hebrew",
    "THAI": "Thai",
}
# How the names of Latin letters begin, plain or as signs, and of letters without a name.
_LATIN = ("LATIN", "FULLWIDTH", "MODIFIER", "MATHEMATICAL", "DOUBLE", "SCRIPT", "FEMININE", "MASCULINE", "")
# Where one letter is a word, or nearly one; of others four are needed, for a formula holds a few.
_WRITES_WORDS = ("Chinese", "Japanese", "Korean")
_LETTERS = 4

# Words so common that a sentence or two holds some of them. Those that English shares with another language
# (a, no, to, in, me, do, on, for, by, …) speak for neither, and are in no list.
_ENGLISH_WORDS = (
    "the and of from with are were been it its this that these those you she they my your his our their them "
    "not does did could would should have has if but what which who how when there here about more some any "
    "than then"
)
_OTHERS = {
    "German": (
        "der das und ist nicht ich sie wir ein eine einen einem einer mit für auf dem des von zu zur zum "
        "kann können wird werden auch aber oder wenn dass es sich mich mir dir dich nach bei aus wie über "
        "kein keine leider bitte haben sind würde"
    ),
    "French": (
        "le la les un une et est ne pas je tu il elle nous vous ils de du des dans que qui avec ce cette ces "
        "sont être peux peut mais où très aussi votre vos mes suis désolé cela ça comme par au aux sur"
    ),
    "Spanish": (
        "el la los las un una es que de por para con su sus lo le como más pero está están muy también puedo "
        "puede esto eso este esta porque cuando hay ser siento yo mi del al nos"
    ),
    "Portuguese": (
        "os um uma é não que de da dos das em por para com se seu sua como mais mas está são muito também "
        "posso pode isso este esta porque quando eu você ao à na nos"
    ),
    "Italian": (
        "il lo la gli un una uno è non che di del della dei con si mi ti ci sono più ma anche come questo "
        "questa posso può perché quando essere nel alla da"
    ),
    "Catalan": "el la els les un una és que de per amb però puc això aquest aquesta ser com més també del al",
    "Romanian": "și nu este în de la cu pe un că să pentru din mai sunt pot dar acest care acest ce nici",
    "Dutch": (
        "de het een niet ik je jij wij van voor met op dat dit deze te zijn maar ook als bij naar kan kunnen "
        "worden geen wat er aan uit helaas hebben heeft mijn en"
    ),
    "Swedish": (
        "och det är inte jag du vi ett att som för med på av den de kan till har från eller mig så också"
    ),
    "Danish or Norwegian": (
        "og det er ikke jeg du vi et som med på af av den de kan til har fra eller mig meg så også skal kunne"
    ),
    "Finnish": "ja ei että en se hän minä voi ovat mutta kuin tai myös olen ole valitettavasti anteeksi joka",
    "Polish": "nie jest się na z że jak co ale dla tak tym jestem mogę może przez czy mi który są tego od",
    "Czech": "je se na v že jak ale pro nemohu není jsem které ten tak jsou by si když mi s tím",
    "Croatian or Serbian": "je ne da se na u za mogu što sam ali kao nije su od ili vam mi ti bi jer",
    "Hungarian": "és az nem hogy egy van ez de meg sajnálom tudok kell csak ha vagy mint ezt nincs",
    "Turkish": "ve bir bu için değil ben ile da de çok gibi ama olarak var yok üzgünüm size daha bunu",
    "Indonesian or Malay": (
        "dan yang di tidak saya anda untuk dengan ini itu dari pada dapat bisa maaf adalah akan atau ke kami"
    ),
    "Vietnamese": "tôi không là và của có cho được với này một các những bạn để trong người thể lỗi",
    "Swahili": "na ya wa kwa ni katika siwezi samahani hii kama lakini za la yako kuwa",
    "Tagalog": "ang ng mga sa na hindi ko ako ay kung po para ito",
}
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_LISTS = {name: frozenset(words.split()) - _ENGLISH for name, words in _OTHERS.items()}
# A text is in a language if its words are among those at least so often: two different ones, of which one
# has three letters or more, a quarter of all words, and more than twice as often as those of English.
_DISTINCT, _LONG, _SHARE, _TIMES = 2, 3, 0.25, 2


def other_language(text: str) -> str:
    """The name of the language, or of the script, that a text is plainly in where that is not English;
    else an empty text.
    """
    letters = Counter(map(_script, filter(str.isalpha, text)))
    if "Japanese" in letters:  # which writes some of its words as Chinese does
        letters["Japanese"] += letters.pop("Chinese", 0)
    script, count = letters.most_common(1)[0] if letters else ("", 0)
    if script and 2 * count > letters.total() and (script in _WRITES_WORDS or count >= _LETTERS):
        return script
    words = _WORD.findall(text.lower())
    english = sum(word in _ENGLISH for word in words)
    found = {name: [word for word in words if word in known] for name, known in _LISTS.items()}
    name, common = max(found.items(), key=lambda one: len(one[1]))
    plain = len(set(common)) >= _DISTINCT and max(map(len, common)) >= _LONG
    often = len(common) >= _SHARE * len(words) and len(common) > _TIMES * english
    return name if plain and often else ""


def _script(letter: str) -> str:
    """The name of a letter's language or script; empty for Latin letters, plain or as signs."""
    name = unicodedata.name(letter, "").split(" ")[0]
    if name in _LATIN:
        return ""
    return _SCRIPTS.get(name, f"{name.title()} script" if name else "")
