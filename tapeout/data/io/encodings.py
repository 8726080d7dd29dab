"""Recognize legacy encodings of source code, where only a few comments are not ASCII.

Every encoding that can decode the bytes is a candidate. Its score is the fraction of characters beyond ASCII that one
expects in its languages; a candidate is chosen only if its score is high and that of every other text is clearly lower.
General detectors (charset-normalizer 3.5) are wrong on every third comment of this length.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

MIN_SCORE, MARGIN = 0.6, 0.15
"""Minimum score of an encoding, and minimum distance to the score of any other text."""
RARER = 0.84
"""Factor for encodings of languages that are plausible only where Western European ones are not."""
SCORED_CHARACTERS = 20_000

SIMPLIFIED = frozenset(
    "的一是不了在有人我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如"
    "都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间"
    "由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名"
    "真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便"
    "空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让"
    "识候带导争运钟号输复寄存器址状态模块端使计写读宽参配控线双单储低沿触异步延迟频率采样缓冲满校验码编译移右左除乘减选择测试仿波初始默注释版"
    "组逻辑综约束门级裕扇耗积布局引脚封装盘阻容感压热温摄像素消隐乒乓握协议桥设启停拍水顿冒险推支预堆栈针偏借舍精浮尾阶规累滤波卷矩阵神经络池激活权"
    "置密解哈希随机种伪序冗余检纠汉格雷独盘鼠音视频播录声增益幅弦查找环倍振荡晶差毛刺抖仲裁轮询令牌交红绿黄灯梯层指纹闹历湿距离超舵步马速角编器张伟"
    "修改描述功说图例送收串列断优先级请响效待忙闲错误标志溢零降奇偶字节帧尾循环跳转令执映射调阻脉片钮按键灯闪烁秒毫微显示屏锁深浅匹配位拼扩展"
)
TRADITIONAL = frozenset(
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作里用道行所然家種事成方多經麼去法學如都"
    "同現當沒動面起看定天分還進好小部其些主樣理心本前開但因只從想實日者意無力它與長把機十第公此已工使情明性知全三又關點正業外將兩高間由問很最"
    "重並物手應向頭文體相見被利二等產或新己制身果加合回特代內信表化給位次度門任常先通原東聲提立及比員解名真論處各入幾口認條平系題更別打變四總"
    "何電數安少報結反受目太量再建做接必場件計管期直指令許統區保至形社便空決展科司五基書非則界達光放強即像難且完設式色路記品住告類求據程北邊該"
    "交規萬取格術領共確傳師觀清今切讓識候帶導運脈訊號輸重置暫存器址狀態模組埠致寫讀寬參控匯流排塊線雙單儲低緣觸步延遲頻率樣緩衝滿校驗碼編譯移"
    "右左除乘減選擇測試擬波初始預註釋版修改描述功檔案稱建立圖例送收串列斷優先級請響效待忙閒錯誤標志溢零降奇偶節循環跳轉執映射調秒毫微顯示鎖深"
)
JAPANESE = frozenset(
    "日一国会人年大十二本中長出三同時政事自行社見月分議後前民生連五発間対上部東者党地合市業内相方四定今回新場金員九入選立開手米力学問高代明実"
    "円関決子動京全目表通外最言氏現理調体化当八六約主題下首意法信号端値制御路有効無初期変更追加修正作成説宣名状態遷移読込書番桁幅割周波形検証"
    "試験用途使機能品処並列直転送受始終了確認必要参照指択比較演算減乗除符付整数固小点保持非立設計単位時計器線基準側個別条件式命令実装結果待判断"
)
KOREAN = frozenset(
    "이다의는을를에가하고지로기리사인스시은한도서대나어자정일라수해부아전보상원제구그만장주동과안것공조여유연중위화성경오선신요비소무생방관물모들"
    "계발문드트내있게마세개실용학분치적국명회간력음면당결양법단업진재터레립클럭입출데버카운셋초값폭호상태읽쓰메블록설작인페파미벤승할언변참코곱셈덧"
    "뺄눗교멀플렉저큐완료끝류않때및또같통되된합니습했없록각우임남북순열행표함"
)
KANA = re.compile("[\u3041-\u3096\u30a1-\u30fc]")
CJK_MARKS = re.compile("[\u3000-\u3011\u2018\u2019\u201c\u201d\u2026\u2014\u2192\u00b7\uff01-\uff5e]")

WESTERN = (*("äöüß", "àâæçéèêëîïôœùûüÿ", "áéíñóúüïç", "áâãàçéêíóôõúü", "àçèéìïíòóúùü", "æøåéöä", "åäöéü", "áéëïóöüè"),)
NOT_WESTERN = re.compile(
    r"è[aeiouyáéíóú]|^è.|ø[aeiou]|æ[aiou]|ì.|^ò|ù.|(?<![io])ù|ñ(?![aeiouáéíóúü])|ê(?![tmlrvngs]|ch|$)|[^c]ê$|õ(?!e)"
    r"|(?<!o)(?<!d)(?<!br)(?<!fl)(?<!q)(?<!^s)(?<!^m)û|ç(?![aouãõâáóúôe]|$)|œ(?![ue])|[^a]ï$|(?<![aeou])ï|ã(?![oes]|$)|(?<![hmçr])ã$|[âî]$"
    r"|[aeiouy]æ$|^[ÿêûîïëãõâ]$|^øc$|^æ[sfhma]$"
)
"""Letters at positions where no Western European language has them: words of others, read as Windows-1252."""
CENTRAL = ("áčďéěíňóřšťúůýžäôľĺŕ", "ąćęłńóśźż", "áéíóöőúüű", "čćđšž", "ăâîşţ")
TURKISH = ("çğıöşüi\u0307",)
ONLY_THERE = frozenset("čďěňřťůąćęłńśźżőűăşţľĺŕđğı")
"""Letters that Windows-1252 lacks; two of them are evidence for another encoding."""
MARKS = re.compile(
    r"""[\xa0©®™€•„§…–—’‘“«»·¿¡£¬]|”(?![^\W_])|(?<![^\W\d_])[°±µ×÷]|(?<=[\w)])(?<![^\W\d_]{4})(?<![^\x00-\x7f])[²³¹](?![^\W\d_])|(?<=[\w)])[ªº](?![^\W\d_])|(?<![^\W\d_])[¼½¾](?![^\W\d_])"""
)
"""Marks at positions that they have in Western European text."""
LATIN_MARKS = frozenset("©®°±²³µ·×÷«»§¼½¾–—‘’“”„•…€™¿¡ªº£¬\xa0¹")
JOINING_MARKS = frozenset("’–—·…‘«»“”\xa0")
MIN_LATIN, MIN_CYRILLIC, MIN_PAIRS = 0.9, 0.7, 0.3
VOWEL = re.compile("[аеёиоуыэюяіїє]", re.IGNORECASE)
COMMON_CYRILLIC = frozenset("оеаинтсрвлкмд")
COMMON_PAIRS = (
    "ст но то на ен ов ни ра во ко ал ли по ре ро та ер ос ор ан пр ет ка тр из ва ел ат ол де ом ло ди ть ин ти ле "
    "ие ес не нн за од хо да ны ых ма ми ме мо мн ис ит ий ой ый ая ае ия ак ам ар ас ав ад до ви ве вы бо ри ру со си "
    "се сл сп ск тв те ки ку кт ль ня об от оп ог ок уп ус чт че чи ше шт ще эт"
)
WITHOUT_MARKS = {ord(mark): " " for mark in LATIN_MARKS}
C1_CONTROL = re.compile("[\x80-\x9f]")
WORD = re.compile(r"[^\W\d_]+")
BOX_IN_WORD = re.compile("[\u0400-\u045f][\u2500-\u259f]|[\u2500-\u259f][\u0400-\u045f]")
OF_MACINTOSH = re.compile("[ЂЃѓЉЊЌЋЏђљњќћџ]|[а-яё]Я|[‚†‡€‰‹‘•™›][а-яё]")
"""Characters that Russian text in Mac encoding yields when it is decoded as Windows-1251."""
RUN = re.compile(r"[^\x00-\x7f]+")

HZ_RUN = re.compile(rb"~\{((?:[\x21-\x77][\x21-\x7e])+?)~\}")
"""Chinese between ASCII in the encoding HZ, where each byte lacks its highest bit."""
DOUBLED = re.compile("[\xc2-\xf4][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")
"""Two bytes of UTF-8 that were read as Windows-1252."""
WINDOWS_BYTES = {ord(bytes([code]).decode("cp1252", "ignore") or chr(code)): code for code in range(0x80, 0xA0)}


def hz_text(content: bytes) -> str | None:
    """Return the text of ASCII bytes with Chinese in the encoding HZ, or None if they have none.

    In HZ each ``~`` outside Chinese is doubled. Where one is not, only the Chinese is decoded.
    """
    runs = [bytes(code | 0x80 for code in run) for run in HZ_RUN.findall(content)]
    try:
        texts = [run.decode("gb2312") for run in runs]
    except UnicodeDecodeError:
        return None
    if not texts or ENCODINGS["GBK"][1](" ".join(texts)) < MIN_SCORE:
        return None
    try:
        return content.decode("hz")
    except UnicodeDecodeError:
        following = iter(texts)
    return HZ_RUN.sub(lambda _: next(following).encode(), content).decode()


def undoubled(text: str) -> str:
    """Restore a text whose UTF-8 was read as Windows-1252 and encoded again, once or several times.

    A text is returned as it is if a single character beyond ASCII cannot come from such UTF-8.
    """
    while DOUBLED.search(text):
        try:
            text = text.translate(WINDOWS_BYTES).encode("latin-1").decode()
        except UnicodeError:
            break
    return text


def legacy_text(content: bytes) -> tuple[str, str] | None:
    """Return the text of bytes that are not UTF-8 and the name of their encoding; None if no encoding is certain."""
    if b"\x1b$" in content and content.isascii():
        return _escaped_text(content)
    lines = [line for line in content.split(b"\n") if not line.isascii()]
    sample = b"\n".join(lines)
    texts: dict[str, tuple[float, str, str]] = {}
    for name, (codec, score) in ENCODINGS.items():
        try:
            text = sample.decode(codec)
        except UnicodeDecodeError:
            continue
        value = score(text[:SCORED_CHARACTERS])
        if text not in texts or texts[text][0] < value:
            texts[text] = value, name, codec
    (best, name, codec), (second, *_), *_ = *sorted(texts.values(), reverse=True), (0.0, "", ""), (0.0, "", "")
    if best < MIN_SCORE or best - second < MARGIN:
        return None
    return content.decode(codec), name


def _escaped_text(content: bytes) -> tuple[str, str] | None:
    try:
        return content.decode("iso2022_jp"), "ISO-2022-JP"
    except UnicodeDecodeError:
        return None


def _east_asian(
    frequent: frozenset[str], common: Callable[[str], bool], of_common: float = 0.35, kana: bool = False
) -> Callable[[str], float]:
    """Return the score of texts in an East Asian language.

    Args:
        frequent: characters that are frequent in comments.
        common: whether a character is in common use.
        of_common: weight of a character that is in common use and not frequent.
        kana: whether the language has Japanese syllables.
    """

    def of_character(character: str) -> float:
        if character in frequent or (kana and KANA.match(character)):
            return 1.0
        if CJK_MARKS.match(character):
            return 0.8
        return of_common if common(character) else 0.0

    weight = lru_cache(maxsize=None)(of_character)

    def score(text: str) -> float:
        runs = RUN.findall(text)
        letters = [sum(CJK_MARKS.match(character) is None for character in run) for run in runs]
        beyond = "".join(runs)
        # single characters between ASCII are those of another encoding
        if sum(number for number in letters if number >= 2) * 2 <= sum(letters):
            return 0.0
        return sum(map(weight, beyond)) / len(beyond)

    return score


def _between(codec: str, first: int, last: int, min_trail: int = 0) -> Callable[[str], bool]:
    """Return whether a character's first byte in an encoding is in a range: that of its commonly used characters."""

    def is_common(character: str) -> bool:
        code = character.encode(codec, "ignore")
        return len(code) == 2 and first <= code[0] <= last and code[1] >= min_trail

    return is_common


def _latin(alphabets: tuple[str, ...], factor: float = 1.0) -> Callable[[str], float]:
    """Return the score of texts with single accented letters, whose words fit the alphabet of one language each."""

    def score(text: str) -> float:
        if C1_CONTROL.search(text) or (alphabets is not WESTERN and len(ONLY_THERE & set(text.lower())) < 2):
            return 0.0
        total = good = 0
        for word in WORD.findall(text.translate(WITHOUT_MARKS)):
            letters = sum(not letter.isascii() for letter in word)
            total += letters
            good += letters and letters * _is_latin_word(word, alphabets)
        for match in RUN.finditer(text):
            run = match.group()
            places = [
                place for place in range(*match.span()) if text[place] in LATIN_MARKS or not text[place].isalpha()
            ]
            inside = text[match.start() - 1 : match.start()].isalpha() and text[match.end() : match.end() + 1].islower()
            total += len(places)
            if (len(run) <= 3 or len(set(run)) == 1) and not (inside and set(run).isdisjoint(JOINING_MARKS)):
                good += sum(MARKS.match(text, place) is not None for place in places)
        fraction = good / max(1, total)
        return fraction * factor if fraction >= MIN_LATIN else 0.0

    return score


def _central(text: str) -> float:
    """Return the score of texts in one Central European language."""
    return max(score(text) for score in CENTRAL_SCORES)


def _is_latin_word(word: str, alphabets: tuple[str, ...]) -> bool:
    """Return whether a word has ASCII letters too, changes case as words do, and fits an alphabet."""
    letters = {letter for letter in word.lower() if not letter.isascii()}
    rises = any(one.islower() and other.isupper() and not other.isascii() for one, other in pairwise(word))
    return (
        (len(word) == 1 or any(map(str.isascii, word)))
        and max(map(len, RUN.findall(word))) <= 3
        and not rises
        and not (alphabets is WESTERN and NOT_WESTERN.search(word.lower()))
        and any(letters.issubset(alphabet) for alphabet in alphabets)
    )


def _cyrillic(text: str) -> float:
    """Return the score of Russian text: words with vowels, of frequent letters and pairs, in one case."""
    if BOX_IN_WORD.search(text) or OF_MACINTOSH.search(text):
        return 0.0
    good = total = 0.0
    pairs: list[bool] = []
    for word in WORD.findall(text):
        total += 0 if word.isascii() else len(word)
        if not all("\u0400" <= letter <= "\u045f" for letter in word) or not (len(word) < 3 or VOWEL.search(word)):
            continue
        pairs += (one + other in COMMON_PAIRS for one, other in pairwise(word.lower()))
        case = 1.0 if word[1:].islower() or len(word) == 1 else 0.8 if word.isupper() else 0.0
        good += case * sum(1.0 if letter in COMMON_CYRILLIC else 0.5 for letter in word.lower())
    for run in RUN.findall(text):
        marks = [mark for mark in run if not mark.isalpha()]
        total += len(marks)
        good += sum(mark in "«»–—…“”„©\xa0" or (mark in "№°±" and len(run) == 1) for mark in marks)
    fraction = good / max(1.0, total)
    return fraction if fraction >= MIN_CYRILLIC and sum(pairs) > MIN_PAIRS * len(pairs) else 0.0


CENTRAL_SCORES = [_latin((alphabet,), RARER) for alphabet in CENTRAL]
ENCODINGS: dict[str, tuple[str, Callable[[str], float]]] = {
    "Windows-1252": ("cp1252", _latin(WESTERN)),
    "Windows-1250": ("cp1250", _central),
    "ISO 8859-2": ("iso8859_2", _central),
    "Windows-1254": ("cp1254", _latin(TURKISH, RARER)),
    "GBK": ("gb18030", _east_asian(SIMPLIFIED, _between("gb2312", 0xB0, 0xD7, 0xA1))),
    "Shift-JIS": ("cp932", _east_asian(JAPANESE, _between("cp932", 0x88, 0x97), kana=True)),
    "EUC-JP": ("euc_jp", _east_asian(JAPANESE, _between("euc_jp", 0xB0, 0xCF, 0xA1), kana=True)),
    "EUC-KR": ("cp949", _east_asian(KOREAN, _between("euc_kr", 0xB0, 0xC8, 0xA1), 0.5)),
    "Big5": ("cp950", _east_asian(TRADITIONAL, _between("big5", 0xA4, 0xC6))),
    "Windows-1251": ("cp1251", _cyrillic),
    "KOI8-R": ("koi8_r", _cyrillic),
    "KOI8-U": ("koi8_u", _cyrillic),
}
"""Codec and score by name; of encodings that give the same text, the first names it."""
SINGLE_BYTE = ("Windows-1252", "Windows-1250", "ISO 8859-2", "Windows-1254", "Windows-1251", "KOI8-R", "KOI8-U")
